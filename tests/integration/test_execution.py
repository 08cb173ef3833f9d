"""The executor on a real Ray: processes that run side by side, fail, die, are stopped and interrupted."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from hpgan_core import trainable
from hpgan_core.config import TrainingConfig
from hpgan_core.trainable import EpochReport
from hpgan_core.windows import MotionData
from study import execution
from study.errors import StudyError
from study.execution import Resources
from study.job import Job, train_job

ONE_CPU = Resources(1, 0, None)


@pytest.fixture(scope="module", autouse=True)
def ray_cluster() -> Iterator[None]:
    with execution.cluster(None):
        yield


@dataclass
class Crew:
    """A foreman with a list of jobs, who remembers what he is told and does as the test wants."""

    jobs: list[Job]
    stop_at: dict[str, int] = field(default_factory=dict)
    reports: dict[str, list[EpochReport]] = field(default_factory=dict)
    events: list[tuple[str, str]] = field(default_factory=list)
    errors: dict[str, str | None] = field(default_factory=dict)

    def next_job(self) -> Job | None:
        return self.jobs.pop(0) if self.jobs else None

    def on_start(self, key: str, place: str) -> None:
        self.events.append(("start", key))

    def on_epoch(self, key: str, report: EpochReport) -> bool:
        self.reports.setdefault(key, []).append(report)
        return report.epoch >= self.stop_at.get(key, 1_000_000)

    def on_end(self, key: str, error: str | None) -> None:
        self.events.append(("end", key))
        self.errors[key] = error

    def epochs(self, key: str) -> list[int]:
        return [report.epoch for report in self.reports[key]]


@pytest.fixture
def make_job(tmp_path: Path, tiny: TrainingConfig) -> Any:
    def make(key: str, **settings: Any) -> Job:
        folder = tmp_path / key
        folder.mkdir()
        return Job(key, tiny.to_mapping() | settings, (0, 1), str(folder), test=False)

    return make


def workers() -> list[int]:
    """Processes that train for this one: children of the node that it started."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                is_worker = (process / "cmdline").read_bytes().startswith(b"ray::ImplicitFunc")
                if is_worker and _parent(_parent(int(process.name))) == os.getpid():
                    found.append(int(process.name))
            except OSError:
                continue  # It has just ended.
    return found


def _parent(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in status if line.startswith("PPid:")))


def test_jobs_run_side_by_side_in_processes_of_their_own(motion: MotionData, make_job: Any, tmp_path: Path) -> None:
    class Watching(Crew):
        def on_epoch(self, key: str, report: EpochReport) -> bool:
            seen.update(workers())
            return super().on_epoch(key, report)

    seen: set[int] = set()
    crew = Watching([make_job(key, epochs=40) for key in "abc"])
    assert execution.run(crew, motion, ONE_CPU, tmp_path / "ray")
    assert crew.errors == {"a": None, "b": None, "c": None}
    assert all(crew.epochs(key) == list(range(1, 41)) for key in "abc")
    assert [kind for kind, _ in crew.events[:2]] == ["start", "start"]
    assert len(seen) >= 2
    assert os.getpid() not in seen


def test_a_limit_of_one_runs_one_after_the_other(motion: MotionData, make_job: Any, tmp_path: Path) -> None:
    crew = Crew([make_job(key) for key in "ab"])
    assert execution.run(crew, motion, Resources(1, 0, 1), tmp_path / "ray")
    assert crew.events == [("start", "a"), ("end", "a"), ("start", "b"), ("end", "b")]


def test_jobs_write_their_motions_and_keep_them_off_the_wire(motion: MotionData, make_job: Any, tmp_path: Path) -> None:
    crew = Crew([make_job("a")])
    execution.run(crew, motion, ONE_CPU, tmp_path / "ray")
    assert (tmp_path / "a" / "motions.npz").exists()
    assert [report.motions for report in crew.reports["a"]] == [None, None, None]
    assert not (tmp_path / "ray").exists()


def test_the_same_job_gives_the_same_numbers_in_a_worker_as_here(
    motion: MotionData, make_job: Any, tmp_path: Path
) -> None:
    crew = Crew([make_job("there")])
    here: list[EpochReport] = []
    execution.run(crew, motion, ONE_CPU, tmp_path / "ray")
    train_job(make_job("here"), motion, here.append)
    assert [report.members for report in here] == [report.members for report in crew.reports["there"]]


def test_a_stopped_trial_ends_and_frees_its_place(motion: MotionData, make_job: Any, tmp_path: Path) -> None:
    crew = Crew([make_job("long", epochs=5000), make_job("next")], stop_at={"long": 2})
    started = time.monotonic()
    assert execution.run(crew, motion, Resources(1, 0, 1), tmp_path / "ray")
    assert crew.epochs("long") == [1, 2]
    assert crew.epochs("next") == [1, 2, 3]
    assert crew.errors == {"long": None, "next": None}
    assert time.monotonic() - started < 60


def test_an_error_in_a_trial_is_its_own_and_names_its_cause(motion: MotionData, make_job: Any, tmp_path: Path) -> None:
    crew = Crew([make_job("bad", hidden_size=0), make_job("good")])
    assert execution.run(crew, motion, ONE_CPU, tmp_path / "ray")
    assert crew.errors["good"] is None
    assert crew.epochs("good") == [1, 2, 3]
    assert crew.errors["bad"] == "BadInput: hidden_size = 0 is outside 1 to 8192"
    assert crew.events.count(("start", "bad")) == execution.MAX_ATTEMPTS


def test_a_killed_trial_goes_on_from_its_checkpoint(
    motion: MotionData, make_job: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killer(Crew):
        def on_epoch(self, key: str, report: EpochReport) -> bool:
            if report.epoch == 5 and self.events.count(("start", key)) == 1:
                (worker,) = workers()
                os.kill(worker, signal.SIGKILL)
            return super().on_epoch(key, report)

    job = make_job("a", epochs=8)
    monkeypatch.setattr(trainable, "CHECKPOINT_INTERVAL_S", 0.0)
    before: list[EpochReport] = []

    def until_three(report: EpochReport) -> None:
        before.append(report)
        if report.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_job(job, motion, until_three)
    crew = Killer([job])
    assert execution.run(crew, motion, ONE_CPU, tmp_path / "ray")
    assert crew.errors == {"a": None}
    attempts = crew.events.count(("start", "a"))
    assert attempts == 2
    second = crew.reports["a"][-8:]
    assert [report.epoch for report in second] == list(range(1, 9))
    # What the checkpoint holds is told again with the times of its first training.
    assert [report.seconds for report in second[:3]] == [report.seconds for report in before]
    uninterrupted: list[EpochReport] = []
    train_job(replace(job, folder=str(tmp_path / "again")), motion, uninterrupted.append)
    assert [report.members for report in second] == [report.members for report in uninterrupted]


def test_a_trial_that_dies_every_time_is_given_up(motion: MotionData, make_job: Any, tmp_path: Path) -> None:
    class Killer(Crew):
        def on_epoch(self, key: str, report: EpochReport) -> bool:
            if key == "doomed" and report.epoch == 1:
                for worker in workers():
                    os.kill(worker, signal.SIGKILL)
            return super().on_epoch(key, report)

    crew = Killer([make_job("doomed", epochs=2000), make_job("next")])
    assert execution.run(crew, motion, Resources(1, 0, 1), tmp_path / "ray")
    assert crew.events.count(("start", "doomed")) == execution.MAX_ATTEMPTS
    assert crew.errors["doomed"] == "the training process died: it was killed, or crashed"
    assert crew.errors["next"] is None


@pytest.mark.parametrize("where", ["next_job", "on_start", "on_epoch", "on_end"])
def test_the_foremans_own_error_ends_the_run_and_is_raised(
    motion: MotionData, make_job: Any, tmp_path: Path, where: str
) -> None:
    class Faulty(Crew):
        pass

    def fail(*_: Any) -> Any:
        raise OSError("no space left on device")

    setattr(Faulty, where, fail)
    crew = Faulty([make_job(key, epochs=30) for key in "ab"])
    with pytest.raises(OSError, match="no space left on device"):
        execution.run(crew, motion, ONE_CPU, tmp_path / "ray")


@pytest.mark.parametrize("interrupt", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_so_and_judges_no_trial(
    motion: MotionData, make_job: Any, tmp_path: Path, interrupt: signal.Signals
) -> None:
    class Interrupting(Crew):
        def on_epoch(self, key: str, report: EpochReport) -> bool:
            if report.epoch == 2:
                os.kill(os.getpid(), interrupt)
            return super().on_epoch(key, report)

    crew = Interrupting([make_job("a", epochs=5000)])
    before = signal.getsignal(signal.SIGTERM)
    assert not execution.run(crew, motion, ONE_CPU, tmp_path / "ray")
    assert crew.errors == {}
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("resources", "missing"), [(Resources(512, 0, None), "512 CPUs and 0 GPUs"), (Resources(1, 0.5, None), "0.5 GPUs")]
)
def test_what_no_node_has_is_refused_at_once(
    motion: MotionData, make_job: Any, tmp_path: Path, resources: Resources, missing: str
) -> None:
    with pytest.raises(StudyError, match=rf"a trial needs .*{missing} on one node, but this Ray cluster has"):
        execution.run(Crew([make_job("a")]), motion, resources, tmp_path / "ray")


def test_fractions_of_a_processor_make_more_slots() -> None:
    whole = execution.slots(ONE_CPU)
    assert whole == os.cpu_count()
    assert execution.slots(Resources(0.5, 0, None)) == 2 * whole
    assert execution.slots(Resources(0.5, 0, 3)) == min(3, 2 * whole)


def test_an_address_where_nobody_listens_is_refused_within_seconds() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    started = time.monotonic()
    with pytest.raises(StudyError, match=f"cannot reach Ray at {address}"), execution.cluster(address):
        pass
    assert time.monotonic() - started < execution.CONNECT_TIMEOUT_S + 1


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "no-such-host.invalid:6379", "ray://127.0.0.1:1"])
def test_an_address_that_cannot_be_is_refused(address: str) -> None:
    with pytest.raises(StudyError, match="cannot reach Ray at"), execution.cluster(address):
        pass
