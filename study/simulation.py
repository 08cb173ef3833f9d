"""A study at simulated time: the real phases, sampler, pruner and record; only the training is replayed.

What a finished study has recorded answers for every configuration that is asked for: the trial of the same arm whose
configuration is nearest trains as it did then, and takes as long. So other numbers of workers, pruners, samplers and
budgets can be tried in seconds. What comes out is a forecast of times and of what would have been stopped, no result.
"""

import heapq
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TypeVar

from hpgan_core.trainable import EpochReport
from study.budget import Pace
from study.errors import BadStudyInput
from study.job import Job
from study.paths import StudyPaths
from study.phases import ConfirmPhase, SearchPhase, ShortlistPhase
from study.record import Record, Request, Trial
from study.sections import Value
from study.space import CategoricalParameter, Parameter, active_parameters
from study.study_file import StudyFile

T = TypeVar("T")


@dataclass(frozen=True)
class Forecast:
    """How a study would go.

    Attributes:
        workers: trials at a time.
        search_s, shortlist_s, confirm_s: simulated time of the phases.
        device_hours: of all trials, by the devices of one.
        idle: share of the workers' time in which they had nothing to do.
        states: how many search trials end in each state.
        best: for each arm with a complete trial its best objective.
        budget_spent: which budget ended the search, if one did.
        real_s: how long this simulation took.
    """

    workers: int
    search_s: float
    shortlist_s: float
    confirm_s: float
    device_hours: float
    idle: float
    states: dict[str, int]
    best: dict[str, float]
    budget_spent: str | None
    real_s: float

    @property
    def makespan_s(self) -> float:
        return self.search_s + self.shortlist_s + self.confirm_s


class Curves(Protocol):
    """What training gives."""

    def curve(self, request: Request, job: Job) -> Iterator[EpochReport]: ...


class Replay:
    """The recorded curves of a study, by configuration.

    Args:
        record: whose trials are replayed.
        study_file: the study that is simulated; its parameters say what near is.

    Raises:
        BadStudyInput: an arm has no trial to replay.
    """

    def __init__(self, record: Record, study_file: StudyFile) -> None:
        self.study_file = study_file
        self.recorded = {
            arm: [trial for trial in record.trials(arm) if trial.epochs()]
            for arm in study_file.arms
            if arm in record.study_file.arms
        }
        if missing := [arm for arm in study_file.arms if not self.recorded.get(arm)]:
            raise BadStudyInput(f"study {record.paths.name!r} has no trial to replay of: {', '.join(missing)}")
        self._epochs: dict[str, list[dict[str, Any]]] = {}

    def curve(self, request: Request, job: Job) -> Iterator[EpochReport]:
        """What the nearest recorded trial reported, epoch by epoch, for as many members as the job has.

        A trial that was stopped stays where it was. A confirmation replays a confirmation where there is one. A job's
        members are those that were recorded, again and again; an epoch takes time in proportion to their number.
        """
        recorded = self.recorded[request.arm]
        parameters = active_parameters(self.study_file, request.arm)
        nearest = min(
            [trial for trial in recorded if trial.request.phase == request.phase] or recorded,
            # Of equal ones the trial of the same number, which makes a replay of the study itself exact.
            key=lambda trial: (
                distance(parameters, trial.request.parameters, request.parameters),
                trial.request.number != request.number,
                -len(self._of(trial)),
            ),
        )
        epochs, n_recorded = self._of(nearest), len(nearest.request.seeds)
        for number in range(1, job.settings["epochs"] + 1):
            epoch = epochs[min(number, len(epochs)) - 1]
            seconds = epoch["seconds"] * len(job.seeds) / n_recorded
            by_member = [
                {name: values[member % n_recorded] for name, values in epoch["members"].items()}
                for member in range(len(job.seeds))
            ]
            yield EpochReport.summarise(number, by_member, seconds)

    def _of(self, trial: Trial) -> list[dict[str, Any]]:
        if trial.key not in self._epochs:
            self._epochs[trial.key] = trial.epochs()
        return self._epochs[trial.key]


def distance(parameters: Mapping[str, Parameter], one: Mapping[str, Value], other: Mapping[str, Value]) -> float:
    """Between two configurations: every parameter counts from 0 to 1, and 1 where only one of them has it."""
    return math.hypot(
        *(
            _apart(parameter, one[name], other[name]) if name in one and name in other else 1.0
            for name, parameter in parameters.items()
        )
    )


def _apart(parameter: Parameter, one: Value, other: Value) -> float:
    if isinstance(parameter, CategoricalParameter):
        if not (parameter.ordered and {one, other} <= set(parameter.values)):
            return float(one != other)
        return abs(parameter.values.index(one) - parameter.values.index(other)) / max(1, len(parameter.values) - 1)
    low, high, first, second = (float(number) for number in (parameter.min, parameter.max, one, other))
    if parameter.log:
        # What was recorded may lie outside this study's range.
        low, high, first, second = (math.log(max(number, low)) for number in (low, high, first, second))
    return abs(first - second) / (high - low) if high > low else 0.0


def forecast(study_file: StudyFile, replay: Replay, workers: int) -> Forecast:
    """Run a study in a folder that is thrown away.

    Args:
        study_file: with the sampler, pruner, budgets and numbers to try.
        replay: what training gives.
        workers: trials at a time.
    """
    began = time.perf_counter()
    with TemporaryDirectory(prefix="simulation-") as folder:
        record = Record(StudyPaths(Path(folder), study_file.name))
        with record.driving():
            record.create(study_file, "", data_digest="simulated", environment={})
            workshop = Workshop(replay, record, workers)
            search = SearchPhase(record, [], pace=Pace(workshop.elapsed_s, workers))
            workshop.run(search)
            search_s = workshop.elapsed_s()
            if study_file.shortlist() is not None:
                workshop.run(ShortlistPhase(record, []))
            shortlist_s = workshop.elapsed_s() - search_s
            if study_file.confirm is not None:
                workshop.run(ConfirmPhase(record, []))
            winners = {arm: winner for arm in study_file.arms if (winner := record.winner(arm))}
            states = Counter(trial.state for trial in record.trials(phase="search"))
    elapsed_s, resources = workshop.elapsed_s(), study_file.resources
    return Forecast(
        workers=workers,
        search_s=search_s,
        shortlist_s=shortlist_s,
        confirm_s=elapsed_s - search_s - shortlist_s,
        device_hours=workshop.busy_s * (resources.gpus_per_trial or resources.cpus_per_trial) / 3600,
        idle=1 - workshop.busy_s / (elapsed_s * workers) if elapsed_s else 0.0,
        states=dict(states),
        best={arm: trial.outcome.objective for arm, trial in winners.items() if trial.outcome},  # type: ignore[misc]
        budget_spent=search.budget_spent,
        real_s=time.perf_counter() - began,
    )


class Workshop:
    """Workers at simulated time, and one driver that deals with them one after the other.

    Args:
        curves: what trials train like.
        record: of the study.
        workers: trials at a time.
        cost: what dealing with a worker takes at simulated time, given the seconds that it took in truth; nothing, for
            a driver that is never in anybody's way.

    Attributes:
        busy_s: that workers have trained.
        waited_s: that workers have waited for the driver.
        dealt_s: that the driver has been busy with them, in truth.
        dealings: how often.
    """

    def __init__(
        self, curves: Curves, record: Record, workers: int, cost: Callable[[float], float] = lambda seconds: 0.0
    ) -> None:
        self.curves, self.record, self.workers, self.cost = curves, record, workers, cost
        self.busy_s = self.waited_s = self.dealt_s = self._now = 0.0
        self.dealings = 0

    def elapsed_s(self) -> float:
        return self._now

    def run(self, phase: SearchPhase | ShortlistPhase | ConfirmPhase) -> None:
        """Train whatever the phase asks for, to its end."""
        # The ends of epochs, in their order; that of equal times is the order of their scheduling.
        events: list[tuple[float, int, str, EpochReport, Iterator[EpochReport]]] = []
        order = count()

        def train(key: str, curve: Iterator[EpochReport], idle_since: float) -> bool:
            report = next(curve, None)
            if report is None:
                return False
            self.busy_s += report.seconds
            self.waited_s += self._now - idle_since
            heapq.heappush(events, (self._now + report.seconds, next(order), key, report, curve))
            return True

        def begin() -> Job | None:
            if (job := phase.next_job()) is not None:
                phase.on_start(job.key, "simulated")
            return job

        def hire(idle_since: float) -> None:
            while len(events) < self.workers and (job := self._deal(begin)) is not None:
                request = self.record.trial(*job.key.split("/")).request
                train(job.key, self.curves.curve(request, job), idle_since)

        hire(self._now)
        while events:
            due, _, key, report, curve = heapq.heappop(events)
            self._now = max(self._now, due)
            stopped = self._deal(lambda key=key, report=report: phase.on_epoch(key, report))  # type: ignore[misc]
            if stopped or not train(key, curve, due):
                self._deal(lambda key=key: phase.on_end(key, None))  # type: ignore[misc]
                hire(due)

    def _deal(self, action: Callable[[], T]) -> T:
        began = time.perf_counter()
        result = action()
        seconds = time.perf_counter() - began
        self._now += self.cost(seconds)
        self.dealt_s += seconds
        self.dealings += 1
        return result
