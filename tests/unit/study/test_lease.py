"""The lease: one holder, whoever comes at once, dies, or has another clock."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from study import lease
from study.errors import StudyError
from study.paths import StudyPaths
from study.record import Record
from study.stopping import ask_to_stop

NewRecord = Callable[..., Record]

# argv: studies, what the file system and the watching are like, then what to do once it drives.
PROGRAM = """
import errno, fcntl, pathlib, sys, time
from study import lease
from study.errors import StudyError
from study.paths import StudyPaths
studies, kind, name = pathlib.Path(sys.argv[1]), sys.argv[2], "small"
lease.HEARTBEAT_S, lease.PATIENCE_S = 0.1, 2.0
if "no locks" in kind:
    def flock(*_):
        raise OSError(errno.ENOLCK, "no locks available")
    fcntl.flock = flock
if "elsewhere" in kind:
    lease._boot = lambda: "another machine"
while time.time() < float(sys.argv[3]):
    time.sleep(0.001)
try:
    with lease.hold(StudyPaths(studies, name), lambda: None, lambda: print("lost", flush=True), lambda _: None):
        print("driving", flush=True)
        sys.stdin.read()
except StudyError as error:
    print("refused", error, flush=True)
"""


def start(record: Record, kind: str = "", at: float = 0.0) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PROGRAM, str(record.paths.studies), kind, str(at)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextmanager
def driving(record: Record, kind: str = "") -> Iterator["subprocess.Popen[str]"]:
    """Another process that drives; killed in the end."""
    with start(record, kind) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "driving\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the other processes of these tests."""
    monkeypatch.setattr(lease, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(lease, "PATIENCE_S", 2.0)


def leases(record: Record) -> list[str]:
    return sorted(path.name for path in record.paths.lease.glob("[0-9]*.json"))


@pytest.mark.usefixtures("hasty")
def test_a_second_process_is_refused_and_told_who_drives(new_record: NewRecord) -> None:
    record = new_record()
    with driving(record) as other:
        assert record.state() == "running"
        with pytest.raises(StudyError, match=f"'small' is being run by process {other.pid} on "), record.driving():
            pass


def test_a_killed_holder_on_this_machine_is_taken_over_at_once(new_record: NewRecord) -> None:
    record = new_record()
    with driving(record) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        started = time.monotonic()
        assert record.holder() is None
        with record.driving() as holding:
            assert holding.lease.process == os.getpid()
        # Not by watching for a minute.
        assert time.monotonic() - started < 5


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("kind", ["elsewhere", "no locks", "elsewhere, no locks"])
def test_a_silent_holder_elsewhere_is_watched_and_then_taken_over(new_record: NewRecord, kind: str) -> None:
    record, told = new_record(), list[str]()
    with driving(record, kind) as other:
        other.send_signal(signal.SIGSTOP)
        if "no locks" not in kind:
            # The lock of a machine elsewhere is not seen here.
            record.paths.lock.unlink()
        started = time.monotonic()
        with record.driving(tell=told.append) as holding:
            assert time.monotonic() - started > (0 if kind == "no locks" else lease.PATIENCE_S)
            assert holding.lease.process == os.getpid()
            # Whoever wakes up too late finds out.
            other.send_signal(signal.SIGCONT)
            assert other.stdout is not None
            assert other.stdout.readline() == "lost\n"
        if told:
            assert f"process {other.pid} on " in told[0]


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("hours", [-24, 24])
def test_a_living_holder_elsewhere_is_left_alone_whatever_its_clock_says(new_record: NewRecord, hours: int) -> None:
    record = new_record()
    with driving(record, "elsewhere, no locks"):
        path = record.paths.lease / leases(record)[0]
        clock = json.loads(path.read_text())
        path.write_text(json.dumps(clock | {"renewed_at": clock["renewed_at"] + 3600 * hours}))
        with pytest.raises(StudyError, match="is being run by"), record.driving():
            pass


@pytest.fixture
def dead_elsewhere(new_record: NewRecord) -> Record:
    """A study whose driver has died on another machine, the clock of which was an hour ahead."""
    record = new_record()
    with driving(record, "elsewhere, no locks") as other:
        other.kill()
        other.wait()
    path = record.paths.lease / leases(record)[0]
    last = json.loads(path.read_text())
    path.write_text(json.dumps(last | {"renewed_at": last["renewed_at"] + 3600}))
    return record


@pytest.mark.usefixtures("hasty")
def test_a_dead_holder_whose_clock_was_ahead_is_taken_over_too(dead_elsewhere: Record) -> None:
    assert dead_elsewhere.state() == "running", "as far as can be told at once"
    lease.expect_no_local_holder(dead_elsewhere.paths)
    with dead_elsewhere.driving() as holding:
        assert holding.lease.process == os.getpid()


@pytest.mark.usefixtures("hasty")
def test_whoever_waits_for_a_dead_holder_is_told(dead_elsewhere: Record) -> None:
    with pytest.raises(StudyError, match="no sign of life for 2 s; `study resume small` takes over"):
        lease.wait_for_release(dead_elsewhere.paths)


@pytest.mark.usefixtures("hasty")
def test_who_keeps_drivers_out_is_alone_and_drives_not(new_record: NewRecord) -> None:
    record = new_record()
    with lease.keep_out(record.paths):
        assert record.holder() is None
        with start(record) as other:
            assert other.stdout is not None
            assert other.stdout.readline().startswith("refused study 'small' is being run by ")
        with pytest.raises(StudyError, match="another process publishes study 'small'"), lease.keep_out(record.paths):
            pass
    with driving(record):
        with pytest.raises(StudyError, match="or runs it; wait for it"), lease.keep_out(record.paths):
            pass
        with pytest.raises(StudyError, match="is being run by"):
            lease.expect_no_local_holder(record.paths)


@pytest.mark.usefixtures("hasty")
def test_only_numbers_are_leases(new_record: NewRecord) -> None:
    record = new_record()
    with record.driving() as holding:
        (record.paths.lease / "notes.json").write_text("{}")
        assert not holding.is_lost()
        (record.paths.lease / "999999.json").write_text("{}")
        assert holding.is_lost()


@pytest.mark.usefixtures("hasty")
def test_a_clock_that_is_set_back_harms_no_holder(new_record: NewRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    record, lost = new_record(), list[bool]()
    with record.driving(on_loss=lambda: lost.append(True)) as holding:
        before = holding.driven_s()
        monkeypatch.setattr(time, "time", lambda: 1_000_000.0)
        time.sleep(0.5)
        assert record.holder() is not None
        assert 0.5 <= holding.driven_s() - before < 5
    assert lost == []


@pytest.mark.parametrize("kind", ["", "no locks"])
@pytest.mark.parametrize("before", ["nobody", "released", "killed"])
def test_of_many_that_come_at_once_one_wins(new_record: NewRecord, kind: str, before: str) -> None:
    record = new_record()
    if before == "nobody":
        for path in record.paths.lease.iterdir():
            path.unlink()
    elif before == "killed":
        with driving(record, kind):
            pass
    processes = [start(record, kind, at=time.time() + 3.0) for _ in range(6)]
    try:
        words = [process.stdout.readline().split()[0] for process in processes if process.stdout]
        assert sorted(words) == ["driving"] + ["refused"] * 5
        assert len(leases(record)) == 1
        winner = processes[words.index("driving")]
        assert json.loads((record.paths.lease / leases(record)[0]).read_text())["process"] == winner.pid
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_asking_who_drives_does_not_drive_anyone_away(new_record: NewRecord) -> None:
    record = new_record()
    program = """
import sys, pathlib, time
from study.record import Record
record = Record.open(pathlib.Path(sys.argv[1]), "small")
print("asking", flush=True)
end = time.monotonic() + 3
while time.monotonic() < end:
    record.state()
"""
    command = [sys.executable, "-c", program, str(record.paths.studies)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        asking.stdout.readline()
        for _ in range(20):
            with record.driving():
                pass
        asking.kill()


def test_how_long_a_study_has_been_driven_adds_up_over_launches_and_kills(new_record: NewRecord) -> None:
    record = new_record()
    with record.driving():
        time.sleep(0.3)
    first = record.driven_s()
    assert 0.3 <= first < 3
    with driving(record):
        time.sleep(0.5)
    second = record.driven_s()
    # Up to the last heartbeat.
    assert first + 0.2 <= second < first + 5
    with record.driving() as holding:
        assert holding.driven_s() >= second


def test_a_lease_that_was_never_written_is_taken_over(new_record: NewRecord, hasty: None) -> None:
    record = new_record()
    with record.driving():
        pass
    (number, _) = leases(record)[-1].split(".")
    (record.paths.lease / f"{int(number) + 1:06d}.json").touch()
    with record.driving() as holding:
        assert holding.path.stem == f"{int(number) + 2:06d}"


def test_a_heartbeat_that_finds_no_space_does_not_end_the_study(
    new_record: NewRecord, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, beats = new_record(), list[Any]()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with record.driving(on_heartbeat=lambda: beats.append(None)):
        monkeypatch.setattr(lease, "write_json", full)
        beats.clear()
        time.sleep(0.5)
        assert beats
    assert record.holder() is None


def test_a_folder_that_cannot_be_written_is_no_lease(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), lease.hold(StudyPaths(tmp_path, "no"), *(lambda *_: None,) * 3):
        pass


def test_a_study_that_comes_to_nothing_leaves_nothing(tmp_path: Path) -> None:
    record = Record(StudyPaths(tmp_path / "studies", "small"))
    with record.driving():
        assert record.holder() is not None
        ask_to_stop(record.paths, now=False)
    assert list(tmp_path.iterdir()) == []

    record.paths.folder.mkdir(parents=True)
    (record.paths.folder / "notes.txt").write_text("mine")
    with record.driving():
        pass
    assert [path.name for path in record.paths.folder.iterdir()] == ["notes.txt"]


def test_whoever_waits_for_one_that_comes_to_nothing_is_refused(tmp_path: Path) -> None:
    record, told = Record(StudyPaths(tmp_path, "small")), list[str]()
    record.paths.folder.mkdir()

    def come_second() -> None:
        try:
            with record.driving():
                told.append("driving")
        except StudyError as error:
            told.append(str(error))

    second = Thread(target=come_second)
    with lease.keep_out(record.paths):
        second.start()
        time.sleep(0.3)
        record.paths.lock.unlink()
    second.join()
    assert told == ["study 'small' is being run by another process; wait for it, or stop it with `study stop small`"]
