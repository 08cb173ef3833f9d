"""``study gc``: free the disk of what no study needs any more."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal

from hpgan_core.checkpoint import superseded_checkpoints
from study.errors import StudyError
from study.paths import folder_bytes
from study.record import Record


def run(names: list[str], *, dry_run: bool, studies: Path, as_json: bool, console: Console) -> None:
    """Remove checkpoints of trials that are through and are nobody's winner, and scratch of Ray; say what was freed.

    The last checkpoint of a confirmed winner stays, all those of trials to be gone on with stay, and so does every
    number and picture. Studies that are being run are left alone, and so are those whose record cannot be read: nobody
    knows which of their trials are through.

    Args:
        names: of studies; none means all.
        dry_run: only say what would be freed.
        studies: folder of all studies.
        as_json: print JSON.
        console: where to tell.

    Raises:
        BadStudyInput: there is no such study.
        StudyError: one is damaged; all others have been looked at.
    """
    freed: dict[str, int | None] = {}
    damaged: dict[str, str] = {}
    for record in [Record.open(studies, name) for name in names] or Record.all(studies):
        name = record.paths.name
        freed[name] = None
        if (holder := record.holder()) is not None:
            console.print(f"{name}: left alone, {holder} runs it", soft_wrap=True)
            continue
        try:
            unneeded = list(_unneeded(record))
        except StudyError as error:
            console.print(f"{name}: left alone, {error}", soft_wrap=True)
            damaged[name] = str(error)
            continue
        size = freed[name] = sum(map(_bytes, unneeded))
        for path in unneeded if not dry_run else ():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        console.print(f"{name}: {decimal(size)}")
    total = sum(size or 0 for size in freed.values())
    console.print(f"{decimal(total)} {'could be' if dry_run else 'have been'} freed")
    if as_json:
        print(json.dumps({"bytes": total, "studies": freed, "damaged": damaged}, indent=2))
    if damaged:
        raise StudyError(f"left alone, since they are damaged: {', '.join(damaged)}")


def _unneeded(record: Record) -> Iterator[Path]:
    kept = {trial.key for arm in record.study_file.arms for trial in record.confirmations(arm)}
    for trial in record.trials():
        if trial.key in kept:
            yield from superseded_checkpoints(trial.paths.checkpoints)
        elif trial.outcome is not None and trial.paths.checkpoints.exists():
            yield trial.paths.checkpoints
    if record.paths.ray.exists():
        yield record.paths.ray


def _bytes(path: Path) -> int:
    return folder_bytes(path) if path.is_dir() else path.stat().st_size
