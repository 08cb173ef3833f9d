"""The search's tables on SQLite and on a real PostgreSQL server, which is killed and restarted meanwhile."""

import gc
import importlib.util
import os
import pickle
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest
from optuna.trial import TrialState
from sqlalchemy import event

from study.errors import StudyError
from study.search import ArmSearch, Tables, open_storage, reach
from study.space import active_parameters
from study.study_file import StudyFile

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
INITDB = shutil.which("initdb") or next((str(path / "initdb") for path in reversed(BINARIES)), None)
PASSWORD = "correct-horse"  # pragma: allowlist secret
OWNER = "0123456789abcdef"
STUDY_FILE = StudyFile.model_validate(
    {
        "name": "shared",
        "arms": {"none": [], "gt": ["gt"]},
        "parameters": {
            "lambda_gp": {"type": "float", "min": 0.1, "max": 100.0, "log": True, "default": 10.0},
            "hidden_size": {"type": "categorical", "values": [8, 16, 32], "default": 16, "ordered": True},
            "residual": {"type": "categorical", "values": [True, False], "default": False},
            "critic_iterations": {"type": "int", "min": 1, "max": 9, "default": 5},
        },
        "search": {"pruner": {"name": "median", "grace_epochs": 1}, "epochs": 3, "sampler": {"seed": 3}},
    }
)


class Server:
    """A PostgreSQL cluster of its own, with a password, on the loopback interface."""

    def __init__(self, folder: Path) -> None:
        assert INITDB is not None
        self.folder, self.binaries = folder, Path(INITDB).parent
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"
        # The server refuses to be root.
        self.as_owner = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if self.as_owner:
            shutil.chown(folder, "postgres", "postgres")
        self._run("sh", "-c", f"umask 077; echo {PASSWORD} > {folder}/password; mkdir {folder}/run")
        options = ["-U", "postgres", "--auth=scram-sha-256", f"--pwfile={folder}/password", "-E", "UTF8"]
        self._run(str(self.binaries / "initdb"), "-D", f"{folder}/data", "--locale=C.UTF-8", "--no-sync", *options)
        self.start()

    def start(self) -> None:
        """Start, or start again after a crash: its old process may take a moment to vanish."""
        listen = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories={self.folder}/run"
        for _ in range(30):
            if self._control("-w", "-t", "10", "-l", f"{self.folder}/log", "-o", listen, "start").returncode == 0:
                return
            time.sleep(0.5)
        raise RuntimeError((self.folder / "log").read_text())

    def stop(self) -> None:
        self._control("-m", "fast", "stop")

    def kill(self) -> None:
        """As a power cut would: nobody answers any more, not even a connection that was being served."""
        postmaster = psutil.Process(int((self.folder / "data/postmaster.pid").read_text().split()[0]))
        family = [postmaster, *postmaster.children(recursive=True)]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        _, left = psutil.wait_procs(family, timeout=30)
        assert not left

    def _control(self, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        command = [*self.as_owner, str(self.binaries / "pg_ctl"), "-D", f"{self.folder}/data", *arguments]
        return subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")

    def _run(self, *command: str) -> None:
        subprocess.run([*self.as_owner, *command], check=True, stdout=subprocess.DEVNULL, cwd="/")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    if INITDB is None:
        pytest.skip("PostgreSQL's initdb is not installed")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed: pip install 'hpgan-study[postgres]'")
    # pytest's own folders are closed to the server's user.
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", PASSWORD)
        running = Server(Path(folder))
        yield running
        running.stop()


Open = Callable[..., Tables]


@pytest.fixture
def open_at(tmp_path: Path) -> Iterator[Open]:
    """Open the tables at a URL, or in a file."""
    opened: list[Tables] = []

    def build(url: str | None, *arguments: Any, file: str = "optuna.db", **options: Any) -> Tables:
        opened.append(open_storage(tmp_path / file, url, *arguments, **options))
        return opened[-1]

    yield build
    # Optuna leaves the connection over which it looked at the tables' version to the garbage collector.
    gc.collect()
    for tables in opened:
        tables.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def open_tables(request: pytest.FixtureRequest, open_at: Open) -> Callable[[], Tables]:
    """Open the tables of a study in one of the databases; each test has an owner of its own."""
    if request.param == "sqlite":
        return lambda: open_at(None)
    server: Server = request.getfixturevalue("server")
    return lambda: open_at(server.url, uuid.uuid5(uuid.NAMESPACE_URL, request.node.name).hex)


def arm_search(tables: Tables, arm: str = "gt") -> ArmSearch:
    return ArmSearch(tables, STUDY_FILE, arm, active_parameters(STUDY_FILE, arm), list(STUDY_FILE.arms).index(arm))


def run_trials(search: ArmSearch, count: int) -> list[dict[str, object]]:
    """Trials that score by their values, whose bad ones are pruned, and every fifth of which fails."""
    asked = []
    for _ in range(count):
        number, values = search.ask()
        score = abs(float(values["lambda_gp"]) - 1)
        stopped = any(search.report(number, epoch, score / epoch) for epoch in (1, 2, 3))
        if number % 5 == 4:
            search.tell(number, "failed", None, "out of luck")
        else:
            search.tell(number, "pruned" if stopped else "complete", None if stopped else score)
        asked.append(values)
    return asked


def test_the_server_is_reached_or_says_why_not(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reach(server.url) == f"postgresql+psycopg://***@127.0.0.1:{server.port}/postgres"
    monkeypatch.setenv("PGPASSWORD", "another")
    with pytest.raises(StudyError, match="password authentication failed") as caught:
        reach(server.url)
    assert "another" not in str(caught.value)


def test_both_databases_hold_the_same_trials_and_anybody_can_read_them(
    open_tables: Callable[[], Tables], open_at: Open
) -> None:
    tables, plain = open_tables(), open_at(None, file="plain.db")
    asked = run_trials(arm_search(tables), 14)
    assert asked == run_trials(arm_search(plain), 14)
    program = """
import optuna, sys
for trial in optuna.load_study(study_name=sys.argv[1], storage=sys.argv[2]).trials:
    print(trial.number, trial.state.name, trial.params, trial.values, trial.intermediate_values, trial.user_attrs)
"""
    said = []
    for database in (tables, plain):
        command = [sys.executable, "-c", program, f"shared{database.owner}/gt", database.rdb.url]
        said.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert said[0] == said[1]
    study = arm_search(tables).study
    assert len(study.trials) == len(said[0].splitlines()) == 14
    assert [trial.params for trial in study.trials] == asked
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}
    pruned = [trial for trial in study.trials if trial.state == TrialState.PRUNED]
    assert all(trial.value == trial.intermediate_values[trial.last_step] for trial in pruned)
    assert all(trial.user_attrs == {"cause": "out of luck"} for trial in study.trials if trial.number % 5 == 4)


def test_a_search_goes_on_in_either_database(open_tables: Callable[[], Tables]) -> None:
    first = arm_search(open_tables())
    run_trials(first, 4)
    number, values = first.ask()
    first.report(number, 1, 0.5)
    first.wait(number)
    assert first.study.trials[number].state == TrialState.WAITING
    resumed = arm_search(open_tables())
    assert resumed.open_trials() == {number: values}
    resumed.go_on(number)
    assert resumed.study.trials[number].state == TrialState.RUNNING
    assert resumed.study.trials[number].intermediate_values == {1: 0.5}
    resumed.tell(number, "complete", 0.5)
    assert resumed.ask()[0] == 5
    assert [trial.state for trial in resumed.study.trials][-2:] == [TrialState.COMPLETE, TrialState.RUNNING]


def test_what_was_done_may_be_done_again(open_tables: Callable[[], Tables]) -> None:
    """A connection that breaks over the answer leaves that open."""
    search = arm_search(open_tables())
    number, values = search.ask()
    search.table.add(number, values)
    for _ in range(2):
        search.table.report(number, 1, 0.5)
    for state in (TrialState.COMPLETE, TrialState.FAIL):
        search.table.close(number, state, [0.4] if state == TrialState.COMPLETE else None, None)
    (trial,) = search.study.trials
    assert (trial.params, trial.state, trial.value, trial.intermediate_values) == (
        values,
        TrialState.COMPLETE,
        0.4,
        {1: 0.5},
    )


@pytest.mark.parametrize("death", ["kill", "stop"])
def test_a_restart_of_the_server_in_the_middle_of_a_search_loses_and_doubles_nothing(
    server: Server, open_at: Open, death: str
) -> None:
    told: list[str] = []
    search = arm_search(open_at(server.url, death, told.append))
    asked = run_trials(search, 3)
    getattr(server, death)()
    back = threading.Timer(3.0, server.start)
    back.start()
    asked += run_trials(search, 6)
    back.join()
    assert asked == run_trials(arm_search(open_at(None)), 9)
    study = arm_search(open_at(server.url, death)).study
    assert [trial.number for trial in study.trials] == list(range(9))
    assert [trial.params for trial in study.trials] == asked
    assert all(trial.state.is_finished() for trial in study.trials)
    assert told[0].startswith(f"Waiting for the search's database {server.url}: ")
    assert told[-1] == f"The search's database {server.url} is back."


def test_connections_that_are_cut_over_the_answer_lose_and_double_nothing(server: Server, open_at: Open) -> None:
    told: list[str] = []
    tables = open_at(server.url, "cut", told.append)
    search = arm_search(tables)
    left = statements = 0

    @event.listens_for(tables.rdb.engine, "after_cursor_execute")
    def cut(_: object, cursor: Any, *__: object) -> None:
        nonlocal left, statements
        left, statements = left - 1, statements + 1
        if left == 0:
            cursor.connection.close()

    def run_trial() -> dict[str, object]:
        number, values = search.ask()
        search.report(number, 1, 0.5)
        search.tell(number, "complete", 0.5)
        return values

    asked = [run_trial()]
    cuts = range(1, statements, 3)
    for cut_after in cuts:
        left = cut_after
        asked += [run_trial()]
    trials = search.study.trials
    assert len(cuts) > 5
    assert told.count(f"The search's database {server.url} is back.") > 1
    assert [trial.number for trial in trials] == list(range(1 + len(cuts)))
    assert [trial.params for trial in trials] == asked
    assert {(trial.state, trial.value, *trial.intermediate_values.items()) for trial in trials} == {
        (TrialState.COMPLETE, 0.5, (1, 0.5))
    }


def test_studies_of_one_name_keep_apart_on_one_server(server: Server, open_at: Open) -> None:
    one, other = (arm_search(open_at(server.url, owner)) for owner in ("a" * 32, "b" * 32))
    run_trials(one, 2)
    assert (one.asked(), other.asked()) == (2, 0)
    assert other.ask()[0] == 0
    assert one.table.name == "shared.aaaaaaaa/gt"


def test_a_wrong_password_is_told_without_long_waiting(
    server: Server, open_at: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "wrong")
    with pytest.raises(StudyError, match="password authentication failed") as caught:
        open_at(server.url, OWNER, print, patience_s=0.1)
    assert "wrong" not in str(caught.value)


def test_no_secret_is_in_a_pickle_or_the_tables(server: Server, open_at: Open) -> None:
    tables = open_at(server.url, OWNER)
    run_trials(arm_search(tables), 1)
    assert PASSWORD.encode() not in pickle.dumps(tables.rdb)
