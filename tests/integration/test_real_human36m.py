"""Real motion capture in Human3.6M's layout through the reader, the writer and a camera."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from hpgan_core.data.human36m import read_human36m, read_human36m_file, write_human36m_file
from hpgan_core.data.recordings import Recordings
from hpgan_core.skeleton import HUMAN36M_32

CMU = Path(__file__).parents[3] / "shared" / "data" / "cmu_h36m"

pytestmark = pytest.mark.skipif(not CMU.is_dir(), reason=f"real recordings are not at {CMU}")


@pytest.fixture(scope="module", params=[17, 32])
def real(request: pytest.FixtureRequest) -> Recordings:
    return read_human36m(CMU, joints=request.param)


def joints(recordings: Recordings, positions: np.ndarray, *names: str) -> list[np.ndarray]:
    return [positions[:, recordings.skeleton.joints.index(name)].astype(np.float64) for name in names]


def test_all_45_takes_are_read(real: Recordings) -> None:
    assert len(real.clips) == 45
    assert not real.rejected
    assert real.subjects == ("S1", "S5", "S6", "S7")
    assert {clip.action for clip in real.clips} == {"Walking"}
    assert real.frame_rate_hz == 25
    assert min(len(clip.positions) for clip in real.clips) == 47


def test_every_frame_of_every_take_is_read() -> None:
    everything = read_human36m(CMU, skip_frames=0)
    assert sum(len(clip.positions) for clip in everything.clips) == 6890


def test_positions_are_those_of_a_plain_reading(real: Recordings) -> None:
    names = [HUMAN36M_32.joints.index(name) for name in real.skeleton.joints]
    for clip in real.clips[::9]:
        with h5py.File(CMU / clip.subject / f"{clip.name.split(' ', 1)[1]}.h5") as file:
            columns = file["3D_positions"][...]
        for frame in range(0, len(clip.positions), 20):
            for joint, name in enumerate(names):
                x, y, z = columns[3 * name : 3 * name + 3, 2 * frame] / 1000
                assert clip.positions[frame, joint] == pytest.approx([x, z, -y], abs=1e-6)


def test_written_again_they_are_the_same(tmp_path: Path) -> None:
    for clip in read_human36m(CMU, joints=32, skip_frames=0).clips[::9]:
        write_human36m_file(tmp_path / "take.h5", clip.positions)
        assert np.array_equal(read_human36m_file(tmp_path / "take.h5"), clip.positions)


def test_people_walk_upright_on_the_floor(real: Recordings) -> None:
    for clip in real.clips:
        head, hip, left, right = joints(real, clip.positions, "Head", "Hip", "LFoot", "RFoot")
        feet = np.minimum(left[:, 1], right[:, 1])
        assert (head[:, 1] > hip[:, 1] + 0.5).all()
        assert (hip[:, 1] > feet + 0.5).all()
        assert np.abs(feet).max() < 0.3


def test_left_is_to_the_left_of_where_people_walk(real: Recordings) -> None:
    up = np.array([0.0, 1.0, 0.0])
    for clip in real.clips:
        hip, *sides = joints(real, clip.positions, "Hip", "LHip", "RHip", "LShoulder", "RShoulder")
        to_the_left = np.cross(up, hip[-1] - hip[0])
        for left, right in (sides[:2], sides[2:]):
            assert ((left - right) @ to_the_left > 0).mean() > 0.95


def test_bones_have_a_length_that_people_have_and_keep(real: Recordings) -> None:
    parents, children = np.array(real.skeleton.bones).T
    for clip in real.clips:
        lengths_m = np.linalg.norm(clip.positions[:, children] - clip.positions[:, parents], axis=-1)
        assert lengths_m.min() > 0.03
        assert lengths_m.max() < 0.6
        assert (lengths_m.std(axis=0) / lengths_m.mean(axis=0)).max() < 0.1


def test_joints_without_a_bone_lie_on_one_that_has_it() -> None:
    boneless = set(range(32)) - {HUMAN36M_32.root} - {child for _, child in HUMAN36M_32.bones}
    repeated = {"SpineBase": "Hip", "LCollar": "Thorax", "RCollar": "Thorax"} | {
        f"{side}{part}": f"{side}Wrist" for side in "LR" for part in ("ThumbBase", "Hand")
    }
    assert {HUMAN36M_32.joints[joint] for joint in boneless} == set(repeated)
    recordings = read_human36m(CMU, joints=32)
    for clip in recordings.clips:
        for name, other in repeated.items():
            one, two = joints(recordings, clip.positions, name, other)
            assert np.abs(one - two).max() < 1e-4
