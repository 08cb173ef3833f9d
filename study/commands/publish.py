"""``study publish``: send MLflow what it misses of a study."""

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from study.errors import StudyError
from study.lease import keep_out
from study.record import Record
from study.tracking import Published, Tracker


def run(name: str, *, studies: Path, as_json: bool, console: Console) -> None:
    """Bring MLflow up to the record, and say what has been sent. Doing it twice changes nothing.

    Raises:
        BadStudyInput: there is no such study, or no MLflow can be at the address that is given.
        StudyError: MLflow does not answer, some runs cannot be published, or another process is publishing this study.
    """
    record = Record.open(studies, name)
    if (holder := record.holder()) is not None:
        raise StudyError(f"study {name!r} is being run by {holder}, which publishes it; wait for it, or stop it first")
    tracker = Tracker(record, record.study_file)
    with console.status(f"Publishing to {tracker.uri} ..."), keep_out(record.paths):
        sent = tracker.publish()
    if as_json:
        print(json.dumps({"uri": tracker.uri} | asdict(sent), indent=2))
        return
    news = (
        f"{sent.runs} runs made, {sent.points} points and {sent.files} files sent, {sent.ended} runs ended, "
        f"{sent.models} models registered"
    )
    console.print(f"{tracker.uri}: {'nothing was missing' if sent == Published() else news}", soft_wrap=True)
