"""``study ls``: every study of a folder, a line each."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from study.budget import Pace
from study.errors import StudyError
from study.paths import folder_bytes
from study.record import Record
from study.standing import Standing


def run(*, studies: Path, as_json: bool, console: Console) -> None:
    """Print state, trials, size and question of every study; one whose record cannot be read says so."""
    rows, table = look_at_all(studies)
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        console.print(table)


def look_at_all(studies: Path) -> tuple[list[dict[str, Any]], RenderableType]:
    """Every study as JSON, and as a table."""
    rows = list(_each(studies))
    return rows, _table(rows, studies)


def look(record: Record) -> tuple[dict[str, Any], Standing]:
    """How far a study is, with the keys that ``study status --json`` and ``study ls --json`` have."""
    holder, conclusion = record.holder(), record.conclusion()
    standing = Standing(record, Pace(record.driven_s, slots=1))
    plain = {
        "study": record.paths.name,
        "state": record.state(),
        "reason": conclusion.reason if conclusion and not holder else None,
        "holder": str(holder) if holder else None,
    }
    return plain | standing.to_json(driven=holder is not None), standing


def _each(studies: Path) -> Iterator[dict[str, Any]]:
    for record in Record.all(studies):
        size = folder_bytes(record.paths.folder)
        try:
            plan = {"created_at": record.plan["created_at"], "question": record.study_file.question}
            yield look(record)[0] | plan | {"bytes": size}
        except StudyError as error:
            damaged: dict[str, Any] = {"state": "damaged", "reason": str(error), "holder": None, "arms": {}}
            yield {"study": record.paths.name, **damaged, "created_at": None, "question": "", "bytes": size}


def _table(rows: list[dict[str, Any]], studies: Path) -> RenderableType:
    if not rows:
        return Text(f"{studies} holds no study yet; start one with `study launch FILE`")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False, expand=True)
    for heading in ("study", "state"):
        table.add_column(heading, no_wrap=True)
    for heading in ("trials", "confirmed", "size"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("since", no_wrap=True)
    # What is left of the line.
    table.add_column("question", no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows:
        arms = row["arms"].values()
        ended = sum(arm["complete"] + arm["pruned"] + arm["failed"] for arm in arms)
        confirmed = sum(arm["confirm"] == "complete" for arm in arms)
        planned = sum(arm["planned"] for arm in arms)
        since = datetime.fromtimestamp(row["created_at"], UTC).date().isoformat() if row["created_at"] else ""
        counts = f"{ended}/{planned}", f"{confirmed}/{len(arms)}", decimal(row["bytes"])
        table.add_row(row["study"], row["state"].replace("_", " "), *counts, since, row["question"])
    return table
