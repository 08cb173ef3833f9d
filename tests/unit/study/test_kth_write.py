"""A fault at the k-th write, for every k: the old or the new state is there, and the study can be gone on with.

Everything that writes is real: record, lease, checkpoints, SQLite under Optuna. Only the training is replaced by
arithmetic that takes no time.
"""

import errno
import hashlib
import os
import pathlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from hpgan_core.checkpoint import read_newest_checkpoint, write_checkpoint
from hpgan_core.trainable import EpochReport, write_motions
from study import lease
from study.errors import StudyError
from study.job import Job
from study.json_files import write_json
from study.paths import StudyPaths, TrialPaths
from study.phases import ConfirmPhase, SearchPhase
from study.record import Record, References
from study.search import ArmSearch, open_storage
from study.study_file import StudyFile

FILE = StudyFile.model_validate(
    {
        "name": "small",
        "arms": {"gt": ["gt"]},
        "parameters": {"gt_weight": {"type": "float", "min": 0.01, "max": 10.0, "log": True, "default": 1.0}},
        "search": {"trials_per_arm": 1, "members": 1, "epochs": 2, "pruner": {"name": "none"}},
        "confirm": {"members": 2, "epochs": 1},
    }
)
FULL = "database or disk is full"

pytestmark = pytest.mark.timeout(900)


@dataclass
class Fault:
    """Counts writes; from the k-th on none succeeds, or the process is gone.

    Attributes:
        at: which write; 0 for none.
        kind: how it fails.
        writes: how many there have been.
    """

    at: int = 0
    kind: Literal["full disk", "kill"] = "full disk"
    writes: int = 0

    def strikes(self) -> bool:
        self.writes += 1
        return 0 < self.at <= self.writes

    def end(self, database: bool = False) -> None:
        if self.kind == "kill":
            os._exit(9)
        if database:
            raise OperationalError("a statement", {}, sqlite3.OperationalError(FULL))
        raise OSError(errno.ENOSPC, "No space left on device")

    def strike(self, database: bool = False) -> None:
        if self.strikes():
            self.end(database)


class _File:
    """A file whose write may fail half-way."""

    def __init__(self, file: Any, fault: Fault) -> None:
        self.file, self.fault = file, fault

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, data: Any) -> None:
        if self.fault.strikes():
            self.file.write(data[: len(data) // 2])
            self.file.flush()
            self.fault.end()
        self.file.write(data)


@contextmanager
def failing(fault: Fault) -> Iterator[None]:
    """Send every write of this process through ``fault``."""
    patch = pytest.MonkeyPatch()
    replace, mkdir, opened = os.replace, os.mkdir, pathlib.Path.open

    def fsync(_: int) -> None:
        """No machine loses its power here."""
        fault.strike()

    def first(call: Callable[..., Any]) -> Callable[..., Any]:
        def strike_and_call(*arguments: Any, **options: Any) -> Any:
            fault.strike()
            return call(*arguments, **options)

        return strike_and_call

    def open_file(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if not set(mode) & set("wax"):
            return opened(path, mode, *arguments, **options)
        return _File(opened(path, mode, *arguments, **options), fault)

    def execute(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().split()[0].upper() not in ("SELECT", "PRAGMA"):
            fault.strike(database=True)

    def commit(_: Any) -> None:
        fault.strike(database=True)

    patch.setattr(os, "fsync", fsync)
    patch.setattr(os, "replace", first(replace))
    patch.setattr(os, "mkdir", first(mkdir))
    patch.setattr(pathlib.Path, "open", open_file)
    event.listen(Engine, "before_cursor_execute", execute)
    event.listen(Engine, "commit", commit)
    try:
        yield
    finally:
        patch.undo()
        event.remove(Engine, "before_cursor_execute", execute)
        event.remove(Engine, "commit", commit)


def train(job: Job, report: Callable[[EpochReport], None]) -> None:
    """Numbers that depend on all that came before, with a checkpoint after each epoch and told again from the last."""
    paths = TrialPaths(Path(job.folder))
    content = read_newest_checkpoint(paths.checkpoints) or {"reports": [], "state": torch.tensor(job.seeds).double()}
    reports = [EpochReport(**past) for past in content["reports"]]
    for past in reports:
        report(past)
    state = content["state"]
    for epoch in range(len(reports) + 1, job.settings["epochs"] + 1):
        state = torch.sin(state + job.settings["gt_weight"])
        metrics = {"val/score": state.tolist()} | ({"test/ade": state.exp().tolist()} if job.test else {})
        by_member = [dict(zip(metrics, values, strict=True)) for values in zip(*metrics.values(), strict=True)]
        reports.append(EpochReport.summarise(epoch, by_member, 0.5))
        write_checkpoint(paths.checkpoints, epoch, {"reports": [asdict(past) for past in reports], "state": state})
        write_motions(paths.motions, np.zeros((1, 1, 2, 3, 3)))
        report(reports[-1])


def drive(paths: StudyPaths) -> None:
    """What a driver does, without Ray and MLflow."""
    paths.folder.mkdir(parents=True, exist_ok=True)
    record = Record(paths)
    with record.driving():
        if not record.exists:
            still = np.zeros((1, 2, 3, 3), np.float32)
            record.write_references(References(still, still, "kinect_v2", 30.0))
            record.create(FILE, "name: small\n", "0" * 64, {})
        if not record.amendments.trials:
            record.amend("add_trials", trials=1)
        for build in (SearchPhase, ConfirmPhase):
            phase = build(record, [])
            while (job := phase.next_job()) is not None:
                phase.on_start(job.key, "here")
                train(job, lambda report, phase=phase, key=job.key: phase.on_epoch(key, report))  # type: ignore[misc]
                phase.on_end(job.key, None)
        record.write_baselines({"zero_velocity": {"ade": 1.0}})
        record.conclude("finished", None)


def interrupt(paths: StudyPaths, fault: Fault) -> bool:
    """Drive until the fault strikes; False if the study came to its end before."""
    if fault.kind == "kill":
        child = os.fork()
        if child == 0:
            code = 1
            with suppress(BaseException), failing(fault):
                drive(paths)
                code = 0
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, 9)
        return code == 9
    try:
        with failing(fault):
            drive(paths)
    except OSError as error:
        return error.errno == errno.ENOSPC
    except StudyError as error:
        return FULL in str(error)
    return False


def check_nothing_is_broken(paths: StudyPaths) -> None:
    """Every file that has its final name can be read."""
    record = Record(paths)
    if record.exists:
        assert record.study_file.name == "small"
        assert record.references().skeleton == "kinect_v2"
        assert record.amendments.trials in (0, 1)
        record.conclusion(), record.baselines()
        for trial in record.trials():
            epochs = [epoch["epoch"] for epoch in trial.epochs()]
            assert epochs == list(range(1, len(epochs) + 1))
            if trial.outcome is not None:
                assert trial.outcome.epochs == len(epochs)
            trial.attempts(), trial.motions()
            for checkpoint in trial.paths.checkpoints.glob("epoch-*.pt"):
                assert hashlib.sha256(checkpoint.read_bytes()).hexdigest() in checkpoint.name
    if paths.optuna.exists():
        with closing(sqlite3.connect(paths.optuna)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def results(paths: StudyPaths) -> dict[str, Any]:
    """All that a study found, and what Optuna has of it."""
    record = Record(paths)
    found: dict[str, Any] = {
        trial.key: (
            trial.request.parameters,
            trial.request.seeds,
            trial.state,
            [(epoch["epoch"], epoch["members"]) for epoch in trial.epochs()],
        )
        for trial in record.trials()
    }
    with closing(sqlite3.connect(paths.optuna)) as database:
        found["optuna"] = database.execute("SELECT number, state FROM trials ORDER BY number").fetchall()
        query = "SELECT trial_id, step, intermediate_value FROM trial_intermediate_values ORDER BY trial_id, step"
        found["optuna epochs"] = database.execute(query).fetchall()
    return found


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Optuna's empty tables, which take longer to make than all the rest."""
    database = tmp_path_factory.mktemp("tables") / "optuna.db"
    open_storage(database)
    return database


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tables: Path) -> tuple[dict[str, Any], int]:
    """What the study finds, and how many writes that takes."""
    paths, fault = new_study(tmp_path_factory.mktemp("undisturbed"), tables), Fault()
    assert not interrupt(paths, fault)
    found = results(paths)
    assert [state for _, state in found["optuna"]] == ["COMPLETE"] * 2
    return found, fault.writes


def new_study(studies: Path, tables: Path) -> StudyPaths:
    paths = StudyPaths(studies, "small")
    paths.folder.mkdir(parents=True)
    shutil.copy(tables, paths.optuna)
    return paths


@pytest.mark.parametrize("part", range(4))
def test_a_fault_at_any_write_breaks_nothing_and_loses_nothing(
    tmp_path: Path, tables: Path, undisturbed: tuple[dict[str, Any], int], part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk at the k-th write, then a kill at the k-th of what is left, then the rest."""
    monkeypatch.setattr(lease, "PATIENCE_S", 0.02)
    expected, writes = undisturbed
    assert writes > 100
    for k in range(1 + part, writes + 1, 4):
        paths = new_study(tmp_path / str(k), tables)
        # The last writes only give the lease back.
        assert interrupt(paths, Fault(k, "full disk")) or Record(paths).conclusion(), k
        check_nothing_is_broken(paths)
        interrupt(paths, Fault(k, "kill"))
        check_nothing_is_broken(paths)
        drive(paths)
        assert results(paths) == expected, k
        assert Record(paths).state() == "finished"


def test_a_fault_while_the_tables_are_made_leaves_a_database_that_can_be_opened(tmp_path: Path) -> None:
    with failing(fault := Fault()):
        open_storage(tmp_path / "undisturbed.db")
    assert fault.writes > 10
    for k in range(1, fault.writes + 1):
        database = tmp_path / f"{k}.db"
        with failing(Fault(k)), pytest.raises(StudyError, match=FULL):
            open_storage(database)
        assert ArmSearch(open_storage(database), FILE, "gt", FILE.parameters, 0).asked() == 0


def test_a_file_that_is_replaced_while_it_is_read_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"value": "old"})
    with failing(fault := Fault()):
        write_json(path, {"value": "old"})
    for k in range(1, fault.writes + 1):
        with failing(Fault(k)), suppress(OSError):
            write_json(path, {"value": "new"})
        assert path.read_text().count("old") + path.read_text().count("new") == 1
        assert [file.name for file in tmp_path.iterdir()] == ["file.json"]
