"""Study files that come along can be named without a path."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from study.cli import app
from study.packaged import packaged, study_file_at


@pytest.mark.parametrize("name", ["quick", "gt_loss", "ntu60"])
def test_a_shipped_file_is_found_by_its_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert study_file_at(Path(name)).name == f"{name}.yaml"
    assert CliRunner().invoke(app, ["validate", name]).exit_code == 0


def test_a_file_of_ones_own_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("quick").write_text("")
    assert study_file_at(Path("quick")) == Path("quick")


def test_a_name_that_is_none_is_answered_with_those_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(app, ["launch", "nope"])
    assert ended.exit_code == 2
    assert all(name in ended.stderr for name in ("nope: cannot be read", "gt_loss", "ntu60", "quick"))


@pytest.mark.parametrize("path", ["other", "nowhere/quick", "../quick", "quick.yaml"])
def test_anything_else_stays_what_it_is(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert study_file_at(Path(path)) == Path(path)


def test_what_is_not_there_is_none() -> None:
    assert packaged("nothing.txt") is None
