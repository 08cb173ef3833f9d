"""``study stop``: stop a study that another terminal runs."""

from pathlib import Path

from rich.console import Console

from study.errors import StudyError
from study.lease import wait_for_release
from study.record import Record
from study.stopping import ask_to_stop


def run(name: str, *, now: bool, studies: Path, console: Console) -> None:
    """Ask the driver of a study to stop, and wait until it has.

    Raises:
        BadStudyInput: no such study.
        StudyError: nobody runs it, or whoever did is dead.
    """
    # One that is being launched has no record yet.
    record = Record.named(studies, name)
    driver = record.holder()
    if driver is None:
        record = Record.open(studies, name)
        raise StudyError(f"study {name!r} is not running; it is {record.state().replace('_', ' ')}")
    ask_to_stop(record.paths, now=now)
    how = "at once" if now else "after the checkpoints of its running trials"
    with console.status(f"{driver} stops study {name!r} {how} ..."):
        wait_for_release(record.paths)
    if not record.exists:
        console.print(f"Study {name!r} is stopped; nothing of it had begun.")
        return
    conclusion = record.conclusion()
    if conclusion is not None:
        console.print(f"Study {name!r} has ended by itself: {conclusion.state.replace('_', ' ')}.")
    else:
        console.print(f"Study {name!r} is stopped. Go on with:\n  {record.command('resume')}")
