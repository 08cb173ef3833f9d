"""The phases of a study as foremen of the executor: search every arm, run its shortlist, confirm its winner.

Each fact goes to the record first and to Optuna second, so that a driver that dies between the two is put right by the
next one.
"""

import logging
import shutil
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from hpgan_core.config import TrainingConfig
from hpgan_core.trainable import EpochReport
from study.agenda import is_superseded, lacking_requests, planned_trials, waiting_retries
from study.budget import Pace, Spending
from study.errors import DamagedRecord
from study.job import Job
from study.record import Attempt, Failure, Outcome, Phase, Record, Request, State, Trial
from study.search import ArmSearch, database_url, open_storage
from study.space import active_parameters, configuration
from study.trial_record import search_name
from study.warm_start import read_lessons

LOGGER = logging.getLogger(__name__)
Ending = tuple[State, Failure | None]
# In tests, and wherever nobody measures.
UNHURRIED = Pace(driven_s=lambda: 0.0, slots=1)


class Listener(Protocol):
    """Who is told what happens: the progress display, the tracker."""

    def trial_started(self, trial: Trial, place: str) -> None: ...

    def epoch_reported(self, trial: Trial, epoch: dict[str, Any]) -> None: ...

    def trial_ended(self, trial: Trial, outcome: Outcome) -> None: ...


@dataclass
class _Running:
    """A trial in training."""

    trial: Trial
    last_epoch: int
    attempt: Attempt | None = None


class _Phase:
    """What all phases share: the trials in training and their way into the record.

    Args:
        record: the study, which this process drives.
        listeners: who is told.
        stopping: whether the study is to stop; what is in training then is left to be gone on with.
    """

    def __init__(
        self, record: Record, listeners: list[Listener], *, stopping: Callable[[], bool] = lambda: False
    ) -> None:
        self.record, self.listeners, self.study_file = record, list(listeners), record.study_file
        self.stopping = stopping
        self.running: dict[str, _Running] = {}

    def job(self, trial: Trial) -> Job:
        """Make a trial a job; an interrupted one goes on from its checkpoint."""
        request, resources = trial.request, self.study_file.resources
        self.running[request.key] = _Running(trial, trial.last_epoch())
        return Job(
            key=request.key,
            settings=request.settings,
            seeds=tuple(request.seeds),
            folder=str(trial.paths.folder.resolve()),
            stop_file=str(self.record.paths.stop.resolve()),
            test=request.phase == "confirm",
            threads=resources.cpus_per_trial,
            gpu=resources.gpus_per_trial > 0,
        )

    def objective(self, epoch: dict[str, Any]) -> float | None:
        """The mean over the members that have not diverged; None when all have."""
        value: float | None = epoch["mean"].get(self.study_file.objective.metric)
        return value

    def on_start(self, key: str, place: str) -> None:
        running = self.running[key]
        running.attempt = running.trial.begin_attempt(place)
        for listener in self.listeners:
            listener.trial_started(running.trial, place)

    def on_process(self, key: str, place: str, process: int, environment: dict[str, Any]) -> None:
        running = self.running[key]
        if running.attempt is not None:
            told = replace(running.attempt, place=place, process=process, environment=environment)
            running.attempt = running.trial.write_attempt(told)

    def on_retry(self, key: str, failure: Failure) -> None:
        running = self.running[key]
        if running.attempt is not None:
            running.trial.end_attempt(running.attempt, failure.kind, failure.cause)

    def on_epoch(self, key: str, report: EpochReport) -> bool:
        running = self.running[key]
        # A resumed process tells again what is known, and one that is to stop may tell more: the outcome has been
        # written over the epochs before it.
        if report.epoch > running.last_epoch and running.trial.outcome is None:
            epoch = asdict(replace(report, motions=None)) | {"time": self.record.now()}
            del epoch["motions"]
            running.trial.append_epoch(epoch)
            running.last_epoch = report.epoch
            self.conclude(running.trial, epoch)
            for listener in self.listeners:
                listener.epoch_reported(running.trial, epoch)
        return running.trial.state in ("pruned", "failed")

    def conclude(self, trial: Trial, epoch: dict[str, Any]) -> None:
        """Write the trial's outcome where this epoch is its last."""
        if ending := self.judge(trial.request, epoch):
            state, failure = ending
            if failure is None:
                trial.close(state, self.objective(epoch))
            else:
                trial.close(state, None, failure.cause, failure.kind)

    def judge(self, request: Request, epoch: dict[str, Any]) -> Ending | None:
        """How the trial ends with this epoch, and why if it fails; None when it goes on."""
        if not epoch["mean"]:
            return "failed", Failure("diverged", f"every member diverged by epoch {epoch['epoch']}")
        return ("complete", None) if epoch["epoch"] == request.settings["epochs"] else None

    def on_end(self, key: str, failure: Failure | None) -> None:
        running = self.running.pop(key)
        trial, undecided = running.trial, running.trial.outcome is None
        left_open = undecided and self.stopping()
        if running.attempt is not None:
            kind = failure.kind if failure else "stopped" if left_open else None
            trial.end_attempt(running.attempt, kind, failure.cause if failure else None)
        if left_open:
            self.leave(trial)
            return
        if undecided and failure is None:
            epochs = trial.request.settings["epochs"]
            failure = Failure("bug", f"the training ended by itself after epoch {running.last_epoch} of {epochs}")
        # An outcome that an epoch has decided stands.
        outcome = trial.close("failed", None, failure.cause, failure.kind) if undecided and failure else trial.outcome
        assert outcome is not None
        self.tell(trial, outcome)
        for listener in self.listeners:
            listener.trial_ended(trial, outcome)

    def tell(self, trial: Trial, outcome: Outcome) -> None:
        """Pass an outcome on."""

    def leave(self, trial: Trial) -> None:
        """Pass on that a trial is left open, to be gone on with by whoever drives the study next."""


class SearchPhase(_Phase):
    """Equal numbers of trials for every arm, in turn.

    Attributes:
        too_many_failed: why the study is to end here; None while it may go on.
        budget_spent: which budget does not allow another round of trials; None while all do.
    """

    def __init__(
        self,
        record: Record,
        listeners: list[Listener],
        *,
        stopping: Callable[[], bool] = lambda: False,
        pace: Pace = UNHURRIED,
        tell: Callable[[str], None] = LOGGER.warning,
    ) -> None:
        super().__init__(record, listeners, stopping=stopping)
        self.too_many_failed: str | None = None
        self.budget_spent: str | None = None
        url = database_url(self.study_file.storage)
        tables = open_storage(record.paths.optuna, url, record.plan["id"], tell)
        lessons = read_lessons(record.paths)
        self.arms = {
            arm: ArmSearch(
                tables,
                self.study_file,
                arm,
                active_parameters(self.study_file, arm),
                position,
                [(lesson.values, lesson.results) for lesson in lessons if lesson.arm == arm],
            )
            for position, arm in enumerate(self.study_file.arms)
        }
        self.planned = {arm: planned_trials(record, arm) for arm in self.arms}
        self.interrupted = deque(trial for arm in self.arms for trial in self._reconcile(arm))
        self.retries = {arm: deque(waiting_retries(record, arm)) for arm in self.arms}
        # A trial that repeats another is no part of a round.
        repeats = Counter(trial.request.arm for trial in record.trials(phase="search") if trial.request.retry_of)
        self.repeats = {arm: repeats[arm] + len(self.retries[arm]) for arm in self.arms}
        self.spending = Spending(record, pace)
        self.listeners.append(self.spending)

    def _reconcile(self, arm: str) -> list[Trial]:
        """Bring Optuna up to the record; the trials that have no outcome are to be gone on with.

        Everything is told again in the order in which it happened, since pruners compare with what was there.
        """
        search = self.arms[arm]
        for trial in self.record.trials(arm, "search"):
            self._expect_values_of(trial)
            search.adopt(trial.request.number, trial.request.parameters)
        recorded = len(self.record.trials(arm, "search"))
        for number in filter(search.has_results, range(recorded, search.asked())):
            folder = self.record.paths.trial(arm, search_name(number)).folder
            raise DamagedRecord(folder, "it is missing, and the search's database has its results")
        for number, values in search.open_trials().items():
            self.record.start(self.request(arm, number, values))
        trials = self.record.trials(arm, "search")
        open_trials = [trial for trial in trials if trial.outcome is None]
        epochs = [(epoch["time"], trial, epoch) for trial in trials for epoch in trial.epochs()]
        endings = [(outcome.ended_at, trial, None) for trial in trials if (outcome := trial.outcome)]
        for time, trial, epoch in sorted([*epochs, *endings], key=lambda event: event[0]):
            self.record.now(after=time)
            if epoch is not None:
                self.conclude(trial, epoch)
            elif outcome := trial.outcome:
                self.tell(trial, outcome)
        for trial in open_trials:
            if outcome := trial.outcome:
                self.tell(trial, outcome)
        interrupted = [trial for trial in open_trials if trial.outcome is None]
        for trial in interrupted:
            self.leave(trial)
        return interrupted

    def _expect_values_of(self, trial: Trial) -> None:
        """The values of a trial must be such as its arm has.

        Raises:
            DamagedRecord: they are others.
        """
        parameters, values = active_parameters(self.study_file, trial.request.arm), trial.request.parameters
        if values.keys() != parameters.keys() or not all(parameters[name].contains(values[name]) for name in values):
            raise DamagedRecord(trial.paths.request, "its parameters are not those that its arm has")

    def request(self, arm: str, number: int, values: Mapping[str, Any], retried: Trial | None = None) -> Request:
        search = self.study_file.search
        return Request(
            arm=arm,
            trial=search_name(number),
            phase="search",
            number=number,
            parameters=dict(values),
            settings=TrainingConfig.from_mapping(
                configuration(self.study_file, arm, values, search.epochs)
            ).to_mapping(),
            seeds=list(range(search.members)),
            started_at=self.record.now(),
            retry_of=retried.request.trial if retried else None,
        )

    def next_job(self) -> Job | None:
        if self.stopping():
            return None
        if self.interrupted:
            trial = self.interrupted.popleft()
            self.arms[trial.request.arm].go_on(trial.request.number)
            return self.job(trial)
        self.too_many_failed = self.spending.too_many_failed()
        arm = self._next_arm()
        if arm is None or self.too_many_failed:
            return None
        # A round that has begun is finished: arms are compared on equal budgets.
        begun = self._round(arm) < max(map(self._round, self.arms))
        if not begun and not self.retries[arm]:
            self.budget_spent = self.spending.too_dear()
            if self.budget_spent:
                return None
        search = self.arms[arm]
        if self.retries[arm]:
            retried = self.retries[arm].popleft()
            request = self.request(arm, search.asked(), retried.request.parameters, retried)
            trial = self.record.start(request)
            search.adopt(request.number, request.parameters)
        else:
            trial = self.record.start(self.request(arm, *search.ask()))
        return self.job(trial)

    def _next_arm(self) -> str | None:
        """The arm that has had the fewest rounds and is not through."""
        waiting = [
            arm
            for arm, search in self.arms.items()
            if search.asked() < self.planned[arm] and (self.retries[arm] or not search.exhausted)
        ]
        return min(waiting, key=self._round, default=None)

    def _round(self, arm: str) -> int:
        return self.arms[arm].asked() - self.repeats[arm]

    def judge(self, request: Request, epoch: dict[str, Any]) -> Ending | None:
        if epoch["diverged"]:
            text = f"{epoch['diverged']} of {len(request.seeds)} members diverged at epoch {epoch['epoch']}"
            return "failed", Failure("diverged", text)
        metric = self.study_file.objective.metric
        prune = self.arms[request.arm].report(
            request.number, epoch["epoch"], epoch["mean"][metric], epoch["members"][metric]
        )
        return super().judge(request, epoch) or (("pruned", None) if prune else None)

    def tell(self, trial: Trial, outcome: Outcome) -> None:
        # Weights of search trials are many and beaten; configuration and seeds give them back.
        shutil.rmtree(trial.paths.checkpoints, ignore_errors=True)
        request, goals = trial.request, self.study_file.goals()
        results: list[float] | None = None
        if outcome.state == "complete":
            mean = trial.epochs()[-1]["mean"]
            results = [mean[goal.metric] for goal in goals]
        self.arms[request.arm].tell(request.number, outcome.state, results, outcome.cause)

    def leave(self, trial: Trial) -> None:
        self.arms[trial.request.arm].wait(trial.request.number)


class _RepeatPhase(_Phase):
    """The best of the search once more, on new seeds, in full length."""

    phase: Phase
    superseded: str

    def __init__(
        self, record: Record, listeners: list[Listener], *, stopping: Callable[[], bool] = lambda: False
    ) -> None:
        super().__init__(record, listeners, stopping=stopping)
        begun = [trial for trial in record.trials(phase=self.phase) if trial.outcome is None]
        for trial in begun:
            if is_superseded(record, trial):
                trial.close("pruned", None, self.superseded)
            elif epochs := trial.epochs():
                self.conclude(trial, epochs[-1])
        open_requests = [trial.request for trial in begun if trial.outcome is None]
        self.waiting = deque([*open_requests, *lacking_requests(record, self.phase)])

    def next_job(self) -> Job | None:
        if self.stopping() or not self.waiting:
            return None
        return self.job(self.record.start(self.waiting.popleft()))


class ShortlistPhase(_RepeatPhase):
    """Each arm's candidates on seeds that have not picked them, on the validation split: the best is the winner."""

    phase = "shortlist"
    superseded = "other trials have become the best of this arm"

    def tell(self, trial: Trial, outcome: Outcome) -> None:
        # As those of the search: configuration and seeds give them back.
        shutil.rmtree(trial.paths.checkpoints, ignore_errors=True)


class ConfirmPhase(_RepeatPhase):
    """Each arm's winner on fresh seeds, with the test split."""

    phase = "confirm"
    superseded = "another trial has become the winner of this arm"
