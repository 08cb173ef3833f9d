"""``study compare``: the arms of a study side by side."""

import json
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from study.comparison import compare
from study.record import Record

# Columns of a terminal that shows every interval.
WIDE = 110


def run(name: str, *, studies: Path, as_json: bool, console: Console) -> None:
    """Print the table of arms and the verdicts, or both as JSON."""
    show(Record.open(studies, name), as_json, console)


def show(record: Record, as_json: bool, console: Console) -> None:
    """Print what a study found so far."""
    comparison = compare(record)
    if as_json:
        print(json.dumps(comparison.to_json(), indent=2))
        return
    wide = console.width >= WIDE
    title = comparison.question or None
    table = Table(
        title=title,
        title_justify="left",
        caption=_caption(record),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for heading in comparison.headings():
        table.add_column(heading, justify="left" if heading == "arm" else "right", no_wrap=heading != "vs frozen")
    for row in comparison.rows(intervals=wide):
        table.add_row(*row)
    console.print(table)
    for sentence in (*comparison.fronts(), *comparison.verdicts()):
        console.print(sentence)


def _caption(record: Record) -> str:
    if record.study_file.confirm is None:
        return "Validation split, the search's own seeds: an arm's best trial looks better than it is."
    return (
        "Test split, fresh seeds; mean ± half of the 95 % interval over seeds. ADE, FDE: best of K futures; "
        "APD: their diversity; bones: relative change of length; jerk: ratio to the truth's; "
        "vs frozen: ADE against zero velocity's."
    )
