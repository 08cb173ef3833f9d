"""``study gc``: free the disk of what no study needs any more."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal

from study.paths import folder_bytes
from study.record import Record


def run(names: list[str], *, dry_run: bool, studies: Path, console: Console) -> None:
    """Remove checkpoints of trials that are through and are nobody's winner, and scratch of Ray; say what was freed.

    Checkpoints of confirmed winners and of trials to be gone on with stay, and so does every number and picture.
    Studies that are being run are left alone.

    Args:
        names: of studies; none means all.
        dry_run: only say what would be freed.
        studies: folder of all studies.
        console: where to tell.

    Raises:
        BadStudyInput: there is no such study.
    """
    total = 0
    for record in [Record.open(studies, name) for name in names] or Record.all(studies):
        if (holder := record.holder()) is not None:
            console.print(f"{record.paths.name}: left alone, {holder} runs it", soft_wrap=True)
            continue
        freed = 0
        for folder in _unneeded(record):
            freed += folder_bytes(folder)
            if not dry_run:
                shutil.rmtree(folder)
        total += freed
        console.print(f"{record.paths.name}: {decimal(freed)}")
    console.print(f"{decimal(total)} {'could be' if dry_run else 'have been'} freed")


def _unneeded(record: Record) -> Iterator[Path]:
    kept = {trial.key for arm in record.study_file.arms for trial in record.confirmations(arm)}
    for trial in record.trials():
        if trial.outcome is not None and trial.key not in kept and trial.paths.checkpoints.exists():
            yield trial.paths.checkpoints
    if record.paths.ray.exists():
        yield record.paths.ray
