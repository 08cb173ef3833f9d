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
        BadStudyInput: there is no such study, or something else than a folder is where it is to be written.
    """
    record = Record.open(studies, name)
    folder = out or record.paths.report
    nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise BadStudyInput(f"--out {folder}: {nearest} is no folder; name another place")
    with console.status("Writing the report ..."):
        page = write_report(record, language, folder)
    tables, size = sorted(folder.glob("*.csv")), page.stat().st_size
    if as_json:
        paths = {"page": str(page), "markdown": str(folder / "report.md"), "csv": [str(table) for table in tables]}
        print(json.dumps(paths | {"bytes": size}, indent=2))
        return
    console.print(f"{page} ({decimal(size)}), report.md and {len(tables)} CSV files beside it", soft_wrap=True)
