"""A foreman who does as a test wants, and trainings that go wrong in every way."""

import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpgan_core import trainable
from hpgan_core.errors import BadInput
from hpgan_core.trainable import EpochReport
from hpgan_core.windows import MotionData
from study.job import Job, train_job
from study.record import Failure


@dataclass
class Crew:
    """A foreman with a list of jobs, who remembers what he is told and does as the test wants."""

    jobs: list[Job]
    stop_at: dict[str, int] = field(default_factory=dict)
    reports: dict[str, list[EpochReport]] = field(default_factory=dict)
    events: list[tuple[str, str]] = field(default_factory=list)
    processes: dict[str, list[int]] = field(default_factory=dict)
    retries: dict[str, list[Failure]] = field(default_factory=dict)
    failures: dict[str, Failure | None] = field(default_factory=dict)

    def next_job(self) -> Job | None:
        return self.jobs.pop(0) if self.jobs else None

    def on_start(self, key: str, place: str) -> None:
        self.events.append(("start", key))

    def on_process(self, key: str, place: str, process: int, environment: dict[str, Any]) -> None:
        assert place == socket.gethostname()
        assert environment["threads"] == 1
        self.processes.setdefault(key, []).append(process)

    def on_retry(self, key: str, failure: Failure) -> None:
        self.events.append(("retry", key))
        self.retries.setdefault(key, []).append(failure)

    def on_epoch(self, key: str, report: EpochReport) -> bool:
        self.reports.setdefault(key, []).append(report)
        return report.epoch >= self.stop_at.get(key, 1_000_000)

    def on_end(self, key: str, failure: Failure | None) -> None:
        self.events.append(("end", key))
        self.failures[key] = failure

    def epochs(self, key: str) -> list[int]:
        return [report.epoch for report in self.reports.get(key, [])]

    def story(self, key: str) -> list[str]:
        """What became of a trial: the kind of every failure, and at last of the whole."""
        failure = self.failures[key]
        return [failure.kind for failure in self.retries.get(key, [])] + [failure.kind if failure else "ended"]


def a_report(epoch: int, **means: Any) -> EpochReport:
    report = EpochReport.summarise(epoch, [{"val/score": 0.5}], seconds=0.0)
    report.mean.update(means)
    return report


def train_carefully(job: Job, data: MotionData, report: Callable[[EpochReport], None]) -> None:
    """For real, with a checkpoint after every epoch."""
    trainable.CHECKPOINT_INTERVAL_S = -1.0
    train_job(job, data, report)


def hoard(job: Job, data: MotionData, report: Callable[[EpochReport], None]) -> None:
    """Report how many MB this process has; then take 200 more, in pieces that only the collector of cycles finds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    report(a_report(1, memory_mb=pages * resource.getpagesize() / 2**20))
    pieces: list[Any] = [bytearray(2**16) for _ in range(3200)]
    pieces.append(pieces)


def misbehave(job: Job, data: MotionData, report: Callable[[EpochReport], None]) -> None:
    """Two epochs, and between them what the job's key says; after a hyphen, in how many attempts."""
    fault, _, times = job.key.partition("-")
    attempts = Path(job.folder) / "attempts"
    with attempts.open("a") as file:
        file.write(f"{job.halvings} ")
    report(a_report(1))
    if len(attempts.read_text().split()) <= int(times or 1_000):
        FAULTS[fault](report)
    report(a_report(2))


def _take_memory(report: Callable[[EpochReport], None]) -> None:
    """A real failure to allocate: this process may have 256 MB more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 2**28
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    bytearray(2**29)


def _clean_up(report: Callable[[EpochReport], None], act: Callable[[], None]) -> None:
    try:
        report(a_report(2))
        report(a_report(3))
    finally:
        act()


def _linger(report: Callable[[EpochReport], None]) -> None:
    # How long Tune waits for a stopped training before it gives up the next one.
    os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = "1"
    _clean_up(report, lambda: time.sleep(600))


def _fail_to_clean_up() -> None:
    raise OSError("cannot clean up")


def _fail(error: BaseException) -> Callable[[Any], None]:
    def fail(report: Callable[[EpochReport], None]) -> None:
        raise error

    return fail


FAULTS: dict[str, Callable[[Callable[[EpochReport], None]], Any]] = {
    "good": lambda report: None,
    "bug": lambda report: {}["no such key"],
    "iteration": _fail(StopIteration("of ours")),
    "input": _fail(BadInput("hidden_size = 0 is outside 1 to 8192")),
    "exit": lambda report: sys.exit(3),
    "exit0": lambda report: sys.exit(0),
    "os_exit": lambda report: os._exit(0),
    "kill": lambda report: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": lambda report: os.kill(os.getpid(), signal.SIGSEGV),
    "memory": _take_memory,
    "slow": lambda report: _clean_up(report, lambda: time.sleep(10)),
    "unclean": lambda report: _clean_up(report, _fail_to_clean_up),
    "lingering": _linger,
    "nan": lambda report: report(a_report(2, **{"val/score": float("nan")})),
    "inf": lambda report: report(a_report(2, **{"val/score": float("inf")})),
    "none": lambda report: report(a_report(2, **{"val/score": None})),
    "text": lambda report: report(a_report(2, **{"val/score": "0.5"})),
    "nothing": lambda report: report(None),  # type: ignore[arg-type]
}
