"""``study report``: a study as one page that opens anywhere, as Markdown, and as CSV."""

import json
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal

from study.errors import BadStudyInput
from study.record import Record
from study.report import write_report


def run(name: str, *, language: str, out: Path | None, studies: Path, as_json: bool, console: Console) -> None:
    """Write the report and say where it is. A study in any state has one.

    Raises:
        BadStudyInput: there is no such study, or the folder cannot be written.
    """
    record = Record.open(studies, name)
    folder = out or record.paths.report
    with console.status("Writing the report ..."):
        try:
            page = write_report(record, language, folder)
        except OSError as error:
            text = f"{folder}: the report cannot be written there: {error.strerror}; name another folder with --out"
            raise BadStudyInput(text) from error
    tables, size = sorted(folder.glob("*.csv")), page.stat().st_size
    if as_json:
        paths = {"page": str(page), "markdown": str(folder / "report.md"), "csv": [str(table) for table in tables]}
        print(json.dumps(paths | {"bytes": size}, indent=2))
        return
    console.print(f"{page} ({decimal(size)}), report.md and {len(tables)} CSV files beside it", soft_wrap=True)
