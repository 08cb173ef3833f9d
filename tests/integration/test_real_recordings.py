"""Real Kinect recordings through the reader and the writer."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hpgan_core.data import read_recordings
from hpgan_core.data.ntu_rgbd import read_skeleton_file, write_skeleton_file
from hpgan_core.data.recordings import Recordings
from hpgan_core.data.skeleton_text import _parse_at_once
from hpgan_core.data.split import split_by_subject

UI_PRMD = Path(__file__).parents[3] / "shared" / "data" / "ui_prmd" / "skeletons"

pytestmark = pytest.mark.skipif(not UI_PRMD.is_dir(), reason=f"real recordings are not at {UI_PRMD}")


@pytest.fixture(scope="module")
def real() -> Recordings:
    return read_recordings({"dataset": "ntu_rgbd", "root": UI_PRMD})


def test_all_700_files_are_read_and_the_75_short_ones_rejected(real: Recordings) -> None:
    assert len(real.clips) == 625
    assert len(real.rejected) == 75
    assert {reject.reason.split(" ", 1)[1] for reject in real.rejected} == {
        "unbroken frames of one person, fewer than 60"
    }
    assert real.subjects == tuple(f"P{person}" for person in range(101, 108))
    assert len(Counter(clip.action for clip in real.clips)) == 10
    assert min(len(clip.positions) for clip in real.clips) == 60


def test_every_frame_of_every_file_is_read() -> None:
    everything = read_recordings({"dataset": "ntu_rgbd", "root": UI_PRMD, "min_frames": 1})
    assert sum(len(clip.positions) for clip in everything.clips) == 53865


def test_positions_are_those_of_a_plain_reading(real: Recordings) -> None:
    for clip in real.clips[::50]:
        lines = (UI_PRMD / f"{clip.name}.skeleton").read_text().splitlines()
        frames = [lines[4 + 28 * frame : 29 + 28 * frame] for frame in range(int(lines[0]))]
        plain = [[[float(number) for number in joint.split()[:3]] for joint in frame] for frame in frames]
        assert np.array_equal(clip.positions, np.array(plain, dtype=np.float32))


def test_every_file_is_ordinary_enough_to_be_parsed_at_once() -> None:
    assert all(_parse_at_once(path.read_bytes()) is not None for path in UI_PRMD.iterdir())


def test_written_again_they_are_the_same(real: Recordings, tmp_path: Path) -> None:
    for clip in real.clips[::50]:
        write_skeleton_file(tmp_path / "clip.skeleton", clip.positions)
        assert np.array_equal(read_skeleton_file(tmp_path / "clip.skeleton"), clip.positions)


def test_standing_still_misses_the_future_by_as_much_as_published(real: Recordings) -> None:
    errors_m = [
        np.linalg.norm(clip.positions[start + 10 : start + 30] - clip.positions[start + 9], axis=-1).mean()
        for clip in real.clips
        for start in range(0, len(clip.positions) - 29, 10)
    ]
    assert np.mean(errors_m) == pytest.approx(0.100, abs=0.002)


def test_seven_people_split_without_sharing_anybody(real: Recordings) -> None:
    split = Counter(split_by_subject(real.subjects).values())
    assert split == {"train": 5, "validation": 1, "test": 1}
