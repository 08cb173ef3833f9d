"""The executor on a real Ray: processes that run side by side, are stopped, killed and interrupted."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from hpgan_core import trainable
from hpgan_core.trainable import EpochReport
from hpgan_core.windows import MotionData
from study import execution
from study.errors import StudyError
from study.execution import Resources
from study.execution.aftermath import at_work_in
from study.execution.cluster import CONNECT_TIMEOUT_S
from study.job import Job, train_job
from tests.integration.execution.crew import Crew, hoard

ONE_CPU = Resources(1, 0, None)


@pytest.fixture(scope="module", autouse=True)
def ray_cluster() -> Iterator[None]:
    with execution.cluster(None):
        yield


def test_jobs_run_side_by_side_in_processes_of_their_own(motion: MotionData, make_job: Any, tmp_path: Path) -> None:
    class Company(Crew):
        def on_epoch(self, key: str, report: EpochReport) -> bool:
            super().on_epoch(key, report)
            return report.epoch >= 3 and len(self.processes) > 1

    crew = Company([make_job(key, epochs=5000) for key in "abc"])
    execution.run(crew, motion, ONE_CPU, tmp_path / "ray")
    assert crew.failures == {"a": None, "b": None, "c": None}
    assert all(len(crew.epochs(key)) >= 3 for key in "abc")
    assert all(crew.epochs(key) == list(range(1, len(crew.epochs(key)) + 1)) for key in "abc")
    assert [kind for kind, _ in crew.events[:2]] == ["start", "start"]
    processes = {process for told in crew.processes.values() for process in told}
    assert len(processes) == 2
    assert os.getpid() not in processes


def test_a_limit_of_one_runs_one_after_the_other(motion: MotionData, make_job: Any, tmp_path: Path) -> None:
    crew = Crew([make_job(key) for key in "ab"])
    execution.run(crew, motion, Resources(1, 0, 1), tmp_path / "ray")
    assert crew.events == [("start", "a"), ("end", "a"), ("start", "b"), ("end", "b")]


def test_a_process_gives_back_what_its_trials_have_taken(motion: MotionData, make_job: Any, tmp_path: Path) -> None:
    crew = Crew([make_job(key) for key in "abcde"])
    execution.run(crew, motion, Resources(1, 0, 1), tmp_path / "ray", hoard)
    assert len({process for told in crew.processes.values() for process in told}) == 1
    taken = [crew.reports[key][0].mean["memory_mb"] for key in "abcde"]
    assert max(taken) < taken[0] + 100


def test_a_slow_trial_starves_no_other(motion: MotionData, make_job: Any, tmp_path: Path) -> None:
    class Waiting(Crew):
        def on_epoch(self, key: str, report: EpochReport) -> bool:
            super().on_epoch(key, report)
            return key == "slow" and len(self.failures) == 3

    crew = Waiting([make_job("slow", epochs=5000), *(make_job(key) for key in "abc")])
    execution.run(crew, motion, Resources(1, 0, 2), tmp_path / "ray")
    assert crew.failures == dict.fromkeys(("slow", "a", "b", "c"))
    assert crew.events[-1] == ("end", "slow")


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
    execution.run(crew, motion, Resources(1, 0, 1), tmp_path / "ray")
    assert crew.epochs("long") == [1, 2]
    assert crew.epochs("next") == [1, 2, 3]
    assert crew.failures == {"long": None, "next": None}
    assert time.monotonic() - started < 60


def test_a_killed_trial_goes_on_from_its_checkpoint(
    motion: MotionData, make_job: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killer(Crew):
        def on_epoch(self, key: str, report: EpochReport) -> bool:
            if report.epoch == 5 and self.events.count(("start", key)) == 1:
                os.kill(self.processes[key][-1], signal.SIGKILL)
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
    execution.run(crew, motion, ONE_CPU, tmp_path / "ray")
    assert crew.failures == {"a": None}
    attempts = crew.events.count(("start", "a"))
    assert attempts == 2
    second = crew.reports["a"][-8:]
    assert [report.epoch for report in second] == list(range(1, 9))
    # What the checkpoint holds is told again with the times of its first training.
    assert [report.seconds for report in second[:3]] == [report.seconds for report in before]
    uninterrupted: list[EpochReport] = []
    train_job(replace(job, folder=str(tmp_path / "again")), motion, uninterrupted.append)
    assert [report.members for report in second] == [report.members for report in uninterrupted]


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


def test_an_interrupt_ends_the_run_and_judges_no_trial(motion: MotionData, make_job: Any, tmp_path: Path) -> None:
    class Interrupting(Crew):
        def on_epoch(self, key: str, report: EpochReport) -> bool:
            if report.epoch == 2:
                os.kill(os.getpid(), signal.SIGINT)
            return super().on_epoch(key, report)

    crew = Interrupting([make_job("a", epochs=5000)])
    with pytest.raises(KeyboardInterrupt):
        execution.run(crew, motion, ONE_CPU, tmp_path / "ray")
    assert crew.failures == {}
    assert not (tmp_path / "ray").exists()


def test_a_stop_file_ends_a_training_with_a_checkpoint_to_go_on_from(
    motion: MotionData, make_job: Any, tmp_path: Path
) -> None:
    class Draining(Crew):
        def on_epoch(self, key: str, report: EpochReport) -> bool:
            super().on_epoch(key, report)
            stop_file.touch()
            return False

        def next_job(self) -> Job | None:
            return None if stop_file.exists() else super().next_job()

    stop_file = tmp_path / "stop.json"
    jobs = [replace(make_job(key, epochs=5000), stop_file=str(stop_file)) for key in "ab"]
    crew = Draining(list(jobs))
    execution.run(crew, motion, Resources(1, 0, 1), tmp_path / "ray")
    assert crew.failures == {"a": None}
    last = crew.epochs("a")[-1]
    assert last < 5000
    checkpoints = (tmp_path / "a" / "checkpoints").iterdir()
    assert max(path.name.split("-")[1] for path in checkpoints) == f"{last:06d}"
    told: list[EpochReport] = []
    train_job(jobs[0], motion, told.append)
    assert told == [], "a training began although there is a stop file"


@pytest.mark.parametrize(
    ("resources", "missing"), [(Resources(512, 0, None), "512 CPUs and 0 GPUs"), (Resources(1, 0.5, None), "0.5 GPUs")]
)
def test_what_no_node_has_is_refused_at_once(resources: Resources, missing: str) -> None:
    with pytest.raises(StudyError, match=rf"a trial needs .*{missing} on one node, but this Ray cluster has"):
        execution.slots(resources)


def test_fractions_of_a_processor_make_more_slots() -> None:
    whole = execution.slots(ONE_CPU)
    assert whole == os.cpu_count()
    assert execution.slots(Resources(0.5, 0, None)) == 2 * whole
    assert execution.slots(Resources(0.1, 0, None)) == 10 * whole
    assert execution.slots(Resources(0.5, 0, 3)) == min(3, 2 * whole)


def test_an_address_where_nobody_listens_is_refused_within_seconds() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    started = time.monotonic()
    with pytest.raises(StudyError, match=f"cannot reach Ray at {address}"), execution.cluster(address):
        pass
    assert time.monotonic() - started < CONNECT_TIMEOUT_S + 1


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "no-such-host.invalid:6379", "ray://127.0.0.1:1"])
def test_an_address_that_cannot_be_is_refused(address: str) -> None:
    with pytest.raises(StudyError, match="cannot reach Ray at"), execution.cluster(address):
        pass


SLOW_TO_START = """
import os, ray, sys
from pathlib import Path
from ray._private import services
from study import execution
from study.execution.aftermath import at_work_in

find, folders, patience = services.get_node, [], int(sys.argv[1])

def others_in(folder):
    return set(at_work_in(folder)) - {os.getpid()}

def find_late(gcs_address, node_id):
    node = find(gcs_address, node_id)
    folders.append(Path(node["object_store_socket_name"]).parents[2])
    assert len(others_in(folders[-1])) >= 2
    if len(folders) <= patience:
        raise Exception("The current node timed out during startup.")
    return node

services.get_node = find_late
try:
    with execution.cluster(None):
        print(ray.get(ray.remote(lambda: "up").remote()))
        print([len(others_in(folder)) > 0 for folder in folders])
finally:
    print([folder.exists() or len(others_in(folder)) > 0 for folder in folders])
"""


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        (1, ("up\n[False, True]\n[False, False]\n", "")),
        (2, ("[False, False]\n", "cannot start a local Ray: The current node timed out during startup.; check free")),
    ],
)
def test_a_ray_that_does_not_come_up_in_time_is_started_once_more(failures: int, expected: tuple[str, str]) -> None:
    command = [sys.executable, "-c", SLOW_TO_START, str(failures)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.stdout == expected[0]
    assert expected[1] in done.stderr
    assert (done.returncode == 0) == (failures == 1)


def test_a_local_ray_is_reached_from_this_machine_alone() -> None:
    script = "import ray; from study import execution\n"
    script += "with execution.cluster(None): print(ray.get(ray.remote(lambda: 0).remote()), flush=True); input()"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdin
        assert driver.stdout
        assert driver.stdout.readline() == "0\n"
        processes = [psutil.Process(driver.pid), *psutil.Process(driver.pid).children(recursive=True)]
        listening = {
            (process.name(), connection.laddr.ip)
            for process in processes
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }
        driver.communicate("\n", timeout=60)
    assert {"gcs_server", "raylet"} <= {name for name, _ in listening}
    assert {address.removeprefix("::ffff:") for _, address in listening} == {"127.0.0.1"}


def test_nothing_is_left_of_a_driver_that_was_killed() -> None:
    script = "import ray, sys; from study import execution\n"
    script += "with execution.cluster(None): print(ray.nodes()[0]['ObjectStoreSocketName'], flush=True); input()"
    driver = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    folder = Path(driver.stdout.readline()).parents[2]
    assert folder.name.startswith("ray-")
    started = set(at_work_in(folder))
    assert len(started) >= 5
    driver.kill()
    driver.communicate()
    deadline = time.monotonic() + 15
    while (folder.exists() or started & set(at_work_in(folder))) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not folder.exists()
    assert not started & set(at_work_in(folder))


def test_a_driver_that_is_told_to_end_says_nothing_of_rays() -> None:
    script = "import signal, sys, time; from study import execution\n"
    script += "signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\n"
    script += "with execution.cluster(None): print('ready', flush=True); time.sleep(60)"
    driver = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    assert driver.stdout.readline() == "ready\n"
    driver.terminate()
    assert driver.communicate(timeout=30) == ("", "")
    assert driver.returncode == 75
