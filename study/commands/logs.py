"""``study logs``: what the driver of a study, or the processes of one trial, have to say."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from study.errors import StudyError
from study.record import Record

POLL_S = 0.5


def run(name: str, trial_name: str | None, *, follow: bool, studies: Path) -> None:
    """Print a log, and with ``follow`` what is added to it until the study, or the trial, has ended.

    Raises:
        BadStudyInput: no such study or trial.
        StudyError: it has no log.
    """
    record = Record.open(studies, name)
    trial = record.find(trial_name) if trial_name else None
    path = trial.paths.log if trial else record.paths.log

    def ended() -> bool:
        return (trial is not None and trial.outcome is not None) or record.holder() is None

    if not path.exists() and not (follow and not ended()):
        raise StudyError(f"there is no log of {trial_name or name!r} yet; it would be {path}")
    _print(path, ended if follow else lambda: True)


def _print(path: Path, ended: Callable[[], bool]) -> None:
    position = 0
    while True:
        # Asked first: what is written until then is read after.
        last = ended()
        if path.exists():
            with path.open("rb") as file:
                file.seek(position)
                sys.stdout.write(file.read().decode(errors="replace"))
                sys.stdout.flush()
                position = file.tell()
        if last:
            return
        time.sleep(POLL_S)
