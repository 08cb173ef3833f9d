"""Between Tune, which asks and tells through three interfaces, and the foreman, who decides."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from hpgan_core.trainable import EpochReport
from study.errors import StudyError
from study.execution.cluster import Slots, is_alive, memory_kills_on
from study.execution.failures import ENDED_BY_KERNEL, failure_of_process, killed_for_memory, next_attempt
from study.job import Job
from study.record import Failure

T = TypeVar("T")

# A process takes seconds to start, and until then no run ends: work of a moment is left to the first.
ALONE_S = 1.0
# Of a process that died before it could say where it is.
UNKNOWN_PLACE = "unknown"


class Foreman(Protocol):
    """Who decides. Calls come one at a time, from the driver's thread."""

    def next_job(self) -> Job | None:
        """The next trial to train, or None when there is none; asked again after a trial in training has ended."""

    def on_start(self, key: str, place: str) -> None:
        """A process is about to train this trial, for the first time or again."""

    def on_process(self, key: str, place: str, process: int, environment: dict[str, Any]) -> None:
        """It has said which one it is, and what its numbers depend on."""

    def on_retry(self, key: str, failure: Failure) -> None:
        """It failed, and another one will be started."""

    def on_epoch(self, key: str, report: EpochReport) -> bool:
        """Take a report; True stops the trial."""

    def on_end(self, key: str, failure: Failure | None) -> None:
        """A trial has stopped, been stopped, or failed for the last time."""


@dataclass
class _Attempt:
    """One execution of a job, which is one trial to Tune."""

    job: Job
    trial: TuneTrial | None = None
    node: str | None = None
    process: int | None = None
    memory_kills: int = 0
    failure: Failure | None = None


class Adapter(Searcher):
    """What Tune takes for a search algorithm: passes everything to the foreman, and nothing back that could hurt Tune.

    An exception in a searcher ends the whole of Tune with a message of its own; the foreman's is kept for ``run``.

    Attributes:
        broken: what ends the run.
        is_done: nothing is left to suggest.
    """

    def __init__(self, foreman: Foreman, slots: Slots) -> None:
        super().__init__()
        self.foreman, self.slots = foreman, slots
        self.broken: Exception | None = None
        self.is_done = False
        self._running: dict[str, _Attempt] = {}
        self._failures: dict[str, list[Failure]] = {}
        self._again: deque[Job] = deque()
        self._nothing_left = False
        self._first_started_at: float | None = None
        self._idle_processes = 0

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles its searcher into files that nobody reads; ours holds locks and databases.
        return object, ()

    def suggest(self, trial_id: str) -> Any:
        self._find_unstartable()
        if self._has_room() and (job := self._next_job()) is not None:
            self._running[trial_id] = _Attempt(job)
            self._idle_processes = max(0, self._idle_processes - 1)
            return {"job": asdict(job)}
        if self._running and not self.broken:
            return None
        self.is_done = True
        return str(Searcher.FINISHED)

    def _has_room(self) -> bool:
        """Whether one more trial may begin: on a process that is free, or on a new one, if not too many are starting.

        A process that starts keeps a processor busy for seconds: no more of them at once than there are processors.
        """
        if len(self._running) >= self.slots.number() or self._is_momentary():
            return False
        starting = sum(attempt.node is None for attempt in self._running.values())
        return self._idle_processes > 0 or starting < max(1, self.slots.processors())

    def _is_momentary(self) -> bool:
        """Whether the first process trains, and may be through with everything before another would have started."""
        started_at = self._first_started_at
        return bool(self._running) and (started_at is None or time.monotonic() - started_at < ALONE_S)

    def _next_job(self) -> Job | None:
        if self._again:
            return self._again.popleft()
        # Nothing is left until something has ended: there is no asking many times a second.
        job = None if self._nothing_left else self._call(self.foreman.next_job)
        self._nothing_left = job is None
        return job

    def added(self, trial: TuneTrial) -> None:
        self._running[trial.trial_id].trial = trial

    def reported(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Take one message of a training process; True stops the trial."""
        attempt = self._running[trial_id]
        key, stop = attempt.job.key, False
        if "node" in result:
            self._first_started_at = self._first_started_at or time.monotonic()
            attempt.node, attempt.process = result["node"], result["pid"]
            attempt.memory_kills = result["memory_kills"]
            self._call(lambda: self.foreman.on_start(key, result["hostname"]))
            who = key, result["hostname"], result["pid"], dict(result["environment"])
            self._call(lambda: self.foreman.on_process(*who))
        elif "report" in result:
            stop = bool(self._call(lambda: self.foreman.on_epoch(key, result["report"])))
        elif "failure" in result:
            attempt.failure = result["failure"]
        elif "unwritable" in result:
            self.broken = self.broken or StudyError(f"a trial cannot be written: {result['unwritable']}")
        return stop or self.broken is not None

    def died(self, trial: TuneTrial) -> None:
        """A training process has ended otherwise than by returning."""
        attempt = self._running[trial.trial_id]
        if attempt.failure is None:
            node_is_alive = attempt.node is None or is_alive(attempt.node)
            failure = failure_of_process(trial.get_pickled_error(), node_is_alive=node_is_alive)
            if failure.kind == "crashed" and self._is_kill_for_memory(attempt):
                failure = ENDED_BY_KERNEL
            attempt.failure = failure

    def _is_kill_for_memory(self, attempt: _Attempt) -> bool:
        """Whether the kernel has ended a process on the attempt's node that no other attempt's death accounts for."""
        if attempt.node is None or memory_kills_on(attempt.node) <= attempt.memory_kills:
            return False
        for other in self._running.values():
            other.memory_kills += other.node == attempt.node
        return True

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        attempt = self._running.pop(trial_id, None)
        if attempt is None:
            return
        self._nothing_left = False
        job, failure = attempt.job, attempt.failure
        self._idle_processes += failure is None
        if attempt.node is None:
            self._call(lambda: self.foreman.on_start(job.key, UNKNOWN_PLACE))
        if failure is not None:
            failures = self._failures.setdefault(job.key, [])
            failures.append(failure)
            if (again := next_attempt(job, failures)) is not None:
                self._retry(again, failure)
                return
        self._failures.pop(job.key, None)
        self._call(lambda: self.foreman.on_end(job.key, failure))

    def _retry(self, job: Job, failure: Failure) -> None:
        self._call(lambda: self.foreman.on_retry(job.key, failure))
        self._again.append(job)

    def start_again(self, error: Exception) -> bool:
        """Tune has ended over an error that it does not know; whether trials were in training, which are tried again.

        The memory monitor's is one. Those that it did not mean are tried again as if nothing had been.
        """
        killed, in_training = killed_for_memory(error), list(self._running.items())
        for trial_id, attempt in in_training:
            if killed and attempt.process not in killed:
                del self._running[trial_id]
                self._retry(attempt.job, Failure("crashed", "ended with another trial, which ran out of memory"))
            else:
                attempt.failure = failure_of_process(error, node_is_alive=True)
                self.on_trial_complete(trial_id)
        return bool(in_training)

    def _find_unstartable(self) -> None:
        """Tune tells nobody of a trial that it gives up because the one before it does not leave its process."""
        for trial_id, attempt in list(self._running.items()):
            if attempt.trial is not None and attempt.trial.status == TuneTrial.ERROR:
                attempt.failure = Failure("crashed", "the trial before it did not leave its process")
                self.on_trial_complete(trial_id)

    def _call(self, action: Callable[[], T]) -> T | None:
        if self.broken:
            return None
        try:
            return action()
        except Exception as error:
            self.broken = error
            return None

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the record is what a study resumes from."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, see ``save``."""


class Scheduler(FIFOScheduler):
    """Stops the trials that the foreman wants stopped."""

    def __init__(self, adapter: Adapter) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.adapter = adapter

    def __reduce__(self) -> tuple[Any, ...]:
        return object, ()

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """None in particular. Tune's choice is the oldest, for which a process may be starting; a process that has just
        become free would take its trial and end the one that starts, so that short trials never got a second process.
        """

    def on_trial_add(self, tune_controller: Any, trial: TuneTrial) -> None:
        self.adapter.added(trial)

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        stop = self.adapter.reported(trial.trial_id, result)
        return str(TrialScheduler.STOP if stop else TrialScheduler.CONTINUE)

    def on_trial_error(self, tune_controller: Any, trial: TuneTrial) -> None:
        self.adapter.died(trial)
