"""The record of a study: its folder, the only truth, written by one process at a time.

A trial is what its folder holds: the request says what to train, ``epochs.jsonl`` one line an epoch, the outcome how
it ended. A trial without an outcome is running or was interrupted.
"""

import io
import itertools
import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock, Timeout

from hpgan_core.durable import write_durably
from study.errors import BadStudyInput, StudyError
from study.paths import StudyPaths, TrialPaths
from study.study_file import StudyFile

State = Literal["complete", "pruned", "failed"]
Phase = Literal["search", "confirm"]
CONFIRM = "confirm"


@dataclass(frozen=True)
class Request:
    """What one trial trains.

    Attributes:
        arm: the combination of losses.
        trial: unique within the arm: ``t00``, ``t01``, ... in search, ``confirm`` for the arm's winner on fresh seeds.
        phase: which phase it belongs to.
        number: the trial's number in Optuna; in the confirm phase that of the winner.
        parameters: the sampled values.
        settings: the whole configuration, for ``TrainingConfig.from_mapping``.
        seeds: one member each.
        started_at: seconds since 1970.
    """

    arm: str
    trial: str
    phase: Phase
    number: int
    parameters: dict[str, Any]
    settings: dict[str, Any]
    seeds: list[int]
    started_at: float

    @property
    def key(self) -> str:
        return f"{self.arm}/{self.trial}"


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: its state, why if it failed, its last epoch and the objective there."""

    state: State
    epochs: int
    objective: float | None
    cause: str | None
    ended_at: float


@dataclass(frozen=True)
class Conclusion:
    """How a whole study ended: ``finished``, or ``failed`` and why."""

    state: str
    reason: str | None
    ended_at: float


@dataclass(frozen=True)
class References:
    """The windows that every picture of a study shows: past and true future, metres, ``(windows, T, J, 3)`` each."""

    past: np.ndarray
    truth: np.ndarray
    skeleton: str
    frame_rate_hz: float


class Trial:
    """A trial as its folder tells it."""

    def __init__(self, paths: TrialPaths) -> None:
        self.paths = paths

    @cached_property
    def request(self) -> Request:
        return Request(**json.loads(self.paths.request.read_text()))

    @property
    def key(self) -> str:
        return self.request.key

    @property
    def outcome(self) -> Outcome | None:
        return Outcome(**json.loads(self.paths.outcome.read_text())) if self.paths.outcome.exists() else None

    @property
    def state(self) -> str:
        outcome = self.outcome
        return outcome.state if outcome else "running"

    def epochs(self) -> list[dict[str, Any]]:
        """Every recorded epoch; a last line that a crash cut short is left out."""
        if not self.paths.epochs.exists():
            return []
        lines = self.paths.epochs.read_text().split("\n")
        return [json.loads(line) for line in lines[:-1]]

    def last_epoch(self) -> int:
        epochs = self.epochs()
        return int(epochs[-1]["epoch"]) if epochs else 0

    def append_epoch(self, report: dict[str, Any]) -> None:
        """Add one epoch, after cutting off what a crash may have left of another."""
        path = self.paths.epochs
        with path.open("a+b") as file:
            size = file.tell()
            if size:
                file.seek(size - 1)
                if file.read(1) != b"\n":
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
            file.write((json.dumps(report) + "\n").encode())
            file.flush()

    def close(self, state: State, objective: float | None, cause: str | None = None) -> Outcome:
        """Write the outcome; the first one stands."""
        if (earlier := self.outcome) is not None:
            return earlier
        outcome = Outcome(state, self.last_epoch(), objective, cause, time.time())
        _write_json(self.paths.outcome, asdict(outcome))
        return outcome

    def motions(self) -> np.ndarray | None:
        """Predictions for the windows that every picture shows, metres, ``(windows, futures, T, J, 3)``."""
        if not self.paths.motions.exists():
            return None
        with np.load(self.paths.motions, allow_pickle=False) as file:
            return np.asarray(file["predicted"])


class Record:
    """A study folder."""

    def __init__(self, paths: StudyPaths) -> None:
        self.paths = paths

    @classmethod
    def open(cls, studies: Path, name: str) -> "Record":
        """An existing study.

        Raises:
            BadStudyInput: there is none of that name; says which there are.
        """
        record = cls(StudyPaths(studies, name))
        if not record.exists:
            known = sorted(path.parent.name for path in studies.glob("*/plan.json"))
            there = (
                f"there are: {', '.join(known)}"
                if known
                else "it holds no study yet; start one with `study launch FILE`"
            )
            raise BadStudyInput(f"no study {name!r} in {studies}; {there}")
        return record

    @property
    def exists(self) -> bool:
        return self.paths.plan.exists()

    def create(self, study_file: StudyFile, source: str, data_digest: str, environment: dict[str, Any]) -> None:
        """Lock the plan: from now on this folder is that study."""
        self.paths.trials.mkdir(parents=True, exist_ok=True)
        write_durably(self.paths.source, source.encode())
        plan = {
            "id": uuid.uuid4().hex,
            "file": study_file.canonical(),
            "data_digest": data_digest,
            "environment": environment,
            "created_at": time.time(),
        }
        _write_json(self.paths.plan, plan)

    @cached_property
    def plan(self) -> dict[str, Any]:
        plan: dict[str, Any] = json.loads(self.paths.plan.read_text())
        return plan

    @cached_property
    def study_file(self) -> StudyFile:
        return StudyFile.from_canonical(self.plan["file"])

    def trial(self, arm: str, trial: str) -> Trial:
        return Trial(self.paths.trial(arm, trial))

    def start(self, request: Request) -> Trial:
        """Make the folder of a new trial, or return the one that an interrupted driver has left."""
        trial = self.trial(request.arm, request.trial)
        if not trial.paths.request.exists():
            trial.paths.folder.mkdir(parents=True, exist_ok=True)
            _write_json(trial.paths.request, asdict(request))
        return trial

    def trials(self, arm: str | None = None, phase: Phase | None = None) -> list[Trial]:
        """Trials in the order of arms and names."""
        arms = [arm] if arm is not None else list(self.study_file.arms)
        trials = [self.trial(name, folder.name) for name in arms for folder in (self.paths.trials / name).glob("*")]
        started = [trial for trial in trials if trial.paths.request.exists()]
        chosen = [trial for trial in started if phase is None or trial.request.phase == phase]
        # t100 comes after t99, and the confirm trial last.
        return sorted(
            chosen, key=lambda trial: (arms.index(trial.request.arm), len(trial.request.trial), trial.request.trial)
        )

    def winner(self, arm: str) -> Trial | None:
        """The arm's complete search trial with the best objective; the first of equals."""
        return self._best_of(self.trials(arm, "search"))

    def confirmation(self, arm: str) -> Trial | None:
        """The arm's winner on fresh seeds, once that is complete."""
        trial = self.trial(arm, CONFIRM)
        return trial if trial.state == "complete" else None

    def best(self) -> Trial | None:
        """The complete search trial with the best objective of all arms; the first of equals."""
        return self._best_of(self.trials(phase="search"))

    def _best_of(self, trials: list[Trial]) -> Trial | None:
        sign = 1 if self.study_file.objective.goal == "minimize" else -1
        ended = [(trial, trial.outcome) for trial in trials]
        scores = [
            (sign * outcome.objective, trial)
            for trial, outcome in ended
            if outcome and outcome.state == "complete" and outcome.objective is not None
        ]
        return min(scores, key=lambda pair: pair[0])[1] if scores else None

    def write_references(self, references: References) -> None:
        """Keep the windows that every picture of this study shows."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **vars(references))
        write_durably(self.paths.references, buffer.getvalue())

    def references(self) -> References:
        with np.load(self.paths.references, allow_pickle=False) as file:
            return References(file["past"], file["truth"], str(file["skeleton"]), float(file["frame_rate_hz"]))

    def write_baselines(self, baselines: dict[str, dict[str, float]]) -> None:
        _write_json(self.paths.baselines, baselines)

    def baselines(self) -> dict[str, dict[str, float]]:
        """Every metric of the baselines on the test split; empty before that is opened."""
        return json.loads(self.paths.baselines.read_text()) if self.paths.baselines.exists() else {}

    def conclude(self, state: str, reason: str | None) -> None:
        """Write how the study as a whole ended."""
        _write_json(self.paths.conclusion, asdict(Conclusion(state, reason, time.time())))

    def conclusion(self) -> Conclusion | None:
        """How the study ended; None before it has."""
        return Conclusion(**json.loads(self.paths.conclusion.read_text())) if self.paths.conclusion.exists() else None

    def set_aside(self) -> str:
        """Rename this study's folder to its ``free_name``; returns that."""
        name = self.free_name()
        self.paths.folder.rename(self.paths.studies / name)
        return name

    def free_name(self) -> str:
        """The first of ``NAME.1``, ``NAME.2``, ... that no study has."""
        taken = {path.name for path in self.paths.studies.iterdir()}
        return next(name for number in itertools.count(1) if (name := f"{self.paths.name}.{number}") not in taken)

    def state(self) -> str:
        """``running``, ``finished``, ``failed``, or ``interrupted`` when nobody works on an unfinished study."""
        if self.holder() is not None:
            return "running"
        conclusion = self.conclusion()
        return conclusion.state if conclusion else "interrupted"

    def holder(self) -> str | None:
        """Who runs this study now, if anybody does."""
        lock = FileLock(self.paths.lock)
        try:
            with lock.acquire(timeout=0):
                return None
        except Timeout:
            holder = json.loads(self.paths.holder.read_text()) if self.paths.holder.exists() else {}
            return f"process {holder.get('process', '?')} on {holder.get('host', '?')}"

    @contextmanager
    def driving(self) -> Iterator[None]:
        """Be the one process that writes this record.

        Raises:
            StudyError: another process is.
        """
        self.paths.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.paths.lock)
        try:
            # Not at once: whoever asks for the state of a study holds the lock for a moment.
            lock.acquire(timeout=1)
        except Timeout:
            raise StudyError(
                f"study {self.paths.name!r} is being run by {self.holder()}; wait for it, or stop it first"
            ) from None
        try:
            _write_json(self.paths.holder, {"process": os.getpid(), "host": socket.gethostname(), "since": time.time()})
            yield
        finally:
            lock.release()


def _write_json(path: Path, content: Any) -> None:
    write_durably(path, (json.dumps(content, indent=2) + "\n").encode())
