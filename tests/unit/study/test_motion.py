"""The data of a study: read through the cache, split by its protocol, the same whichever way it is kept."""

import io
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hpgan_core.data import list_recordings
from hpgan_core.data.prepare import prepare
from hpgan_core.data.synthetic import synthesise, write_synthetic
from hpgan_core.errors import BadInput
from hpgan_core.windows import build_motion_data
from study.errors import BadStudyInput, StudyError
from study.motion import load_motion, reading_bar, split_sizes
from study.record import SplitSize
from study.study_file import Data


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five people, five clips each, and an empty cache."""
    monkeypatch.setenv("HPGAN_CACHE", str(tmp_path / "cache"))
    write_synthetic(tmp_path / "skeletons", people=5, clips_per_action=1, frames=40)
    return tmp_path / "skeletons"


def data_of(folder: Path, **split: Any) -> Data:
    return Data.model_validate({"dataset": "ntu_rgbd", "root": str(folder), "min_frames": 40, "split": split})


def test_text_cache_and_archive_are_the_same_data(folder: Path, tmp_path: Path) -> None:
    direct = build_motion_data(synthesise(people=5, clips_per_action=1, frames=40))
    assert load_motion(data_of(folder)).digest == direct.digest
    (cached,) = (tmp_path / "cache").iterdir()
    assert load_motion(data_of(folder)).digest == direct.digest
    assert load_motion(Data.model_validate({"dataset": "archive", "path": str(cached)})).digest == direct.digest


def test_the_protocol_says_who_is_tested(folder: Path) -> None:
    official = load_motion(data_of(folder, protocol="ntu60_cross_subject", validation=0.5))
    # P001, P002, P004 and P005 are on the training side of NTU RGB+D 60.
    assert [len(clips) for clips in (official.train, official.validation, official.test)] == [10, 10, 5]


def test_a_split_is_as_large_as_the_clips_and_people_that_can_be_measured(folder: Path) -> None:
    assert split_sizes(load_motion(data_of(folder))) == {
        "train": SplitSize(people=3, clips=15, windows=30),
        "validation": SplitSize(people=1, clips=5, windows=10),
        "test": SplitSize(people=1, clips=5, windows=10),
    }


def test_a_protocol_of_other_data_is_refused(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"human36m: S001C001P001R001A001 is no name of a clip of Human3.6M"):
        load_motion(data_of(folder, protocol="human36m"))


def test_a_damaged_recording_is_named_with_the_way_out(folder: Path, tmp_path: Path) -> None:
    victim = sorted(folder.iterdir())[7]
    victim.write_text(victim.read_text()[:-50])
    with pytest.raises(BadStudyInput) as caught:
        load_motion(data_of(folder))
    assert str(caught.value).startswith(f"{victim}:")
    assert str(caught.value).endswith(f"leave out what is damaged: study data prepare {folder} motion.h5")
    data = {"dataset": "ntu_rgbd", "root": str(folder), "min_frames": 40}
    source = list_recordings(data)
    assert source is not None
    prepare(source, tmp_path / "motion.h5", data)
    motion = load_motion(Data.model_validate({"dataset": "archive", "path": str(tmp_path / "motion.h5")}))
    assert len(motion.train) + len(motion.validation) + len(motion.test) == 24


def test_the_bar_is_for_terminals_and_for_what_takes_time() -> None:
    for is_terminal in (True, False):
        for steps in (0, 3):
            out = io.StringIO()
            with reading_bar(Console(file=out, force_terminal=is_terminal, width=80)) as progress:
                for done in range(steps):
                    progress(done, 2)
            assert ("Reading recordings" in out.getvalue()) == (is_terminal and steps > 0)


def test_a_reading_process_that_dies_is_told() -> None:
    with (
        pytest.raises(StudyError, match="a process that read recordings was killed"),
        reading_bar(Console()),
        ProcessPoolExecutor(1, get_context("spawn")) as pool,
    ):
        pool.submit(os._exit, 9).result()
