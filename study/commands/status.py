"""``study status``: how far a study is, or all of them."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from study.budget import Pace
from study.errors import StudyError
from study.record import Record
from study.standing import Standing

REFRESH_S = 2.0


def run(name: str | None, *, studies: Path, as_json: bool, watch: bool, console: Console) -> None:
    """Print how far a study is; without a name, a line for each.

    Args:
        name: of the study.
        studies: folder of all studies.
        as_json: print JSON, once.
        watch: go on showing it until nobody runs it any more.
        console: where to show it.

    Raises:
        BadStudyInput: no such study.
    """
    if as_json:
        print(json.dumps(_look(Record.open(studies, name))[0] if name else list(_each(studies)), indent=2))
        return
    if name is None:
        console.print(_table(list(_each(studies)), studies))
        return
    plain, view = _look(Record.open(studies, name))
    if not watch:
        console.print(view)
        return
    with Live(view, console=console, auto_refresh=False) as live:
        while plain["holder"] is not None:
            time.sleep(REFRESH_S)
            # Another record each time: amendments may have come.
            plain, view = _look(Record.open(studies, name))
            live.update(view, refresh=True)


def _look(record: Record) -> tuple[dict[str, Any], RenderableType]:
    """A study as JSON and as it is shown."""
    holder, conclusion = record.holder(), record.conclusion()
    state = "running" if holder else conclusion.state if conclusion else "interrupted"
    standing = Standing(record, Pace(record.driven_s, slots=1))
    reason = conclusion.reason if conclusion and not holder else None
    plain: dict[str, Any] = {
        "study": record.paths.name,
        "state": state,
        "reason": reason,
        "holder": str(holder) if holder else None,
    }
    plain |= standing.to_json(driven=holder is not None)
    heading = f"{record.paths.name}: {state.replace('_', ' ')}" + (f", driven by {holder}" if holder else "")
    metric = record.study_file.objective
    lock, code = record.plan_digest(), record.plan["environment"].get("code")
    openings = record.openings()
    plain |= {"plan_digest": lock, "code": code, "test_split_opened": [asdict(opening) for opening in openings]}
    lines = [f"best     {metric.metric}, {metric.goal}"] + ([f"reason   {reason}"] if reason else [])
    lines.append(f"lock     {lock[:16]}" + (f", code {code[:16]}" if code else ""))
    if openings:
        last = datetime.fromtimestamp(openings[-1].time, UTC).strftime("%Y-%m-%d %H:%M UTC")
        times = "once" if len(openings) == 1 else f"{len(openings)} times"
        lines.append(f"test     split opened {times}, last on {last} by {openings[-1].driver}")
    if state == "interrupted":
        lines.append(f"go on    {record.command('resume')}")
    return plain, Group(Text(heading), standing.view(holder is not None), *map(Text, lines))


def _each(studies: Path) -> Iterator[dict[str, Any]]:
    """Every study of a folder in short; one whose record cannot be read says so."""
    for plan in sorted(studies.glob("*/plan.json")):
        record = Record.open(studies, plan.parent.name)
        try:
            yield _look(record)[0]
        except StudyError as error:
            yield {"study": record.paths.name, "state": "damaged", "reason": str(error), "holder": None, "arms": {}}


def _table(rows: list[dict[str, Any]], studies: Path) -> RenderableType:
    if not rows:
        return Text(f"{studies} holds no study yet; start one with `study launch FILE`")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for heading in ("study", "state", "trials", "confirmed"):
        table.add_column(heading, justify="left" if heading in ("study", "state") else "right")
    for row in rows:
        arms = row["arms"].values()
        ended = sum(arm["complete"] + arm["pruned"] + arm["failed"] for arm in arms)
        confirmed = sum(arm["confirm"] == "complete" for arm in arms)
        planned = sum(arm["planned"] for arm in arms)
        state = row["state"].replace("_", " ")
        table.add_row(row["study"], state, f"{ended}/{planned}", f"{confirmed}/{len(arms)}")
    return table
