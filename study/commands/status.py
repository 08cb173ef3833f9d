"""``study status``: how far a study is."""

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from study.commands import ls
from study.record import Record

REFRESH_S = 2.0


def run(name: str | None, *, studies: Path, as_json: bool, watch: bool, console: Console) -> None:
    """Print how far a study is; without a name, ``study ls``.

    Args:
        name: of the study.
        studies: folder of all studies.
        as_json: print JSON, once.
        watch: go on showing it until nobody runs it any more, or none of all.
        console: where to show it.

    Raises:
        BadStudyInput: no such study.
    """
    plain, view, driven = _look(name, studies)
    if as_json:
        print(json.dumps(plain, indent=2))
        return
    if not watch:
        console.print(view)
        return
    with Live(view, console=console, auto_refresh=False) as live:
        while driven:
            time.sleep(REFRESH_S)
            _, view, driven = _look(name, studies)
            live.update(view, refresh=True)


def _look(name: str | None, studies: Path) -> tuple[Any, RenderableType, bool]:
    """One study or all as JSON and as shown, and whether anybody drives; read anew: amendments may have come."""
    if name is None:
        rows, table = ls.look_at_all(studies)
        return rows, table, any(row["holder"] for row in rows)
    plain, view = _look_at(Record.open(studies, name))
    return plain, view, plain["holder"] is not None


def _look_at(record: Record) -> tuple[dict[str, Any], RenderableType]:
    """A study as JSON and as it is shown."""
    plain, standing = ls.look(record)
    state, holder, reason = plain["state"], plain["holder"], plain["reason"]
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
    return plain, Group(Text(heading), standing.view(driven=holder is not None), *map(Text, lines))
