"""MLflow that dies, hangs, refuses or was never there: nothing waits for it, and nothing is lost or doubled."""

import os
import pickle
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from study.errors import BadStudyInput
from study.record import Record, Trial
from study.tracking import Publisher, Tracker, Unreachable
from study.tracking.entries import Entry
from tests.processes import wait_until

MakeRecord = Callable[..., Record]
StartTrial = Callable[..., Trial]
Train = Callable[..., None]
Dump = Callable[[Tracker], dict[str, Any]]
Server = Any

# What one call of a listener may take while MLflow is away. Medians are microseconds; one that meets a pause of the
# machine takes longer.
LONGEST_MEDIAN_S = 50e-6
LONGEST_CALL_S = 0.25


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.tracking.publisher.INTERVAL_S", 0.1)
    monkeypatch.setattr("study.tracking.publisher.LONGEST_PAUSE_S", 0.5)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")


class Study:
    """Trials that train by turns and tell a publisher, which must never hold them up."""

    def __init__(self, record: Record, start_trial: StartTrial, train: Train, publisher: Publisher) -> None:
        self.record, self.start_trial, self.train, self.publisher = record, start_trial, train, publisher
        self.calls_s: list[float] = []

    def run(self, numbers: range, epochs: int, pause_s: float = 0.0) -> None:
        trials = [self.start_trial(self.record, number) for number in numbers]
        for trial in trials:
            self._call(lambda trial=trial: self.publisher.trial_started(trial, "here"))
        for _ in range(epochs):
            for trial in trials:
                self.train(trial, 1)
                self._call(lambda trial=trial: self.publisher.epoch_reported(trial, {}))
                time.sleep(pause_s)
        for trial in trials:
            outcome = trial.close("complete", 0.5)
            self._call(lambda trial=trial, outcome=outcome: self.publisher.trial_ended(trial, outcome))

    def _call(self, notify: Callable[[], None]) -> None:
        started = time.perf_counter()
        notify()
        self.calls_s.append(time.perf_counter() - started)

    def expect_no_delay(self) -> None:
        ordered = sorted(self.calls_s)
        assert ordered[len(ordered) // 2] < LONGEST_MEDIAN_S
        assert ordered[-1] < LONGEST_CALL_S


def expect_whole(content: dict[str, Any], record: Record) -> None:
    """Every trial once, ended as the record says, with every epoch once at its own time."""
    trials = {trial.key: trial for trial in record.trials()}
    assert content.keys() == trials.keys()
    for key, trial in trials.items():
        outcome = trial.outcome
        assert outcome is not None
        assert content[key]["run"][1] == "FINISHED"
        assert content[key]["run"][3] == int(outcome.ended_at * 1000)
        for name in trial.epochs()[0]["mean"]:
            expected = [
                (epoch["epoch"], int(epoch["time"] * 1000), repr(epoch["mean"][name])) for epoch in trial.epochs()
            ]
            assert content[key]["points"][name] == expected


def test_a_server_that_is_away_from_the_start_gets_everything_by_itself_when_it_comes(
    make_record: MakeRecord, start_trial: StartTrial, train: Train, server: Server, tmp_path: Path, dump: Dump
) -> None:
    record = make_record(tmp_path, tracking={"uri": server.uri})
    warnings: list[str] = []
    tracker = Tracker(record, record.study_file)
    publisher = Publisher(tracker, warnings.append)
    study = Study(record, start_trial, train, publisher)
    study.run(range(3), epochs=200)
    study.expect_no_delay()
    wait_until(lambda: warnings != [])
    server.start()
    wait_until(lambda: tracker.published.ended == 3)
    publisher.close()
    assert len(warnings) == 1
    assert f"cannot reach MLflow at {server.uri}" in warnings[0]
    assert "the study goes on" in warnings[0]
    expect_whole(dump(tracker), record)


def test_a_server_that_is_killed_in_a_storm_and_comes_back_has_every_epoch_once(
    make_record: MakeRecord, start_trial: StartTrial, train: Train, server: Server, tmp_path: Path, dump: Dump
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    record = make_record(tmp_path, name="storm", tracking={"uri": server.uri})
    warnings: list[str] = []
    tracker = Tracker(record, record.study_file)
    publisher = Publisher(tracker, warnings.append)
    study = Study(record, start_trial, train, publisher)
    storm = threading.Thread(target=study.run, args=(range(6), 100), kwargs={"pause_s": 0.005})
    storm.start()
    wait_until(lambda: tracker.published.points > 0)
    time.sleep(random.Random(seed).uniform(0, 1))
    server.kill()
    storm.join()
    study.expect_no_delay()
    server.start()
    wait_until(lambda: tracker.published.ended >= 6)
    publisher.close()
    expect_whole(dump(tracker), record)
    sent = Tracker(record, record.study_file).publish()
    assert (sent.runs, sent.points, sent.ended) == (0, 0, 0)


def test_a_server_that_is_paused_delays_nothing_and_doubles_nothing(
    make_record: MakeRecord, start_trial: StartTrial, train: Train, server: Server, tmp_path: Path, dump: Dump
) -> None:
    """What the client gives up is carried out when the server goes on: it must not make a second run."""
    record = make_record(tmp_path, name="paused", tracking={"uri": server.uri})
    tracker = Tracker(record, record.study_file)
    assert tracker.experiment_id
    publisher = Publisher(tracker, lambda warning: None)
    study = Study(record, start_trial, train, publisher)
    server.signal(signal.SIGSTOP)
    try:
        study.run(range(4), epochs=50, pause_s=0.02)
    finally:
        server.signal(signal.SIGCONT)
    study.expect_no_delay()
    publisher.close()
    later = Tracker(record, record.study_file)
    later.publish()
    expect_whole(dump(later), record)


def test_a_password_in_the_environment_is_used_but_never_stored(
    make_record: MakeRecord,
    start_trial: StartTrial,
    train: Train,
    server: Server,
    tmp_path: Path,
    dump: Dump,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = "s3cret-word"  # pragma: allowlist secret
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri.replace("//", f"//me:{secret}@"))
    record = make_record(tmp_path, name="secret")
    trial = start_trial(record, 0)
    train(trial, 3)
    trial.close("failed", None, "no reason")
    tracker = Tracker(record, record.study_file)
    assert tracker.publish().ended == 1
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == secret
    assert tracker.uri == server.uri
    assert dump(tracker).keys() == {"gt/t00"}
    written = [path for folder in (tmp_path, server.folder) for path in folder.rglob("*") if path.is_file()]
    assert server.database in written
    assert record.paths.plan in written
    assert [path for path in written if secret.encode() in path.read_bytes()] == []
    assert secret.encode() not in pickle.dumps(tracker.address)


@contextmanager
def nobody() -> Iterator[int]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]


@contextmanager
def somebody_silent() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def somebody_broken() -> Iterator[int]:
    class Broken(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(500)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *arguments: Any) -> None: ...  # noqa: A002

    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        try:
            yield http.server_address[1]
        finally:
            http.shutdown()


@pytest.mark.parametrize("listening", [nobody, somebody_silent, somebody_broken])
def test_a_server_that_never_works_costs_a_study_one_warning_and_seconds_at_its_end(
    make_record: MakeRecord, start_trial: StartTrial, train: Train, tmp_path: Path, listening: Any
) -> None:
    with listening() as port:
        record = make_record(tmp_path, tracking={"uri": f"http://127.0.0.1:{port}"})
        warnings: list[str] = []
        started = time.monotonic()
        publisher = Publisher(Tracker(record, record.study_file), warnings.append)
        assert time.monotonic() - started < 0.5
        study = Study(record, start_trial, train, publisher)
        study.run(range(2), epochs=300, pause_s=0.005)
        study.expect_no_delay()
        wait_until(lambda: warnings != [])
        closing = time.monotonic()
        publisher.close()
        assert time.monotonic() - closing < 10
        going_on, ending = warnings
        assert "the study goes on" in going_on
        assert f"`study publish {record.paths.name}" in ending
        with pytest.raises(Unreachable, match=f"cannot reach MLflow at http://127.0.0.1:{port}"):
            Tracker(record, record.study_file).publish()


@contextmanager
def somebody_slow() -> Iterator[int]:
    """Answers a letter at a time, which no time limit between two letters ends."""
    finished = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not finished.wait(0.2):
                connection.sendall(b" ")

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=[listener.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=[listener], daemon=True).start()
        yield listener.getsockname()[1]
        finished.set()
        listener.shutdown(socket.SHUT_RDWR)


def test_a_call_that_never_ends_is_given_up_at_the_end_of_the_study(
    make_record: MakeRecord, start_trial: StartTrial, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.tracking.publisher.PATIENCE_S", 3.0)
    with somebody_slow() as port:
        record = make_record(tmp_path, tracking={"uri": f"http://127.0.0.1:{port}"})
        warnings: list[str] = []
        publisher = Publisher(Tracker(record, record.study_file), warnings.append)
        study = Study(record, start_trial, train, publisher)
        study.run(range(1), epochs=50)
        study.expect_no_delay()
        closing = time.monotonic()
        publisher.close()
        assert 3 <= time.monotonic() - closing < 6
    assert len(warnings) == 1
    assert "nothing arrives there" in warnings[0]
    assert "`study publish small" in warnings[0]
    publisher._thread.join()


class Leisurely(Tracker):
    """Takes its time with every trial, as with thousands of them."""

    def _send(self, entry: Entry) -> None:
        time.sleep(1.5)
        super()._send(entry)


def test_what_mlflow_has_already_is_looked_through_for_as_long_as_that_takes(
    make_record: MakeRecord, start_trial: StartTrial, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = make_record(tmp_path)
    first = Publisher(Tracker(record, record.study_file), print)
    Study(record, start_trial, train, first).run(range(5), epochs=2)
    first.close()
    monkeypatch.setattr("study.tracking.publisher.PATIENCE_S", 6.0)
    warnings: list[str] = []
    again = Publisher(Leisurely(record, record.study_file), warnings.append)
    started = time.monotonic()
    again.close()
    assert time.monotonic() - started > 6.0
    assert warnings == []


class Laborious(Tracker):
    """Takes long to make the files that it sends, as the report of thousands of trials."""

    def _send(self, entry: Entry) -> None:
        def write_files(folder: Path) -> None:
            time.sleep(6.0)
            entry.write_files(folder)

        super()._send(replace(entry, write_files=write_files))


def test_files_that_take_long_to_make_are_no_silence_of_mlflow(
    make_record: MakeRecord, start_trial: StartTrial, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.tracking.publisher.PATIENCE_S", 4.0)
    record, warnings = make_record(tmp_path), list[str]()
    tracker = Laborious(record, record.study_file)
    publisher = Publisher(tracker, warnings.append)
    Study(record, start_trial, train, publisher).run(range(1), epochs=2)
    publisher.close()
    assert warnings == []
    assert tracker.published.ended == 1


def test_a_database_that_another_process_has_locked_is_waited_for(
    make_record: MakeRecord, start_trial: StartTrial, train: Train, database: Path, tmp_path: Path, dump: Dump
) -> None:
    holder = (
        "import sqlite3, sys; connection = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "connection.execute('BEGIN EXCLUSIVE'); print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", holder, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        record = make_record(tmp_path, tracking={"uri": f"sqlite:///{database}"})
        tracker = Tracker(record, record.study_file)
        publisher = Publisher(tracker, lambda warning: None)
        study = Study(record, start_trial, train, publisher)
        study.run(range(3), epochs=50, pause_s=0.01)
        study.expect_no_delay()
        assert tracker.published.runs == 0
        process.stdin.close()
    publisher.close()
    expect_whole(dump(tracker), record)


def test_a_database_that_becomes_read_only_is_told_and_filled_later(
    make_record: MakeRecord,
    start_trial: StartTrial,
    train: Train,
    empty_database: Path,
    tmp_path: Path,
    dump: Dump,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # No file is open for writing between two calls.
    monkeypatch.setenv("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(disk)], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        database = disk / "mlflow.db"
        database.write_bytes(empty_database.read_bytes())
        record = make_record(tmp_path, tracking={"uri": f"sqlite:///{database}"})
        tracker = Tracker(record, record.study_file)
        publisher = Publisher(tracker, (warnings := []).append)
        study = Study(record, start_trial, train, publisher)
        study.run(range(1), epochs=5)
        wait_until(lambda: tracker.published.ended == 1)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        study.run(range(1, 3), epochs=20, pause_s=0.01)
        study.expect_no_delay()
        publisher.close()
        assert "readonly database" in warnings[-1]
        with pytest.raises(BadStudyInput, match="cannot be written as an SQLite database"):
            Tracker(record, record.study_file)
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        later = Tracker(record, record.study_file)
        later.publish()
        expect_whole(dump(later), record)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_thousand_notes_of_one_trial_are_one_publication(
    make_record: MakeRecord, start_trial: StartTrial, train: Train, database: Path, tmp_path: Path, dump: Dump
) -> None:
    """And an epoch is sent once: what has been sent is not read again."""
    record = make_record(tmp_path, tracking={"uri": f"sqlite:///{database}"})
    tracker = Tracker(record, record.study_file)
    publisher = Publisher(tracker, lambda warning: None)
    trial = start_trial(record, 0)
    for _ in range(5):
        train(trial, 20, metrics=1)
        sent = tracker.published.points
        for _ in range(1000):
            publisher.epoch_reported(trial, {})
        wait_until(lambda sent=sent: tracker.published.points == sent + 20 * 5)
    publisher.trial_ended(trial, trial.close("complete", 0.5))
    publisher.close()
    # Two metrics, a standard deviation, the members that diverged and the best so far; nothing twice.
    assert tracker.published.points == 100 * 5
    assert tracker.published.ended == 1
    expect_whole(dump(tracker), record)


def test_what_an_earlier_driver_could_not_send_is_sent_when_the_study_goes_on(
    make_record: MakeRecord, start_trial: StartTrial, train: Train, database: Path, tmp_path: Path
) -> None:
    record = make_record(tmp_path, tracking={"uri": f"sqlite:///{database}"})
    for number in range(3):
        trial = start_trial(record, number)
        train(trial, 2)
        if number:
            trial.close("complete", 0.5)
    tracker = Tracker(record, record.study_file)
    publisher = Publisher(tracker, lambda warning: None)
    wait_until(lambda: tracker.published.ended == 2)
    assert tracker.published.runs == 2
    publisher.close()


def test_processes_that_meet_an_empty_folder_make_one_database(tmp_path: Path) -> None:
    """The rest of one that was killed while it made one is no hindrance."""
    (tmp_path / "mlflow.db.new").write_bytes(b"SQLite format 3\0, half made")
    make = (
        "import sys; from pathlib import Path; from study.tracking.tracker import create_database; "
        "create_database(Path(sys.argv[1]), Path(sys.argv[1]).with_name('artifacts'))"
    )
    command = [sys.executable, "-c", make, str(tmp_path / "mlflow.db")]
    processes = [subprocess.Popen(command, cwd=Path(__file__).parents[3]) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        assert connection.execute("SELECT count(*) FROM experiments").fetchone() == (1,)
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", "mlflow.db.lock"}


# A publisher in the middle of a model, whose driver is stopped.
STOPPED = """
import sys, threading, time, torch
from study import cli
from study.errors import Interrupted
from study.outcome import carry_out

class Slow(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = torch.nn.GRU(8, 8, batch_first=True)

    def forward(self, past):
        for _ in range(20):
            past = self.cell(past)[0]
        return past

def publish():
    while True:
        torch.export.export(Slow(), (torch.zeros(2, 10, 8),))
        begun.set()

begun = threading.Event()
threading.Thread(target=publish, name="publisher", daemon=True).start()
begun.wait()

@cli.app.command()
def stopped() -> None:
    def verb():
        raise Interrupted("small", "study resume small")
    carry_out(False, verb)

sys.argv = ["study", "stopped"]
cli.main()
"""


def test_a_study_that_is_stopped_in_the_middle_of_a_model_ends_as_any_other() -> None:
    run = subprocess.run([sys.executable, "-c", STOPPED], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 75, run.stderr
    assert run.stderr.endswith("Go on with:\n  study resume small\n")
