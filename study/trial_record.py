"""What the record knows of one trial: its folder.

The request says what to train, ``attempts.jsonl`` who trained it where, ``epochs.jsonl`` one line an epoch, the outcome
how it ended. A trial without an outcome is running or was interrupted.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from hpgan_core.durable import read_lines, sync
from study.errors import DamagedRecord
from study.json_files import append_json, parse_json_lines, plain, read_json, read_json_lines, write_json
from study.paths import TrialPaths

State = Literal["complete", "pruned", "failed"]
Phase = Literal["search", "shortlist", "confirm"]
FailureKind = Literal["diverged", "out_of_memory", "crashed", "lost_node", "bug", "bad_input"]


@dataclass(frozen=True)
class Request:
    """What one trial trains.

    Attributes:
        arm: the combination of losses.
        trial: unique within the arm: ``t00``, ``t01``, ... in search; ``shortlist-t01`` for one of the best on new
            seeds; ``confirm``, ``confirm-2``, ... for the arm's winner on fresh ones.
        phase: which phase it belongs to.
        number: the trial's number in Optuna; of a shortlisted or confirmed one that of the search trial it repeats.
        parameters: the sampled values.
        settings: the whole configuration, for ``TrainingConfig.from_mapping``.
        seeds: one member each.
        started_at: seconds since 1970.
        retry_of: the failed trial of this arm that this one repeats.
    """

    arm: str
    trial: str
    phase: Phase
    number: int
    parameters: dict[str, Any]
    settings: dict[str, Any]
    seeds: list[int]
    started_at: float
    retry_of: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.settings.get("epochs"), int):
            raise ValueError("settings have no number of epochs")

    @property
    def key(self) -> str:
        return f"{self.arm}/{self.trial}"

    @property
    def member_epochs(self) -> int:
        """Epochs of all members, if it is not stopped early."""
        epochs: int = self.settings["epochs"]
        return len(self.seeds) * epochs


def search_name(number: int) -> str:
    """What a search trial is called."""
    return f"t{number:02d}"


@dataclass(frozen=True)
class Failure:
    """Why a training process, or a whole trial, failed."""

    kind: FailureKind
    cause: str


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        state: the last word.
        epochs: the last one that was recorded.
        objective: its value there; None for a trial that failed.
        cause: why, if it failed.
        ended_at: seconds since 1970.
        kind: the kind of failure.
        seconds: training time of all epochs.
        epochs_sha256: of the lines of ``epochs.jsonl``; None in records that are older than it.
    """

    state: State
    epochs: int
    objective: float | None
    cause: str | None
    ended_at: float
    kind: FailureKind | None = None
    seconds: float = 0.0
    epochs_sha256: str | None = None


@dataclass(frozen=True)
class Attempt:
    """One execution of a trial, by one process.

    Attributes:
        attempt: 1-based.
        place: the host, or its address.
        process: its number there; None until it has said so.
        started_at, ended_at: seconds since 1970; no end while it runs, and where its driver was killed.
        kind: why it ended: a kind of failure, ``stopped`` with the study, or None for what the outcome tells.
        cause: the kind in words.
        environment: packages, code, machine, threads and device of the process; None until it has said so.
    """

    attempt: int
    place: str
    process: int | None
    started_at: float
    ended_at: float | None = None
    kind: FailureKind | Literal["stopped"] | None = None
    cause: str | None = None
    environment: dict[str, Any] | None = None


@dataclass(frozen=True)
class _Epoch:
    """A line of ``epochs.jsonl``: a ``hpgan_core.trainable.EpochReport``, and when it came, in seconds since 1970."""

    epoch: int
    members: dict[str, list[float]]
    mean: dict[str, float]
    spread: dict[str, float]
    diverged: int
    seconds: float
    time: float
    # Not in the oldest records.
    outcomes: list[str] = field(default_factory=list)
    collapsed: int = 0

    def __post_init__(self) -> None:
        if self.members and not self.members.keys() >= self.mean.keys() | self.spread.keys():
            raise ValueError("mean and spread have metrics that members has not")


class Trial:
    """A trial as its folder tells it. Request and outcome never change once they are there.

    Args:
        paths: the folder.
        now: the clock, in seconds since 1970.
    """

    def __init__(self, paths: TrialPaths, now: Callable[[], float] = time.time) -> None:
        self.paths, self.now = paths, now
        self._outcome: Outcome | None = None

    @cached_property
    def request(self) -> Request:
        """What it trains.

        Raises:
            DamagedRecord: it is not what was written there, or of another trial.
        """
        request, folder = read_json(self.paths.request, Request), self.paths.folder
        misnamed = request.phase == "search" and request.trial != search_name(request.number)
        if misnamed or (request.arm, request.trial) != (folder.parent.name, folder.name):
            raise DamagedRecord(self.paths.request, f"it is of {request.key}, number {request.number} of the search")
        return request

    @property
    def key(self) -> str:
        return self.request.key

    @property
    def outcome(self) -> Outcome | None:
        if self._outcome is None and self.paths.outcome.exists():
            self._outcome = read_json(self.paths.outcome, Outcome)
        return self._outcome

    @property
    def state(self) -> str:
        outcome = self.outcome
        return outcome.state if outcome else "running"

    def epochs(self) -> list[dict[str, Any]]:
        """Every recorded epoch; a last line that a crash cut short is left out.

        Raises:
            DamagedRecord: they are not those that were written there, or that the outcome was written after.
        """
        return self._read_epochs()[0]

    def _read_epochs(self) -> tuple[list[dict[str, Any]], str]:
        """Every recorded epoch, and the SHA-256 of the same lines."""
        lines = read_lines(self.paths.epochs)
        epochs = parse_json_lines(self.paths.epochs, lines, plain(_Epoch))
        sha256 = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
        if [epoch["epoch"] for epoch in epochs] != list(range(1, len(epochs) + 1)):
            raise DamagedRecord(self.paths.epochs, "it does not hold epoch after epoch from the first on")
        if (outcome := self.outcome) is not None:
            if len(epochs) != outcome.epochs:
                text = f"it holds {len(epochs)} epochs, and the trial ended after epoch {outcome.epochs}"
                raise DamagedRecord(self.paths.epochs, text)
            if outcome.epochs_sha256 not in (None, sha256):
                raise DamagedRecord(self.paths.epochs, "it has been changed since the trial ended")
        return epochs, sha256

    def last_epoch(self) -> int:
        epochs = self.epochs()
        return int(epochs[-1]["epoch"]) if epochs else 0

    def append_epoch(self, report: dict[str, Any]) -> None:
        append_json(self.paths.epochs, report)

    def close(
        self, state: State, objective: float | None, cause: str | None = None, kind: FailureKind | None = None
    ) -> Outcome:
        """Write the outcome; the first one stands."""
        if (earlier := self.outcome) is not None:
            return earlier
        epochs, sha256 = self._read_epochs()
        last_epoch = epochs[-1]["epoch"] if epochs else 0
        seconds = sum(epoch["seconds"] for epoch in epochs)
        outcome = Outcome(state, last_epoch, objective, cause, self.now(), kind, seconds, sha256)
        if epochs:
            # No outcome without the epochs that it speaks of.
            sync(self.paths.epochs)
        write_json(self.paths.outcome, asdict(outcome))
        self._outcome = outcome
        return outcome

    def attempts(self) -> list[Attempt]:
        """Every execution so far; of several lines on one the last counts."""
        return list({attempt.attempt: attempt for attempt in read_json_lines(self.paths.attempts, Attempt)}.values())

    def begin_attempt(self, place: str) -> Attempt:
        attempt = Attempt(len(self.attempts()) + 1, place, None, self.now())
        return self.write_attempt(attempt)

    def end_attempt(
        self, attempt: Attempt, kind: FailureKind | Literal["stopped"] | None = None, cause: str | None = None
    ) -> Attempt:
        return self.write_attempt(replace(attempt, ended_at=self.now(), kind=kind, cause=cause))

    def write_attempt(self, attempt: Attempt) -> Attempt:
        append_json(self.paths.attempts, asdict(attempt))
        return attempt

    def motions(self) -> np.ndarray | None:
        """Predictions for the windows that every picture shows, metres, ``(windows, futures, T, J, 3)``."""
        if not self.paths.motions.exists():
            return None
        with np.load(self.paths.motions, allow_pickle=False) as file:
            return np.asarray(file["predicted"])
