"""Where MLflow is: what is refused at once, and what is shown of it."""

import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from study.errors import BadStudyInput
from study.paths import StudyPaths
from study.secrets import without_secrets
from study.sections import Tracking
from study.tracking.address import find

SECRET = "s3cret"  # pragma: allowlist secret


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")


def paths(folder: Path) -> StudyPaths:
    return StudyPaths(folder, "small")


def test_the_study_file_goes_before_the_environment_and_that_before_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find(paths(tmp_path), Tracking()).sqlite_file == tmp_path / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://here:5000")
    assert find(paths(tmp_path), Tracking()).uri == "http://here:5000"
    assert find(paths(tmp_path), Tracking(uri="https://there/mlflow")).uri == "https://there/mlflow"


@pytest.mark.parametrize(
    ("uri", "complaint"),
    [
        ("ftp://host/mlflow", "must begin with http://"),
        ("mlruns", "must begin with http://"),
        ("file:///mlruns", "must begin with http://"),
        ("http://", "names no host"),
        ("http://host:fifty", "is no address"),
        ("http://host:99999", "is no address"),
        ("sqlite:////proc/mlflow.db", "cannot be written as an SQLite database"),
        ("sqlite:////dev/null/mlflow.db", "cannot be written as an SQLite database"),
    ],
)
def test_an_address_where_no_mlflow_can_be_is_bad_input_wherever_it_comes_from(
    uri: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadStudyInput, match=rf"^tracking\.uri .*{complaint}"):
        find(paths(tmp_path), Tracking(uri=uri))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(BadStudyInput, match=f"^MLFLOW_TRACKING_URI .*{complaint}"):
        find(paths(tmp_path), Tracking())


def test_a_folder_of_studies_that_cannot_be_written_is_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    told = "^--studies /dev/null: mlflow.db there cannot be written as an SQLite database: Not a directory; make it"
    with pytest.raises(BadStudyInput, match=told):
        find(StudyPaths(Path("/dev/null"), "small"), Tracking())


def test_a_file_that_is_no_database_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("my notes, which are long enough to be read as the header of a file" * 20)
    with pytest.raises(BadStudyInput, match="not a database"):
        find(paths(tmp_path), Tracking(uri=f"sqlite:///{tmp_path}/notes.txt"))


def test_looking_whether_a_database_can_be_written_changes_nothing_in_it(tmp_path: Path) -> None:
    file = tmp_path / "there.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE runs (id)")
    before = file.read_bytes()
    find(paths(tmp_path), Tracking(uri=f"sqlite:///{file}"))
    assert file.read_bytes() == before
    find(paths(tmp_path), Tracking(uri=f"sqlite:///{tmp_path}/new/mlflow.db"))
    assert [path.name for path in tmp_path.iterdir()] == ["there.db"]


def test_a_locked_database_is_somebody_elses_for_a_moment(tmp_path: Path) -> None:
    file = tmp_path / "there.db"
    with sqlite3.connect(file, isolation_level=None) as connection:
        connection.execute("CREATE TABLE runs (id)")
        connection.execute("BEGIN EXCLUSIVE")
        assert find(paths(tmp_path), Tracking(uri=f"sqlite:///{file}")).sqlite_file == file


@pytest.mark.parametrize(
    "uri",
    [
        f"https://{SECRET}@host/",
        f"postgresql://host/mlflow?password={SECRET}",
        f"http://host/?token={SECRET}",
        f"mysql+pymysql://host/mlflow?user=me&ssl_key_password={SECRET}",
    ],
)
def test_a_study_file_holds_no_secret(uri: str) -> None:
    with pytest.raises(ValidationError, match="MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD") as refusal:
        Tracking(uri=uri)
    assert SECRET not in str(refusal.value)


def test_the_user_of_a_database_is_no_secret(tmp_path: Path) -> None:
    uri = "postgresql+psycopg://mlflow@db/mlflow"
    assert find(paths(tmp_path), Tracking(uri=uri)).uri == uri


def test_user_and_password_of_a_server_move_to_where_mlflow_looks_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = "https://me:p%40ss%2Fword@host:5000/mlflow"  # pragma: allowlist secret
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    address = find(paths(tmp_path), Tracking())
    assert address.uri == address.shown == "https://host:5000/mlflow"
    assert (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]) == ("me", "p@ss/word")


def test_the_password_of_a_database_is_used_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"postgresql+psycopg://me:{SECRET}@db/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    address = find(paths(tmp_path), Tracking())
    assert address.uri == uri
    assert address.shown == "postgresql+psycopg://***@db/mlflow"
    assert SECRET not in repr(address)


@given(password=st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1))
def test_no_password_is_shown_whatever_it_consists_of(password: str) -> None:
    text = f"API request to http://me:<{password}>@host:5000/api failed"
    assert without_secrets(text) == "API request to http://***@host:5000/api failed"
