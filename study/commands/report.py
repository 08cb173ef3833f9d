"""``study report``: a study as one page that opens anywhere, as Markdown, and as CSV."""

from pathlib import Path

from rich.console import Console

from study.record import Record
from study.report import write_report


def run(name: str, *, language: str, out: Path | None, studies: Path, console: Console) -> None:
    """Write the report and say where it is. A study in any state has one.

    Raises:
        BadStudyInput: there is no such study.
    """
    record = Record.open(studies, name)
    folder = out or record.paths.report
    with console.status("Writing the report ..."):
        page = write_report(record, language, folder)
    n_figures = len(list(folder.glob("*.csv")))
    console.print(
        f"{page} ({page.stat().st_size / 1e6:.1f} MB), report.md and {n_figures} CSV files beside it", soft_wrap=True
    )
