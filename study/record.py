"""The record of a study: its folder, the only truth, written by one process at a time."""

import hashlib
import io
import itertools
import json
import math
import re
import shlex
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np

from hpgan_core.durable import sync, write_durably
from study.amendments import OPERATIONS, Amendments, append_amendment, read_amendments
from study.errors import BadStudyInput, DamagedRecord
from study.json_files import append_json, plain, read_json, read_json_lines, write_json
from study.lease import Holding, Lease, hold, holder, read_lease
from study.pareto import pareto_front
from study.paths import StudyPaths, names_of_studies
from study.provenance import changes
from study.sections import MAX_NAME_LENGTH, NAME_PATTERN, PATTERNS
from study.study_file import StudyFile
from study.trial_record import Attempt, Failure, FailureKind, Outcome, Phase, Request, State, Trial, search_name

__all__ = [
    "CONFIRM", "Attempt", "Conclusion", "Failure", "FailureKind", "Opening", "Outcome", "Phase", "Record", "References",
    "Request", "SplitSize", "State", "Trial",
]  # fmt: skip

CONFIRM = "confirm"
# In their order.
PHASES: tuple[Phase, ...] = get_args(Phase)


@dataclass(frozen=True)
class Conclusion:
    """How a whole study ended.

    Attributes:
        state: ``finished``, ``budget_spent``, ``too_many_failed`` or ``failed``.
        reason: why.
        ended_at: seconds since 1970.
        trials: how many had ended in each arm; nothing in records that are older than it.
    """

    state: str
    reason: str | None
    ended_at: float
    trials: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Opening:
    """The test split was opened.

    Attributes:
        time: seconds since 1970.
        driver: the lease of the process that opened it.
        winners: for each arm with one the search trial that was to be confirmed.
        trials: the confirm trials that it was opened for.
    """

    time: float
    driver: str
    winners: dict[str, str]
    trials: list[str]


@dataclass(frozen=True)
class References:
    """The windows that every picture of a study shows: past and true future, metres, ``(windows, T, J, 3)`` each."""

    past: np.ndarray
    truth: np.ndarray
    skeleton: str
    frame_rate_hz: float


@dataclass(frozen=True)
class SplitSize:
    """How much one split holds.

    Attributes:
        people: whose clips are in it.
        clips: as long as a window or longer.
        windows: that metrics can be measured on, one every 10 frames of a clip.
    """

    people: int
    clips: int
    windows: int


@dataclass(frozen=True)
class _Plan:
    """What ``plan.json`` holds; see ``Record.plan``."""

    id: str
    file: dict[str, Any]
    data_digest: str
    environment: dict[str, Any]
    created_at: float
    digest: str = ""
    # Not in the oldest records.
    splits: dict[str, dict[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for size in self.splits.values():
            SplitSize(**size)


class Record:
    """A study folder."""

    def __init__(self, paths: StudyPaths) -> None:
        self.paths = paths
        self._trials: dict[tuple[str, str], Trial] = {}
        self._latest = 0.0

    @classmethod
    def named(cls, studies: Path, name: str) -> "Record":
        """A study that may not exist yet.

        Raises:
            BadStudyInput: that is no name.
        """
        # Before it becomes a path: ``..`` and ``/`` lead to what is no study of this folder.
        if not re.fullmatch(NAME_PATTERN, name):
            raise BadStudyInput(f"{name!r} is no name of a study, which has {PATTERNS[NAME_PATTERN]}")
        return cls(StudyPaths(studies, name))

    @classmethod
    def open(cls, studies: Path, name: str) -> "Record":
        """An existing study.

        Raises:
            BadStudyInput: that is no name, or there is none of that name yet; says which there are.
        """
        record = cls.named(studies, name)
        if not record.exists:
            if (holder := record.holder()) is not None:
                raise BadStudyInput(f"study {name!r} is being started by {holder}: nothing of it is recorded yet")
            known = cls.all(studies)
            there = (
                f"there are: {', '.join(one.paths.name for one in known)}"
                if known
                else "it holds no study yet; start one with `study launch FILE`"
            )
            raise BadStudyInput(f"no study {name!r} in {studies}; {there}")
        return record

    @classmethod
    def all(cls, studies: Path) -> list["Record"]:
        """Every study of a folder, by name."""
        return [cls(StudyPaths(studies, name)) for name in names_of_studies(studies)]

    @property
    def exists(self) -> bool:
        return self.paths.plan.exists()

    def command(self, verb: str) -> str:
        """What a person types to do something with this study."""
        studies = "" if self.paths.studies == Path("studies") else f" --studies {shlex.quote(str(self.paths.studies))}"
        return f"study {verb} {self.paths.name}{studies}"

    def create(
        self,
        study_file: StudyFile,
        source: str,
        data_digest: str,
        environment: dict[str, Any],
        splits: Mapping[str, SplitSize] | None = None,
    ) -> None:
        """Lock the plan: from now on this folder is that study.

        Args:
            study_file: what to do.
            source: the text of that file.
            data_digest: of the motions and of who is in which split.
            environment: of this launch.
            splits: how much each holds; None for a study without motions, as a simulated one.
        """
        self.paths.trials.mkdir(parents=True, exist_ok=True)
        write_durably(self.paths.source, source.encode())
        plan = {
            "id": uuid.uuid4().hex,
            "file": study_file.canonical(),
            "data_digest": data_digest,
            "environment": environment,
            "created_at": time.time(),
            "splits": {name: asdict(size) for name, size in (splits or {}).items()},
        }
        plan["digest"] = _digest(plan)
        write_json(self.paths.plan, plan)

    @cached_property
    def plan(self) -> dict[str, Any]:
        """What is locked: the study file, the digest of the data and what it holds, and the first launch's environment.

        Raises:
            DamagedRecord: the file is not what was written there.
        """
        return read_json(self.paths.plan, plain(_Plan))

    def plan_digest(self) -> str:
        """SHA-256 over study file, data digest, sizes of splits and code version, as written before the first trial.

        Raises:
            DamagedRecord: the plan has been changed since.
        """
        digest = _digest(self.plan)
        if self.plan.get("digest") != digest:
            raise DamagedRecord(self.paths.plan, "it has been changed since it was locked")
        return digest

    @property
    def splits(self) -> dict[str, SplitSize]:
        """How much each split holds; empty in records that are older than it."""
        return {name: SplitSize(**size) for name, size in self.plan.get("splits", {}).items()}

    @property
    def amendments(self) -> Amendments:
        """What has been changed or added since."""
        return self._amended[0]

    @property
    def study_file(self) -> StudyFile:
        """The locked study file, with the operations that it is run with now."""
        return self._amended[1]

    @cached_property
    def _amended(self) -> tuple[Amendments, StudyFile]:
        amendments = read_amendments(self.paths)
        return amendments, StudyFile.from_canonical(self.plan["file"] | amendments.operations)

    def amend(self, kind: str, **content: Any) -> None:
        """Record a change; see ``study.amendments``."""
        append_amendment(self.paths, kind, **content)
        self.__dict__.pop("_amended", None)

    def amend_operations(self, study_file: StudyFile) -> None:
        """Take over those sections of ``study_file`` that may change."""
        now, wanted = self.study_file.canonical(), study_file.canonical()
        for section in OPERATIONS:
            if now.get(section) != wanted.get(section):
                self.amend(section, section=wanted[section])

    def amend_environment(self, now: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Record in what the environment is another than when this study was last driven.

        Args:
            now: of this driver, as ``study.provenance.environment`` gives it.

        Returns:
            As ``study.provenance.changes``.
        """
        changed = changes(self.plan["environment"] | self.amendments.environment, now)
        if changed:
            self.amend("environment", changed=changed)
        return changed

    def now(self, after: float = 0.0) -> float:
        """Seconds since 1970, later than ``after`` and whatever this has returned before.

        What has happened is told again in the order of time, so that must not go back when a clock does.
        """
        self._latest = max(time.time(), math.nextafter(max(self._latest, after), math.inf))
        return self._latest

    def trial(self, arm: str, trial: str) -> Trial:
        # Of thousands of trials, to make what is there already takes most of a report's time.
        if (arm, trial) not in self._trials:
            self._trials.setdefault((arm, trial), Trial(self.paths.trial(arm, trial), self.now))
        return self._trials[arm, trial]

    def start(self, request: Request) -> Trial:
        """Make the folder of a new trial, or return the one that an interrupted driver has left."""
        trial = self.trial(request.arm, request.trial)
        if not trial.paths.request.exists():
            trial.paths.folder.mkdir(parents=True, exist_ok=True)
            write_json(trial.paths.request, asdict(request))
        return trial

    def trials(self, arm: str | None = None, phase: Phase | None = None) -> list[Trial]:
        """Trials in the order of arms and names.

        Raises:
            DamagedRecord: of the numbers of an arm's search trials one is missing.
        """
        arms = [arm] if arm is not None else list(self.study_file.arms)
        started = [trial for name in arms for trial in self._started(name)]
        chosen = [trial for trial in started if phase is None or trial.request.phase == phase]
        # t100 comes after t99.
        return sorted(
            chosen,
            key=lambda trial: (
                arms.index(trial.request.arm),
                PHASES.index(trial.request.phase),
                len(trial.request.trial),
                trial.request.trial,
            ),
        )

    def _started(self, arm: str) -> list[Trial]:
        """The trials of an arm that have a request, in no order."""
        trials = [self.trial(arm, folder.name) for folder in (self.paths.trials / arm).glob("*")]
        started = {trial.request.trial: trial for trial in trials if trial.paths.request.exists()}
        numbers = [trial.request.number for trial in started.values() if trial.request.phase == "search"]
        for name in map(search_name, range(max(numbers, default=0))):
            if name in started:
                continue
            # It may have come while the folder was listed.
            started[name] = self.trial(arm, name)
            if not started[name].paths.request.exists():
                raise DamagedRecord(
                    started[name].paths.request, "it is missing, and later trials of this arm are there"
                )
        return list(started.values())

    def find(self, key: str) -> Trial:
        """The trial ``ARM/TRIAL``.

        Raises:
            BadStudyInput: there is none; says which there are.
        """
        trials = {trial.key: trial for trial in self.trials()}
        if key not in trials:
            known = ", ".join(trials) or "none yet"
            raise BadStudyInput(f"study {self.paths.name!r} has no trial {key!r}; there are: {known}")
        return trials[key]

    def front(self, arm: str) -> list[Trial]:
        """The arm's complete search trials that no other beats in all ``objectives``; with one objective, all."""
        complete = [trial for trial in self.trials(arm, "search") if trial.state == "complete"]
        objectives = self.study_file.objectives
        if not objectives:
            return complete
        last = [trial.epochs()[-1]["mean"] for trial in complete]
        points = [[mean[objective.metric] for objective in objectives] for mean in last]
        return [complete[index] for index in pareto_front(points, [one.goal == "minimize" for one in objectives])]

    def ranked(self, arm: str) -> list[Trial]:
        """The arm's ``front`` from the best objective on; of equals the first comes first."""
        return sorted(self.front(arm), key=self._cost)

    def candidates(self, arm: str) -> list[Trial]:
        """The best search trials of the arm, among which its shortlist picks; a single one wins as it is."""
        shortlist = self.study_file.shortlist()
        return self.ranked(arm)[: shortlist.trials if shortlist else 1]

    def winner(self, arm: str) -> Trial | None:
        """The candidate that is best on the shortlist's seeds: fewest members diverged, then the best objective.

        As long as no candidate has been trained again, and where none could be, the one that the search has picked.
        """
        candidates = self.candidates(arm)
        reruns = self.reruns(arm) if len(candidates) > 1 else {}
        return min(
            (trial for trial in candidates if trial.request.number in reruns),
            key=lambda trial: self._rerun_cost(reruns[trial.request.number]),
            default=next(iter(candidates), None),
        )

    def reruns(self, arm: str) -> dict[int, Trial]:
        """The complete shortlist trials of the arm, by the number of the search trial that each repeats."""
        return {trial.request.number: trial for trial in self.trials(arm, "shortlist") if trial.state == "complete"}

    def _rerun_cost(self, rerun: Trial) -> tuple[int, float]:
        return rerun.epochs()[-1]["diverged"], self._cost(rerun)

    def _cost(self, trial: Trial) -> float:
        outcome = trial.outcome
        assert outcome is not None
        assert outcome.objective is not None  # of a complete trial
        return self.study_file.objective.cost(outcome.objective)

    def confirmations(self, arm: str) -> list[Trial]:
        """The complete trials of the arm's present winner on fresh seeds, each on seeds of its own."""
        winner = self.winner(arm)
        return [
            trial
            for trial in self.trials(arm, "confirm")
            if winner and trial.request.number == winner.request.number and trial.state == "complete"
        ]

    def confirmation(self, arm: str) -> Trial | None:
        """The first of the ``confirmations``."""
        return next(iter(self.confirmations(arm)), None)

    def best(self) -> Trial | None:
        """The arms' winner with the best objective; the first of equals."""
        winners = [winner for arm in self.study_file.arms if (winner := self.winner(arm))]
        return min(winners, key=self._cost, default=None)

    def write_references(self, references: References) -> None:
        """Keep the windows that every picture of this study shows."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **vars(references))
        write_durably(self.paths.references, buffer.getvalue())

    def references(self) -> References:
        with np.load(self.paths.references, allow_pickle=False) as file:
            return References(file["past"], file["truth"], str(file["skeleton"]), float(file["frame_rate_hz"]))

    def open_test_split(self, driver: str, trials: list[str]) -> None:
        """Log that the test split is opened, before anything can read it; each time, since it may be opened again."""
        winners = {arm: winner.request.trial for arm in self.study_file.arms if (winner := self.winner(arm))}
        append_json(self.paths.openings, asdict(Opening(self.now(), driver, winners, trials)))
        sync(self.paths.openings)
        sync(self.paths.folder)

    def openings(self) -> list[Opening]:
        """Every time the test split was opened, in order."""
        return read_json_lines(self.paths.openings, Opening)

    def write_baselines(self, baselines: dict[str, dict[str, float]]) -> None:
        write_json(self.paths.baselines, baselines)

    def baselines(self) -> dict[str, dict[str, float]]:
        """Every metric of the baselines on the test split; empty before that is opened."""
        return read_json(self.paths.baselines, dict) if self.paths.baselines.exists() else {}

    def conclude(self, state: str, reason: str | None) -> None:
        """Write how the study as a whole ended."""
        ended = {arm: self._ended(arm) for arm in self.study_file.arms}
        write_json(self.paths.conclusion, asdict(Conclusion(state, reason, time.time(), ended)))

    def conclusion(self) -> Conclusion | None:
        """How the study ended; None before it has.

        Raises:
            DamagedRecord: it is not what was written there, or an arm has fewer trials than it had then.
        """
        if not self.paths.conclusion.exists():
            return None
        conclusion = read_json(self.paths.conclusion, Conclusion)
        for arm, ended in conclusion.trials.items():
            if (there := self._ended(arm)) < ended:
                text = f"{ended} of its trials had ended when the study did, and {there} are there"
                raise DamagedRecord(self.paths.trials / arm, text)
        return conclusion

    def _ended(self, arm: str) -> int:
        return sum(trial.outcome is not None for trial in self.trials(arm))

    def reopen(self) -> None:
        """There may be more to do."""
        self.paths.conclusion.unlink(missing_ok=True)

    def set_aside(self) -> str:
        """Rename this study's folder to its ``free_name``; returns that."""
        name = self.free_name()
        self.paths.folder.rename(self.paths.studies / name)
        return name

    def free_name(self) -> str:
        """The first of ``NAME.1``, ``NAME.2``, ... that no study has; a long name is cut, so that it stays one."""
        taken = {path.name for path in self.paths.studies.iterdir()}
        endings = (f".{number}" for number in itertools.count(1))
        names = (f"{self.paths.name[: MAX_NAME_LENGTH - len(ending)]}{ending}" for ending in endings)
        return next(name for name in names if name not in taken)

    def state(self) -> str:
        """``running``, how it was concluded, or ``interrupted`` when nobody works on an unfinished study."""
        if self.holder() is not None:
            return "running"
        conclusion = self.conclusion()
        return conclusion.state if conclusion else "interrupted"

    def holder(self) -> Lease | None:
        """Who runs this study now, if anybody does."""
        return holder(self.paths)

    def driven_s(self) -> float:
        """How long this study has been driven, over all launches; a running one is some seconds ahead."""
        lease = read_lease(self.paths)
        return lease.driven_s if lease else 0.0

    @contextmanager
    def driving(
        self,
        on_heartbeat: Callable[[], None] = lambda: None,
        on_loss: Callable[[], None] = lambda: None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> Iterator[Holding]:
        """Be the one process that writes this record; see ``study.lease.hold``.

        Raises:
            StudyError: another process is.
        """
        made = [folder for folder in (self.paths.folder, self.paths.studies) if not folder.exists()]
        self.paths.folder.mkdir(parents=True, exist_ok=True)
        try:
            with hold(self.paths, on_heartbeat, on_loss, tell) as holding:
                # Another process may have amended the study until now.
                self.__dict__.pop("_amended", None)
                yield holding
        finally:
            # What comes to nothing leaves nothing; a folder that holds anything stays.
            with suppress(OSError):
                for folder in made:
                    folder.rmdir()


def _digest(plan: dict[str, Any]) -> str:
    locked = {"file": plan["file"], "data": plan["data_digest"], "code": plan["environment"].get("code")}
    # Plans that are older than it keep their digest.
    if splits := plan.get("splits"):
        locked["splits"] = splits
    return hashlib.sha256(json.dumps(locked, sort_keys=True).encode()).hexdigest()
