"""The motion data that a study file names."""

from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hpgan_core.data import list_recordings, read_recordings
from hpgan_core.data.cache import cache_folder, read_cached
from hpgan_core.data.prepare import Progress as ReadingProgress
from hpgan_core.data.recordings import Recordings
from hpgan_core.errors import MalformedRecording
from study.errors import BadStudyInput, StudyError
from study.record import Record, SplitSize
from study.study_file import Data

if TYPE_CHECKING:
    from hpgan_core.windows import MotionData


def load_motion(data: Data) -> "MotionData":
    """Read, check and split the recordings; those of a folder come from the cache, which is filled the first time.

    Raises:
        BadInput: a missing folder, too few people; from the core.
        BadStudyInput: a malformed recording.
    """
    # Imported here, since it needs torch, and who only reads recordings does not.
    from hpgan_core.windows import build_motion_data

    split = data.split
    return build_motion_data(
        _read(data), seed=split.seed, validation=split.validation, test=split.test_share(), protocol=split.protocol
    )


def _read(data: Data) -> Recordings:
    named = {"dataset": data.dataset, **data.options}
    source = list_recordings(named)
    if source is None:
        return read_recordings(named)
    try:
        with reading_bar(Console(stderr=True)) as progress:
            return read_cached(source, named, cache_folder(), progress)
    except MalformedRecording as error:
        leave_out = f"study data prepare {data.options['root']} motion.h5"
        raise BadStudyInput(f"{error}; mend it, or leave out what is damaged: {leave_out}") from error


@contextmanager
def reading_bar(console: Console) -> Iterator[ReadingProgress]:
    """Show on a terminal how many files have been read.

    Raises:
        StudyError: a process that read was killed.
    """
    columns = (
        TextColumn("Reading recordings"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", visible=False)
        try:
            yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)
        except BrokenProcessPool:
            raise StudyError(
                "a process that read recordings was killed, perhaps for lack of memory; try again"
            ) from None


def load_motion_of(record: Record) -> "MotionData":
    """The data of a recorded study, read again.

    Raises:
        BadStudyInput: it is no longer the data that was recorded.
    """
    motion = load_motion(record.study_file.data)
    if motion.digest != record.plan["data_digest"]:
        raise BadStudyInput(
            f"the data of {record.paths.name!r} has changed: digest {motion.digest[:16]} now, "
            f"{record.plan['data_digest'][:16]} recorded; restore {_source(record.study_file.data)}"
        )
    return motion


def split_sizes(motion: "MotionData") -> dict[str, SplitSize]:
    """How much each split holds, as it is recorded with the digest of the data."""
    parts = {"train": motion.train, "validation": motion.validation, "test": motion.test}
    return {
        name: SplitSize(
            people=len(set(clips.subjects.tolist())),
            clips=len(clips),
            windows=len(clips.strided_starts(motion.past_frames, motion.window)),
        )
        for name, clips in parts.items()
    }


def _source(data: Data) -> str:
    place = data.options.get("root", data.options.get("path"))
    return f"the {data.dataset} data set" if place is None else f"the recordings in {place}"
