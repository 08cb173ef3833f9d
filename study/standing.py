"""How far a study is: counted from its record, kept up to date by what happens, shown on a terminal or as JSON."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from study.agenda import confirm_members, planned_trials, shortlisted
from study.budget import Pace, Spending
from study.record import Outcome, Record, Trial
from study.terminal import Sliced

RUNNING_SHOWN = 8


@dataclass
class ArmStanding:
    """One arm.

    Attributes:
        planned: search trials it is to run.
        states: how many search trials are ``complete``, ``pruned``, ``failed``, or ``running``: without an outcome.
        failed_by: how many trials of all phases failed, by kind of failure.
        best, best_trial: the winner so far, a search trial, and its objective in the search.
        shortlisted: trials that are to be trained again to pick the winner.
        reruns: the states of those that have been begun, by trial.
        confirm: the state of the trial that confirms its winner, or ``waiting``.
    """

    planned: int
    shortlisted: int = 0
    states: Counter[str] = field(default_factory=Counter)
    failed_by: Counter[str] = field(default_factory=Counter)
    best: float | None = None
    best_trial: str | None = None
    reruns: dict[str, str] = field(default_factory=dict)
    confirm: str = "waiting"

    @property
    def ended(self) -> int:
        return self.states.total() - self.states["running"]

    @property
    def reruns_ended(self) -> int:
        return sum(state != "running" for state in self.reruns.values())


@dataclass
class Training:
    """A trial without an outcome.

    Attributes:
        place: where its newest process runs, or ran.
        attempt: which one that is.
        epoch, epochs: the last one recorded, and how many there will be.
    """

    trial: str
    place: str
    attempt: int
    epoch: int
    epochs: int


class Standing:
    """A listener of all phases.

    Args:
        record: arms, plan, and everything that has happened before.
        pace: how fast it goes.
    """

    def __init__(self, record: Record, pace: Pace) -> None:
        self.record, self.study_file, self.pace = record, record.study_file, pace
        self.spending = Spending(record, pace)
        self.arms = {
            arm: ArmStanding(planned_trials(record, arm), shortlisted(record, arm)) for arm in self.study_file.arms
        }
        self.training: dict[str, Training] = {}
        self.ended_member_epochs = self.search_member_epochs = self.repeat_member_epochs = 0
        for trial in record.trials():
            attempts = trial.attempts()
            self._begin(trial, attempts[-1].place if attempts else "", max(len(attempts), 1))
            if (outcome := trial.outcome) is not None:
                self._train(trial, outcome.epochs, outcome.epochs)
                self._end(trial, outcome)
            else:
                last = trial.last_epoch()
                self._train(trial, last, last)
        for arm in self.arms:
            self._look_up_best(arm)

    def trial_started(self, trial: Trial, place: str) -> None:
        self._begin(trial, place, len(trial.attempts()))
        self.spending.trial_started(trial, place)

    def epoch_reported(self, trial: Trial, epoch: dict[str, Any]) -> None:
        self._train(trial, epoch["epoch"], 1)
        self.spending.epoch_reported(trial, epoch)

    def trial_ended(self, trial: Trial, outcome: Outcome) -> None:
        self._end(trial, outcome)
        if outcome.state == "complete" and self._may_win(trial, outcome):
            self._look_up_best(trial.request.arm)
        self.spending.trial_ended(trial, outcome)

    def _begin(self, trial: Trial, place: str, attempt: int) -> None:
        arm, before = self.arms[trial.request.arm], self.training.get(trial.key)
        if trial.request.phase == "confirm":
            arm.confirm = "running"
        elif trial.request.phase == "shortlist":
            arm.reruns[trial.request.trial] = "running"
        elif before is None:
            arm.states["running"] += 1
        epoch = before.epoch if before else 0
        self.training[trial.key] = Training(trial.key, place, attempt, epoch, trial.request.settings["epochs"])

    def _train(self, trial: Trial, epoch: int, new: int) -> None:
        self.training[trial.key].epoch = epoch
        if trial.request.phase == "search":
            self.search_member_epochs += new * len(trial.request.seeds)
        else:
            self.repeat_member_epochs += new * len(trial.request.seeds)

    def _end(self, trial: Trial, outcome: Outcome) -> None:
        arm = self.arms[trial.request.arm]
        self.training.pop(trial.key, None)
        if outcome.state == "failed":
            arm.failed_by[outcome.kind or "bug"] += 1
        if trial.request.phase == "confirm":
            arm.confirm = outcome.state
            return
        if trial.request.phase == "shortlist":
            arm.reruns[trial.request.trial] = outcome.state
            return
        self.ended_member_epochs += outcome.epochs * len(trial.request.seeds)
        arm.states["running"] -= 1
        arm.states[outcome.state] += 1

    def _may_win(self, trial: Trial, outcome: Outcome) -> bool:
        """Whether the winner may have changed: to look it up takes longer the more trials there are."""
        arm, cost = self.arms[trial.request.arm], self.study_file.objective.cost
        if arm.best is None or outcome.objective is None or arm.reruns or self.study_file.objectives:
            return True
        return cost(outcome.objective) <= cost(arm.best)

    def _look_up_best(self, arm: str) -> None:
        winner = self.record.winner(arm)
        if winner is not None and winner.outcome is not None:
            self.arms[arm].best, self.arms[arm].best_trial = winner.outcome.objective, winner.request.trial

    @property
    def planned(self) -> int:
        """Search trials of all arms."""
        return sum(arm.planned for arm in self.arms.values())

    @property
    def ended(self) -> int:
        return sum(arm.ended for arm in self.arms.values())

    def time_left_s(self) -> float | None:
        """By the speed so far, over all launches; None before there is any."""
        trained = self.search_member_epochs + self.repeat_member_epochs
        if not trained or not self.pace.driven_s():
            return None
        search = self.study_file.search
        # Pruning has saved as much of the rest as it has of what has ended.
        mean = self.ended_member_epochs / self.ended if self.ended else search.members * search.epochs
        begun = self.search_member_epochs - self.ended_member_epochs
        search_left = max(0.0, mean * (self.planned - self.ended) - begun)
        shortlist = self.study_file.shortlist()
        members = len(self.arms) * confirm_members(self.record)
        if shortlist is not None:
            members += shortlist.members * sum(arm.shortlisted for arm in self.arms.values())
        repeats = members * self.study_file.confirm_epochs()
        return (search_left + max(0, repeats - self.repeat_member_epochs)) * self.pace.driven_s() / trained

    def budgets(self) -> dict[str, tuple[float, float]]:
        """What has been used of each budget that the study has, and how much there is."""
        budget = self.study_file.budget
        found: dict[str, tuple[float, float | None]] = {
            "trials": (self.ended + len(self.training), budget.trials),
            "wall_time_s": (self.pace.driven_s(), budget.wall_time_s),
            "device_hours": (self.spending.device_hours, budget.device_hours),
            "failed_fraction": (self.spending.failed / self.planned, budget.failed_fraction),
        }
        return {name: (used, limit) for name, (used, limit) in found.items() if limit is not None}

    def to_json(self, driven: bool) -> dict[str, Any]:
        """Stable keys, plain values; a trial without an outcome is interrupted where nobody drives."""
        return {
            "driven_s": self.pace.driven_s(),
            "time_left_s": self.time_left_s() if driven else None,
            "device_hours": self.spending.device_hours,
            "budget": {name: {"used": used, "limit": limit} for name, (used, limit) in self.budgets().items()},
            "arms": {name: self._arm_json(arm, driven) for name, arm in self.arms.items()},
            "training": [vars(training) for training in self.training.values()],
        }

    def _arm_json(self, arm: ArmStanding, driven: bool) -> dict[str, Any]:
        running = arm.states["running"]
        return {
            "planned": arm.planned,
            "complete": arm.states["complete"],
            "pruned": arm.states["pruned"],
            "failed": arm.states["failed"],
            "failed_by": dict(arm.failed_by),
            "running": running if driven else 0,
            "interrupted": 0 if driven else running,
            "waiting": max(0, arm.planned - arm.states.total()),
            "shortlist": {"planned": arm.shortlisted, "ended": arm.reruns_ended},
            "confirm": arm.confirm if driven or arm.confirm != "running" else "interrupted",
            "best": arm.best,
            "best_trial": arm.best_trial,
        }

    def view(self, driven: bool) -> RenderableType:
        """The table of arms and what is to be said beside it."""
        return Group(Sliced(self._table(driven)), *map(Text, self._lines(driven)))

    def _table(self, driven: bool) -> Table:
        open_word = "running" if driven else "open"
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
        # In 80 columns a long name is folded, and nothing else gives way.
        table.add_column("arm", overflow="fold")
        for heading in ("search", "done", "pruned", "failed", open_word, "best", "trial", "confirm"):
            table.add_column(heading, justify="right", no_wrap=True)
        for name, arm in self.arms.items():
            plain = self._arm_json(arm, driven)
            states = (str(arm.states[state]) for state in ("complete", "pruned", "failed", "running"))
            best = "-" if arm.best is None else f"{arm.best:.4f}"
            table.add_row(
                name, f"{arm.ended}/{arm.planned}", *states, best, arm.best_trial or "-", str(plain["confirm"])
            )
        return table

    def _lines(self, driven: bool) -> Iterator[str]:
        failed_by = sum((arm.failed_by for arm in self.arms.values()), Counter[str]())
        if failed_by:
            kinds = ", ".join(f"{number} {kind.replace('_', ' ')}" for kind, number in failed_by.most_common())
            yield f"failed   {kinds}"
        if shortlisted := sum(arm.shortlisted for arm in self.arms.values()):
            ended = sum(arm.reruns_ended for arm in self.arms.values())
            yield f"again    {ended} of {shortlisted} on the shortlists trained on new seeds"
        # Drawn from another thread than the one that counts.
        trainings = list(self.training.values())
        for training in trainings[:RUNNING_SHOWN]:
            again = f", attempt {training.attempt}" if training.attempt > 1 else ""
            where = f" on {training.place}" if training.place and driven else ""
            word = "running" if driven else "open"
            yield f"{word:<8} {training.trial}: epoch {training.epoch} of {training.epochs}{where}{again}"
        if len(trainings) > RUNNING_SHOWN:
            yield f"         and {len(trainings) - RUNNING_SHOWN} more"
        budgets = [_budget_text(name, used, limit) for name, (used, limit) in self.budgets().items()]
        if budgets:
            yield f"budget   {'; '.join(budgets)}"
        left = self.time_left_s() if driven else None
        driven_for = f"driven for {duration(self.pace.driven_s())}"
        yield f"time     {driven_for}" + (f", about {duration(left)} left" if left else "")


def _budget_text(name: str, used: float, limit: float) -> str:
    if name == "wall_time_s":
        return f"{duration(used)} of {duration(limit)}"
    if name == "device_hours":
        return f"{used:.3g} of {limit:g} device hours"
    if name == "failed_fraction":
        return f"{used:.0%} failed of {limit:.0%} allowed"
    return f"{used:.0f} of {limit:.0f} trials"


def duration(seconds: float) -> str:
    """For people: ``45 s``, ``12 min``, ``2.5 h``."""
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
