"""``study rm``: forget a study."""

import shutil
from pathlib import Path
from uuid import uuid4

import typer
from rich.console import Console
from rich.filesize import decimal

from study.errors import BadStudyInput, StudyError
from study.paths import folder_bytes
from study.record import Record


def run(names: list[str], *, sure: bool, studies: Path, console: Console) -> None:
    """Remove the folders of studies, after asking. What MLflow or PostgreSQL hold of them stays there.

    Args:
        names: of the studies.
        sure: do not ask.
        studies: folder of all studies.
        console: where to tell.

    Raises:
        BadStudyInput: there is no such study, or nobody is there to be asked.
        StudyError: somebody runs one of them, or the answer is no.
    """
    records = [Record.open(studies, name) for name in dict.fromkeys(names)]
    for record in records:
        if (holder := record.holder()) is not None:
            raise StudyError(
                f"study {record.paths.name!r} is being run by {holder}; stop it first, nothing was removed"
            )
    for record in records:
        if not sure:
            _ask(record, console)
        # Under a name that is no study's, so that one that is half gone is not taken for one.
        doomed = studies / f".{uuid4().hex}.removed"
        record.paths.folder.rename(doomed)
        shutil.rmtree(doomed)
        console.print(f"{record.paths.folder} is removed", soft_wrap=True)


def _ask(record: Record, console: Console) -> None:
    size = decimal(folder_bytes(record.paths.folder))
    # Of a damaged record no more can be said, and it may be removed as well.
    trials = len(list(record.paths.trials.glob("*/*/trial.json")))
    if not console.is_terminal:
        raise BadStudyInput(f"removing {record.paths.folder} cannot be undone; say so with --yes")
    if not typer.confirm(f"Remove {record.paths.folder} with {trials} trials, {size}? It cannot be undone."):
        raise StudyError(f"{record.paths.folder} stays as it is")
