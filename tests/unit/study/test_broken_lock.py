"""A plan that was edited after it was locked is no plan: nobody gives a verdict on claims that were made later."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import study
from study.commands import compare, export, plan, report, reproduce, show, status
from study.errors import DamagedRecord
from study.record import Record
from tests.unit.study.test_compare_verb import build  # noqa: F401  # a fixture

CONSOLE = Console(file=None, quiet=True)
QUICK = Path(__file__).parents[3] / "search_spaces" / "quick.yaml"


def planned(studies: Path, **options: Any) -> None:
    plan.run(
        QUICK, overrides=[], data_root=None, workers=[1], sd=None, studies=studies, as_json=False, console=CONSOLE,
        **{"simulate": None, "pilot": None} | options,
    )  # fmt: skip


READERS: dict[str, Callable[[Path], Any]] = {
    "compare": lambda studies: compare.run(["small"], studies=studies, console=CONSOLE),
    "compare --json": lambda studies: compare.run(["small"], studies=studies, as_json=True, console=CONSOLE),
    "report": lambda studies: report.run(
        "small", language="en", out=None, studies=studies, as_json=False, console=CONSOLE
    ),
    "reproduce": lambda studies: reproduce.run(
        "small", None, arm=None, from_mlflow=None, threads=None, studies=studies, as_json=False, console=CONSOLE
    ),
    "export": lambda studies: export.run_export(
        "small", studies / "small.tar.gz", checkpoints=False, studies=studies, console=CONSOLE
    ),
    "show": lambda studies: show.run("small", None, studies=studies, as_json=False, console=CONSOLE),
    "status": lambda studies: status.run("small", studies=studies, as_json=False, watch=False, console=CONSOLE),
    "plan --pilot": lambda studies: planned(studies, pilot="small"),
    "plan --simulate": lambda studies: planned(studies, simulate="small"),
    "study.load": lambda studies: study.load("small", studies),
}


@pytest.mark.parametrize("reader", READERS)
def test_whoever_reads_a_study_whose_plan_was_edited_is_told(
    build: Callable[..., Record],  # noqa: F811
    tmp_path: Path,
    reader: str,
) -> None:
    record = build(0.5)
    edited = json.loads(record.paths.plan.read_text())
    edited["file"]["claims"][0]["keep"] = 0.01
    record.paths.plan.write_text(json.dumps(edited))
    with pytest.raises(DamagedRecord, match="it has been changed since it was locked"):
        READERS[reader](tmp_path)
