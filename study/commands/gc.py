"""``study gc``: free the disk of what no study needs any more."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal

from hpgan_core.checkpoint import superseded_checkpoints
from study.paths import folder_bytes
from study.record import Record


def run(names: list[str], *, dry_run: bool, studies: Path, as_json: bool, console: Console) -> None:
    """Remove checkpoints of trials that are through and are nobody's winner, and scratch of Ray; say what was freed.

    The last checkpoint of a confirmed winner stays, all those of trials to be gone on with stay, and so does every
    number and picture. Studies that are being run are left alone.

    Args:
        names: of studies; none means all.
        dry_run: only say what would be freed.
        studies: folder of all studies.
        as_json: print JSON.
        console: where to tell.

    Raises:
        BadStudyInput: there is no such study.
    """
    freed: dict[str, int | None] = {}
    for record in [Record.open(studies, name) for name in names] or Record.all(studies):
        if (holder := record.holder()) is not None:
            console.print(f"{record.paths.name}: left alone, {holder} runs it", soft_wrap=True)
            freed[record.paths.name] = None
            continue
        unneeded = list(_unneeded(record))
        size = freed[record.paths.name] = sum(map(_bytes, unneeded))
        for path in unneeded if not dry_run else ():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        console.print(f"{record.paths.name}: {decimal(size)}")
    total = sum(size or 0 for size in freed.values())
    console.print(f"{decimal(total)} {'could be' if dry_run else 'have been'} freed")
    if as_json:
        print(json.dumps({"bytes": total, "studies": freed}, indent=2))


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
