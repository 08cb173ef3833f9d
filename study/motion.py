"""The motion data that a study file names."""

from typing import Any

from hpgan_core.data import read_recordings
from hpgan_core.windows import MotionData, build_motion_data
from study.errors import BadStudyInput
from study.record import Record
from study.study_file import Data


def load_motion(data: Data) -> MotionData:
    """Read, check and split the recordings.

    Raises:
        BadInput: a missing folder, a malformed recording, too few people; from the core.
    """
    recordings = read_recordings({"dataset": data.dataset, **data.options})
    split = data.split
    return build_motion_data(recordings, seed=split.seed, validation=split.validation, test=split.test)


def load_motion_of(record: Record) -> MotionData:
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


def _source(data: Data) -> str:
    options: dict[str, Any] = data.options
    return f"the recordings in {options['root']}" if "root" in options else f"the {data.dataset} data set"
