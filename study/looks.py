"""What was decided after the test split had been opened, when its answer could be known: it weakens what follows."""

from dataclasses import dataclass
from typing import Any

from study.amendments import read_amendment_lines
from study.record import Record


@dataclass(frozen=True)
class Looks:
    """How often the test split was opened, and what was asked for after the first time.

    Attributes:
        openings: of the test split.
        trials_added: how often trials were added or repeated after the first, so that winners were picked again.
        winners_changed: arms whose winner was another at a later opening.
        seeds_added: how often seeds were added after the first; claims are judged again at the same level.
    """

    openings: int
    trials_added: int
    winners_changed: tuple[str, ...]
    seeds_added: int

    @classmethod
    def of(cls, record: Record) -> "Looks":
        openings = record.openings()
        if not openings:
            return cls(0, 0, (), 0)
        first = openings[0]
        later = [line for line in read_amendment_lines(record.paths) if line["time"] > first.time]
        return cls(
            openings=len(openings),
            trials_added=sum(line["kind"] == "add_trials" or _retries_a_choice(line) for line in later),
            winners_changed=tuple(
                arm
                for arm, winner in first.winners.items()
                if any(opening.winners.get(arm, winner) != winner for opening in openings)
            ),
            seeds_added=sum(line["kind"] == "more_seeds" for line in later),
        )

    @property
    def picked_again(self) -> bool:
        return bool(self.trials_added or self.winners_changed)

    def warnings(self) -> list[str]:
        """Sentences to stand beside an answer; see docs/structure.md for the numbers."""
        said = []
        if self.picked_again:
            verb = "has" if len(self.winners_changed) == 1 else "have"
            changed = f" ({', '.join(self.winners_changed)} {verb} another one since)" if self.winners_changed else ""
            said.append(
                f"Warning: winners were picked again after the test split had been opened{changed}; it was opened "
                f"{self.openings} times. Who asked for more trials could know the first answer."
            )
        if self.seeds_added:
            times = "once" if self.seeds_added == 1 else f"{self.seeds_added} times"
            said.append(
                f"Warning: seeds were added {times} after a look at the test split, and claims judged again at the "
                "same level: at its margin a claim then holds by chance more often than alpha says, with 5 % in about "
                "9 % of studies after one addition and in 12 to 14 % after up to three."
            )
        return said


def _retries_a_choice(line: dict[str, Any]) -> bool:
    """Whether an amendment repeats trials of the search or the shortlist, which can make another trial win."""
    return line["kind"] == "retry_failed" and any("/confirm" not in key for key in line["trials"])
