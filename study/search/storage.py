"""Optuna's tables in SQLite or PostgreSQL, written with patience: a database that restarts is waited for.

They are a projection of the record that people and optuna-dashboard read. Every write is one transaction and may be
repeated, since a connection that breaks does not say whether what it was asked for has been done.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from study.errors import BadStudyInput, StudyError
from study.search.distributions import shown_distribution
from study.secrets import without_secrets
from study.sections import Storage, Value
from study.space import Parameter

# Not a choice of ours: optuna logs every trial to stderr.
optuna.logging.set_verbosity(optuna.logging.WARNING)
logging.getLogger("alembic").setLevel(logging.WARNING)

# A server that is restarted or upgraded is back by then; one that is down when a study starts is rather misspelt.
PATIENCE_S, PATIENCE_AT_START_S = 600.0, 30.0
LONGEST_PAUSE_S, SECONDS_BETWEEN_MESSAGES = 5.0, 30.0
# A server that vanishes without a word would else be waited for by the kernel, for a quarter of an hour.
_CONNECT_ARGS = {"connect_timeout": 10, "tcp_user_timeout": 30_000, "application_name": "study"}
_NO_DRIVER = "storage.url needs psycopg: pip install 'hpgan-study[postgres]'"

Result = TypeVar("Result")
_log = logging.getLogger(__name__)


class Tables:
    """One database with the Optuna studies of one study's arms.

    Args:
        connect: opens the database and makes what tables it lacks.
        where: the database, for messages.
        owner: what sets this study apart from others of its name in a database that studies share.
        tell: is told that the database is waited for.
        patience_s: how long.
    """

    def __init__(
        self, connect: Callable[[], RDBStorage], where: str, owner: str, tell: Callable[[str], None], patience_s: float
    ) -> None:
        self.where, self.owner, self._tell = where, owner, tell
        self.patience_s = min(patience_s, PATIENCE_AT_START_S)
        self.rdb = self.patiently(connect)
        self.patience_s = patience_s

    def close(self) -> None:
        """Close every connection; the next call opens one anew."""
        self.rdb.engine.dispose()

    def patiently(self, call: Callable[[], Result]) -> Result:
        """The result of ``call``, which is repeated while the database cannot be reached.

        Raises:
            StudyError: it could not be for too long, or it refuses for another reason, such as a full disk.
        """
        started, pause_s, told_s = time.monotonic(), 0.1, 0.0
        while True:
            try:
                result = call()
            except (StorageInternalError, SQLAlchemyError) as error:
                waited_s = time.monotonic() - started
                if not _is_outage(error):
                    raise StudyError(f"the search's database {self.where} fails: {_reason(error)}") from error
                if waited_s > self.patience_s:
                    text = f"the search's database {self.where} has not answered for {waited_s:.0f} s: {_reason(error)}"
                    raise StudyError(f"{text}; with the database up again the same command goes on") from error
                if waited_s >= told_s:
                    self._tell(f"Waiting for the search's database {self.where}: {_reason(error)}")
                    told_s = waited_s + SECONDS_BETWEEN_MESSAGES
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                if told_s:
                    self._tell(f"The search's database {self.where} is back.")
                return result


class ArmTable:
    """The Optuna study of one arm: its trials as the dashboard shows them.

    Args:
        tables: the database.
        study, arm: their names.
        parameters: the arm's.
        goals: ``minimize`` or ``maximize`` each.

    Raises:
        StudyError: the database has it with other goals.
    """

    def __init__(
        self, tables: Tables, study: str, arm: str, parameters: Mapping[str, Parameter], goals: Sequence[str]
    ) -> None:
        self.tables, self.name = tables, f"{study}{tables.owner}/{arm}"
        self._distributions = {name: shown_distribution(parameter) for name, parameter in parameters.items()}
        directions = [StudyDirection[goal.upper()] for goal in goals]
        rdb = tables.rdb
        tables.patiently(
            lambda: optuna.create_study(storage=rdb, study_name=self.name, directions=directions, load_if_exists=True)
        )
        self._study_id = tables.patiently(lambda: rdb.get_study_id_from_name(self.name))
        if tables.patiently(lambda: rdb.get_study_directions(self._study_id)) != directions:
            raise StudyError(f"{self.name} in {tables.where} has other goals: it is of another study of this name")
        self._ids: dict[int, int] = {}

    @property
    def study(self) -> Study:
        """What ``optuna.load_study`` gives to anybody."""
        return optuna.load_study(study_name=self.name, storage=self.tables.rdb)

    def trials(self) -> list[FrozenTrial]:
        """Every trial, in the order of numbers."""
        return self.tables.patiently(lambda: self.tables.rdb.get_all_trials(self._study_id, deepcopy=False))

    def add(self, number: int, values: Mapping[str, Value]) -> None:
        """Trial ``number`` runs; it appears with all its values or not at all, and once."""
        trial = create_trial(state=TrialState.RUNNING, params=dict(values), distributions=self._distributions)

        def add() -> int:
            try:
                return self._id(number)
            except KeyError:
                return self.tables.rdb.create_new_trial(self._study_id, trial)

        self._ids[number] = self.tables.patiently(add)

    def move(self, number: int, state: TrialState) -> None:
        """Have an open trial run or wait; one that does so already stays as it is."""
        trial_id = self._id_of_open(number)
        self.tables.patiently(lambda: self.tables.rdb.set_trial_state_values(trial_id, state))

    def report(self, number: int, epoch: int, objective: float) -> None:
        """The objective after an epoch of an open trial."""
        trial_id = self._id_of_open(number)
        self.tables.patiently(lambda: self.tables.rdb.set_trial_intermediate_value(trial_id, epoch, objective))

    def close(self, number: int, state: TrialState, values: Sequence[float] | None, cause: str | None) -> None:
        """End an open trial; one that has ended stays as it is."""

        def close() -> None:
            rdb, trial_id = self.tables.rdb, self._id(number)
            try:
                if cause is not None:
                    rdb.set_trial_user_attr(trial_id, "cause", cause)
                rdb.set_trial_state_values(trial_id, state, values)
            except UpdateFinishedTrialError:
                pass  # a connection that broke over the answer

        self.tables.patiently(close)
        self._ids.pop(number, None)

    def _id_of_open(self, number: int) -> int:
        return self._ids.get(number) or self.tables.patiently(lambda: self._id(number))

    def _id(self, number: int) -> int:
        return self.tables.rdb.get_trial_id_from_study_id_trial_number(self._study_id, number)


def database_url(storage: Storage) -> str | None:
    """The study file's server, or that of ``OPTUNA_STORAGE``; None is SQLite in the study's folder.

    Raises:
        BadStudyInput: ``OPTUNA_STORAGE`` is no PostgreSQL server, or holds a password.
    """
    if storage.url is not None:
        return storage.url
    url = os.environ.get("OPTUNA_STORAGE") or None
    for _, problem in Storage.model_construct(url=url).problems():
        raise BadStudyInput(f"OPTUNA_STORAGE {problem}")
    return url


def open_storage(
    database: Path,
    url: str | None = None,
    owner: str = "",
    tell: Callable[[str], None] = _log.warning,
    patience_s: float = PATIENCE_S,
) -> Tables:
    """The tables of a study's search.

    Args:
        database: the SQLite file, in WAL mode so that a dashboard reads while the study writes. A damaged one is set
            aside: the record has all that was in it.
        url: of a PostgreSQL server instead, without a password.
        owner: the study's id, which keeps studies of one name apart on the server.
        tell: is told that the database is waited for, every half minute, or that it was set aside.
        patience_s: how long it is, but for the first connection, which is given up earlier.

    Raises:
        StudyError: the database cannot be opened.
    """
    if url is None:
        if damage := _damage(database):
            aside = database.with_name(f"{database.name}.damaged")
            for ending in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    database.with_name(f"{database.name}{ending}").replace(f"{aside}{ending}")
            tell(f"{database} is damaged ({damage}). It is kept as {aside.name}, and made anew from the record.")
        return Tables(lambda: _open_sqlite(database), str(database), "", tell, patience_s)
    try:
        return Tables(lambda: _open_postgresql(url), url, f".{owner[:8]}", tell, patience_s)
    except ImportError:
        raise StudyError(_NO_DRIVER) from None


def reach(url: str | None) -> str:
    """Ask the server at ``url`` for a connection; returns where the tables are, without secrets.

    Raises:
        StudyError: it gives none.
    """
    if url is None:
        return "SQLite in the study's folder"
    shown = without_secrets(url)
    try:
        engine = create_engine(url, connect_args=_CONNECT_ARGS)
        with engine.connect():
            pass
        engine.dispose()
    except ImportError:
        raise StudyError(_NO_DRIVER) from None
    except SQLAlchemyError as error:
        raise StudyError(f"{shown} cannot be used: {without_secrets(_reason(error))}") from error
    return shown


def _damage(database: Path) -> str | None:
    """What SQLite finds wrong with the structure of a file; None where that is sound, or there is none."""
    if not database.exists():
        return None
    try:
        with closing(sqlite3.connect(database, timeout=30)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        # What only cannot be reached, such as a locked one, is no damage.
        damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        return str(error) if damaged else None
    return None if found == "ok" else str(found).strip().partition("\n")[0]


def _open_sqlite(database: Path) -> RDBStorage:
    rdb = RDBStorage(f"sqlite:///{database}", engine_kwargs={"connect_args": {"timeout": 30}})

    @event.listens_for(rdb.engine, "connect")
    def _set_pragmas(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    rdb.engine.dispose()
    return rdb


def _open_postgresql(url: str) -> RDBStorage:
    return RDBStorage(url, engine_kwargs={"pool_pre_ping": True, "connect_args": _CONNECT_ARGS})


def _is_outage(error: Exception) -> bool:
    """Whether the database could not be reached, rather than refused."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if not isinstance(cause, DBAPIError):
        return False
    if isinstance(cause.orig, sqlite3.Error):
        return getattr(cause.orig, "sqlite_errorcode", None) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    # Classes of SQLSTATE: 08 connection exception, 57 operator intervention (shutdown, start-up). A server that does
    # not answer gives none.
    state = getattr(cause.orig, "sqlstate", None) or "08"
    return cause.connection_invalidated or (isinstance(cause, OperationalError) and state[:2] in ("08", "57"))


def _reason(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    return str(getattr(cause, "orig", cause)).strip().partition("\n")[0]
