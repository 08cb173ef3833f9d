"""Ray Tune as a disposable executor: jobs in, epoch reports out; nothing else in this package knows it.

Tune decides nothing. What to run next, when to stop a trial and what it all means is the ``Foreman``'s; Tune starts
processes where there are free processors, brings their reports, and notices when they die.
"""

import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

# Before Ray is imported: no usage report leaves the machine; a metric that a trial lacks is our business, not a reason
# to end the study.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")
os.environ.setdefault("TUNE_FUNCTION_THREAD_TIMEOUT_S", "120")
os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", "1")
os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

import ray
from ray import tune
from ray.exceptions import RayActorError
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from hpgan_core.trainable import EpochReport
from hpgan_core.windows import MotionData
from study.errors import StudyError
from study.job import Job, train_job

# The cause of a failed trial stands in the record; Tune would print every traceback and the list of such trials.
logging.getLogger("ray.tune").setLevel(logging.CRITICAL)

MAX_ATTEMPTS = 3
CONNECT_TIMEOUT_S = 5.0


class Foreman(Protocol):
    """Who decides. Calls come one at a time, from the driver's thread."""

    def next_job(self) -> Job | None:
        """The next trial to train, or None when there is none left."""

    def on_start(self, key: str, place: str) -> None:
        """A process has begun, or begun again, to train this trial."""

    def on_epoch(self, key: str, report: EpochReport) -> bool:
        """Take a report; True stops the trial."""

    def on_end(self, key: str, error: str | None) -> None:
        """A trial has stopped, been stopped, or failed for the last time."""


@dataclass(frozen=True)
class Resources:
    """What one trial occupies. Fractions of a GPU put several trials on one."""

    cpus: float
    gpus: float
    max_concurrent: int | None


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Start a local Ray, or join the one at ``address``.

    Raises:
        StudyError: Ray cannot be started or reached.
    """
    with ExitStack() as stack:
        local: dict[str, Any] = {}
        if address is not None:
            _expect_listener(address)
            if os.environ.keys() & {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}:
                # Ray does not use the token it is given unless it is told to.
                os.environ.setdefault("RAY_AUTH_MODE", "token")
        else:
            # A token of this process alone, so that no file appears in the home folder. A short path: those of sockets
            # are limited.
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True))
            local = {"include_dashboard": False, "_temp_dir": temporary}
        try:
            ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **local)
        except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
            where = f"reach Ray at {address}" if address else "start a local Ray"
            raise StudyError(
                f"cannot {where}: {str(error) or type(error).__name__}; check the address, the token and that it runs"
            ) from error
        stack.callback(ray.shutdown)
        yield


def _expect_listener(address: str) -> None:
    """Fail within seconds where nobody listens at ``HOST:PORT``: Ray itself waits for minutes.

    Raises:
        StudyError: nobody does.
    """
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdigit():
        return  # A word of Ray's, such as auto.
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        raise StudyError(
            f"cannot reach Ray at {address}: {error}; check the address and that Ray runs there"
        ) from error


def slots(resources: Resources) -> int:
    """How many trials this cluster runs at a time, now; nodes may come and go.

    Raises:
        StudyError: no node has what one trial needs.
    """
    fitting = _fitting(resources)
    if fitting < 1:
        nodes = "; ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in _nodes())
        raise StudyError(
            f"a trial needs {resources.cpus:g} CPUs and {resources.gpus:g} GPUs on one node, but this Ray cluster has "
            f"{nodes or 'no node'}; change resources in the study file"
        )
    return fitting


def _fitting(resources: Resources) -> int:
    wanted = {kind: amount for kind, amount in (("CPU", resources.cpus), ("GPU", resources.gpus)) if amount > 0}
    fitting = sum(min(int(node.get(kind, 0.0) / amount) for kind, amount in wanted.items()) for node in _nodes())
    return min(fitting, resources.max_concurrent or fitting)


def _nodes() -> list[dict[str, float]]:
    """What each living node has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def run(foreman: Foreman, data: MotionData, resources: Resources, scratch: Path) -> bool:
    """Train what the foreman asks for, in parallel, until it has no more.

    Returns:
        False when the run was interrupted (Ctrl-C or SIGTERM) before the foreman was done.

    Raises:
        StudyError: no node of the cluster has what one trial needs.
        Exception: whatever the foreman raised; Tune is brought down first.
    """
    slots(resources)
    tune_adapter = _Adapter(foreman, resources)
    trainable = tune.with_resources(
        tune.with_parameters(_train_job, data=data), {"cpu": resources.cpus, "gpu": resources.gpus}
    )
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=tune_adapter,
            scheduler=_Scheduler(tune_adapter),
            num_samples=-1,
            reuse_actors=resources.gpus == 0,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(scratch.resolve()),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=MAX_ATTEMPTS - 1),
            callbacks=[_Callback(tune_adapter)],
        ),
    )
    with terminate_like_interrupt():
        tuner.fit()
    shutil.rmtree(scratch, ignore_errors=True)
    if tune_adapter.broken is not None:
        raise tune_adapter.broken
    return tune_adapter.exhausted and not tune_adapter.running


@contextmanager
def terminate_like_interrupt() -> Iterator[None]:
    """Python and Tune wind down on SIGINT; let SIGTERM do the same."""
    before = signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _train_job(config: dict[str, Any], data: MotionData) -> None:
    """The trainable: runs in a worker process."""
    train_job(Job(**config["job"]), data, lambda report: tune.report({"report": report}))


class _Adapter(Searcher):
    """What Tune takes for a search algorithm: passes everything to the foreman, and nothing back that could hurt Tune.

    An exception in a searcher ends the whole of Tune with a message of its own; the foreman's is kept for ``run``.
    """

    def __init__(self, foreman: Foreman, resources: Resources) -> None:
        super().__init__()
        self.foreman, self.resources = foreman, resources
        self.running: dict[str, str] = {}
        self.errors: dict[str, str] = {}
        self.exhausted = False
        self.broken: Exception | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles its searcher into files that nobody reads; ours holds locks and databases.
        return object, ()

    def suggest(self, trial_id: str) -> Any:
        if self.broken or self.exhausted:
            return str(Searcher.FINISHED)
        if len(self.running) >= max(1, _fitting(self.resources)):
            return None
        try:
            job = self.foreman.next_job()
        except Exception as error:
            self.broken = error
            return str(Searcher.FINISHED)
        if job is None:
            self.exhausted = True
            return str(Searcher.FINISHED)
        self.running[trial_id] = job.key
        return {"job": asdict(job)}

    def started(self, trial_id: str, place: str) -> None:
        self._call(lambda: self.foreman.on_start(self.running[trial_id], place))

    def reported(self, trial_id: str, report: EpochReport) -> bool:
        stop = self._call(lambda: self.foreman.on_epoch(self.running[trial_id], report))
        return bool(stop) or self.broken is not None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        key = self.running.pop(trial_id, None)
        if key is not None:
            cause = self.errors.pop(trial_id, "the process ended without a message") if error else None
            self._call(lambda: self.foreman.on_end(key, cause))

    def _call(self, action: Any) -> Any:
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


class _Scheduler(FIFOScheduler):
    """Stops the trials that the foreman wants stopped."""

    def __init__(self, adapter: _Adapter) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.adapter = adapter

    def __reduce__(self) -> tuple[Any, ...]:
        return object, ()

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        if "report" not in result:
            return str(TrialScheduler.CONTINUE)
        stop = self.adapter.reported(trial.trial_id, result["report"])
        return str(TrialScheduler.STOP if stop else TrialScheduler.CONTINUE)

    def on_trial_error(self, tune_controller: Any, trial: TuneTrial) -> None:
        error = trial.get_pickled_error()
        told = trial.error_file
        self.adapter.errors[trial.trial_id] = _cause(error) if error else _last_line(told and Path(told).read_text())


class _Callback(tune.Callback):
    def __init__(self, adapter: _Adapter) -> None:
        self.adapter = adapter

    def __reduce__(self) -> tuple[Any, ...]:
        return object, ()

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self.adapter.started(trial.trial_id, trial.node_ip or "this machine")


def _cause(error: BaseException) -> str:
    """The innermost reason, in one line: what Ray wraps around it helps nobody."""
    if isinstance(error, RayActorError):
        return "the training process died: it was killed, or crashed"
    cause = getattr(error, "cause", None)
    while isinstance(cause, BaseException) and cause is not error:
        error, cause = cause, getattr(cause, "cause", None)
    return f"{type(error).__name__}: {_last_line(str(error))}"[:500]


def _last_line(text: str | None) -> str:
    return next((line for line in reversed((text or "").splitlines()) if line.strip()), "no message was left")
