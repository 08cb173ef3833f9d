"""What `study resume` refuses before anything is trained."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from study.cli import app
from study.record import Record

NewRecord = Callable[..., Record]


@pytest.mark.parametrize(
    ("sections", "asked", "reason"),
    [
        ({"parameters": {}, "search": {"epochs": 4}}, "--add-trials", "the study searches no parameters"),
        ({"search": {"epochs": 4, "sampler": {"name": "grid"}}}, "--add-trials", "no more trials than its grid"),
        ({"confirm": None, "claims": []}, "--more-seeds", "the study has no confirm phase"),
    ],
)
def test_more_of_what_there_can_be_no_more_of_is_refused(
    new_record: NewRecord, tmp_path: Path, sections: dict[str, Any], asked: str, reason: str
) -> None:
    record = new_record(**sections)
    run = CliRunner().invoke(app, ["resume", "small", asked, "2", "--studies", str(tmp_path)])
    assert run.exit_code == 2
    assert f"{asked}: " in run.stderr
    assert reason in " ".join(run.stderr.split())
    assert not record.paths.amendments.exists()


def test_a_study_that_is_being_run_is_left_to_its_driver(new_record: NewRecord, tmp_path: Path) -> None:
    with new_record().driving():
        run = CliRunner().invoke(app, ["resume", "small", "--studies", str(tmp_path)])
    assert run.exit_code == 1
    assert f"is being run by process {os.getpid()} on" in run.stderr
    assert "study stop small" in run.stderr
