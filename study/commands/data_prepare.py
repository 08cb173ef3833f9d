"""``study data prepare``: from a folder of recordings to one motion archive."""

import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from rich.console import Console

from hpgan_core.data import list_recordings
from hpgan_core.data.parallel import Outcome
from hpgan_core.data.prepare import prepare
from study.commands.data_describe import Inventory, named_data, show
from study.errors import BadStudyInput, StudyError
from study.motion import reading_bar


class PreparationInterrupted(StudyError):
    """Ctrl-C or SIGTERM; what has been read is kept."""

    exit_code = 75


def run(
    folder: Path,
    archive: Path,
    *,
    dataset: str | None,
    overrides: Sequence[str],
    processes: int | None,
    console: Console,
) -> None:
    """Read a folder into an archive, or go on with that, and say what came out.

    Raises:
        BadStudyInput: a wrong option, or what is no folder of recordings.
        BadInput: nothing there can be read, or the archive cannot be written.
        PreparationInterrupted: Ctrl-C or SIGTERM; the same command goes on.
    """
    data = named_data(str(folder), dataset, overrides)
    source = list_recordings(data)
    if source is None:
        raise BadStudyInput(f"{folder} is no folder of recordings: only those need to be prepared")
    started = time.monotonic()
    first = last = -1

    def count(done: int, total: int) -> None:
        nonlocal first, last
        first, last = done if first < 0 else first, done
        progress(done, total)

    try:
        with _sigterm_as_ctrl_c(), reading_bar(Console(stderr=True)) as progress:
            whole = prepare(source, archive, data, processes=processes, progress=count)
    except KeyboardInterrupt:
        raise PreparationInterrupted("interrupted; what has been read is kept, and the same command goes on") from None
    seconds = time.monotonic() - started
    recordings = whole.recordings
    every: Iterable[Outcome] = chain(recordings.rejected, recordings.clips)
    show(Inventory.of(data, recordings.skeleton, recordings.frame_rate_hz, every, whole.digest), console)
    n_read = last - first
    how = f"{n_read:,} files in {seconds:.1f} s, {n_read / seconds:,.0f} a second" if last >= 0 else "was there already"
    console.print(f"Archive   {archive}, {archive.stat().st_size / 1e6:,.1f} MB; {how}", soft_wrap=True)


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Who is ended without a word leaves semaphores behind, and Python's tracker of them complains."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
