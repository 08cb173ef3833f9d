"""``study compare``: the arms of a study side by side."""

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from study.comparison import compare
from study.record import Record


def run(name: str, *, studies: Path, as_json: bool, console: Console) -> None:
    """Print the table of arms and the verdicts, or both as JSON."""
    show(Record.open(studies, name), as_json, console)


def show(record: Record, as_json: bool, console: Console) -> None:
    """Print what a study found so far."""
    comparison = compare(record)
    if as_json:
        print(json.dumps(comparison.to_json(), indent=2))
        return
    table = Table(title=comparison.question or None, title_justify="left", caption=_caption(record), caption_justify="left")
    for heading in comparison.headings():
        table.add_column(heading, justify="left" if heading == "arm" else "right", overflow="fold")
    for row in comparison.rows():
        table.add_row(*row)
    console.print(table)
    for sentence in comparison.verdicts():
        console.print(sentence, markup=False, highlight=False)


def _caption(record: Record) -> str:
    confirm = record.study_file.confirm
    if confirm is None:
        return "Validation split, the search's own seeds: an arm's best trial looks better than it is."
    return f"Test split, fresh seeds, mean ± half of the 95 % interval over seeds. ADE, FDE, APD: best of K or pairs of K futures."
