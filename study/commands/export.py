"""``study export`` and ``study import``: a whole study as one file, and back."""

from pathlib import Path

from rich.console import Console
from rich.filesize import decimal

from study.bundle import export_study, import_study
from study.record import Record


def run_export(name: str, target: Path | None, *, checkpoints: bool, studies: Path, console: Console) -> None:
    """Write a study into one file, by default ``NAME.study.tar.gz``, and say what is in it.

    Raises:
        BadStudyInput: there is no such study, or the file is there already.
        StudyError: somebody runs the study.
    """
    record = Record.open(studies, name)
    target = target or Path(f"{name}.study.tar.gz")
    with console.status("Packing ..."):
        n_files = export_study(record, target, checkpoints=checkpoints)
    console.print(f"{target} ({decimal(target.stat().st_size)}): {n_files} files", soft_wrap=True)
    console.print(f"On another machine: study import {target.name}", soft_wrap=True)
    data = record.study_file.data
    if place := data.options.get("root", data.options.get("path")):
        console.print(f"The recordings in {place} are not part of it.", soft_wrap=True)


def run_import(source: Path, *, name: str | None, studies: Path, console: Console) -> None:
    """Make a study of such a file, and say what can be done with it.

    Raises:
        BadStudyInput: the file is none, or is damaged, or a study has that name already.
    """
    with console.status("Unpacking ..."):
        record = import_study(source, studies, name)
    console.print(f"{record.paths.folder}: {record.state().replace('_', ' ')}, {len(record.trials())} trials")
    console.print(f"Look at it with: {record.command('compare')}", soft_wrap=True)
