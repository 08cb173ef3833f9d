"""Where MLflow is: read from the study file or the environment, checked before anything runs, shown without secrets."""

import os
import re
import sqlite3
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from study.errors import BadStudyInput
from study.paths import StudyPaths
from study.secrets import without_secrets
from study.sections import Tracking, tracking_uri_problem


@dataclass(frozen=True)
class Address:
    """A tracking URI that can be used.

    Attributes:
        uri: what MLflow is given; that of a database may hold a password, so it is never shown or written.
    """

    uri: str = field(repr=False)

    @property
    def shown(self) -> str:
        return without_secrets(self.uri)

    @property
    def is_server(self) -> bool:
        return urlsplit(self.uri).scheme in ("http", "https")

    @property
    def sqlite_file(self) -> Path | None:
        """The file of an SQLite database; None for everything else."""
        return Path(self.uri.removeprefix("sqlite:///")) if re.match(r"sqlite:///[^?]+$", self.uri) else None


def find(paths: StudyPaths, tracking: Tracking) -> Address:
    """The study file's, or ``MLFLOW_TRACKING_URI``, or one SQLite file beside all studies of the folder.

    User and password in the address of a server move to ``MLFLOW_TRACKING_USERNAME`` and ``_PASSWORD``, where MLflow
    looks for them: what is not in the address cannot get into a message.

    Raises:
        BadStudyInput: no server or database can be there.
    """
    source = "tracking.uri" if tracking.uri else "MLFLOW_TRACKING_URI"
    is_default = not (tracking.uri or os.environ.get("MLFLOW_TRACKING_URI"))
    given = tracking.uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{paths.mlflow_database.resolve()}"
    if problem := tracking_uri_problem(given):
        raise BadStudyInput(f"{source} {problem}")
    parts = urlsplit(given)
    if parts.scheme in ("http", "https") and parts.username:
        os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
        os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")
        given = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    address = Address(given)
    if (file := address.sqlite_file) is not None:
        if (problem := _unwritable(file)) and is_default:
            raise BadStudyInput(
                f"--studies {paths.studies}: {file.name} there {problem}; make it writable, or name another folder"
            )
        if problem:
            raise BadStudyInput(f"{source} {file} {problem}; make it writable, or name another")
    return address


def _unwritable(file: Path) -> str | None:
    """Why a database cannot be made or written; None where it can. One that somebody else is writing to can."""
    try:
        if not file.exists():
            # Nothing is made yet: what asks may still refuse to go on.
            tempfile.TemporaryFile(dir=next(folder for folder in file.parents if folder.exists())).close()
            return None
        connection = sqlite3.connect(f"file:{quote(str(file))}?mode=rw", uri=True, timeout=0)
        try:
            connection.execute("BEGIN IMMEDIATE")
            # On a disk that is read-only the line above is no complaint yet. It is never committed.
            connection.execute("CREATE TABLE is_this_writable (yes)")
        finally:
            connection.close()
    except (OSError, sqlite3.Error) as error:
        if "locked" not in str(error):
            reason = error.strerror if isinstance(error, OSError) else error
            return f"cannot be written as an SQLite database: {reason}"
    return None
