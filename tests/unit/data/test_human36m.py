"""Human3.6M's takes: where they lie, what they hold, and what becomes of their frames, joints and axes."""

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hpgan_core.data.human36m import (
    list_human36m,
    read_human36m,
    read_human36m_file,
    to_world_mm,
    write_human36m_file,
    y_up,
    z_up,
)
from hpgan_core.errors import BadInput, MalformedRecording
from hpgan_core.skeleton import HUMAN36M_17, HUMAN36M_32, HUMAN36M_KEPT

ORIGINAL = "MyPoses/3D_positions"


def motion(frames: int = 80, seed: int = 0) -> np.ndarray:
    """Float32 ``(frames, 32, 3)``, no two coordinates alike."""
    return np.random.default_rng(seed).normal(size=(frames, 32, 3)).astype(np.float32)


def take(root: Path, place: str, positions: np.ndarray | None = None) -> Path:
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    write_human36m_file(path, motion() if positions is None else positions)
    return path


def test_a_column_of_the_file_is_one_pose_in_millimetres_with_z_up(tmp_path: Path) -> None:
    columns = np.arange(96 * 2, dtype=np.float64).reshape(96, 2)
    with h5py.File(tmp_path / "take.h5", "w") as file:
        file["3D_positions"] = columns
    positions = read_human36m_file(tmp_path / "take.h5")
    assert positions.shape == (2, 32, 3)
    assert positions.dtype == np.float32
    for frame in range(2):
        for joint in range(32):
            x, y, z = columns[3 * joint : 3 * joint + 3, frame]
            assert positions[frame, joint] == pytest.approx([x / 1000, z / 1000, -y / 1000], abs=1e-7)


def test_a_take_in_half_precision_is_read_without_a_word(tmp_path: Path) -> None:
    columns = np.linspace(-2000, 2000, 96 * 2).reshape(96, 2).astype(np.float16)
    for name, dtype in (("half.h5", np.float16), ("whole.h5", np.float64)):
        with h5py.File(tmp_path / name, "w") as file:
            file["3D_positions"] = columns.astype(dtype)
    half, whole = (read_human36m_file(tmp_path / name) for name in ("half.h5", "whole.h5"))
    assert np.array_equal(half, whole)


def test_upright_is_a_rotation_of_the_world_and_no_mirror_image() -> None:
    axes = y_up(np.eye(3))
    assert np.array_equal(axes @ axes.T, np.eye(3))
    assert np.linalg.det(axes) == 1
    assert np.array_equal(y_up(np.array([0.0, 0.0, 1.0])), [0, 1, 0])


def test_the_world_comes_back_bit_for_bit() -> None:
    world = np.random.default_rng(0).normal(size=(5, 32, 3))
    assert z_up(y_up(world)).tobytes() == world.tobytes()
    assert to_world_mm(np.array([1.0, 2.0, 3.0])).tolist() == [1000, -3000, 2000]


def test_a_clip_is_named_by_subject_and_take(tmp_path: Path) -> None:
    for place in ("S9/Walking.h5", "S9/Walking 1.h5", "S11/WalkDog 2.h5"):
        take(tmp_path / "deep" / "down", place.replace("/", f"/{ORIGINAL}/"))
    recordings = read_human36m(tmp_path)
    described = [(clip.name, clip.subject, clip.action) for clip in recordings.clips]
    assert described == [
        ("S11 WalkDog 2", "S11", "WalkDog"),
        ("S9 Walking", "S9", "Walking"),
        ("S9 Walking 1", "S9", "Walking"),
    ]
    assert recordings.subjects == ("S11", "S9")


def test_takes_may_lie_in_the_subjects_folder_and_the_root_may_be_one(tmp_path: Path) -> None:
    take(tmp_path, "S5/Walking 1.h5")
    for root in (tmp_path, tmp_path / "S5"):
        assert [clip.name for clip in read_human36m(root).clips] == ["S5 Walking 1"]


def test_every_second_frame_is_kept_from_the_first_one(tmp_path: Path) -> None:
    take(tmp_path, "S1/Walking.h5", motion(81))
    recordings = read_human36m(tmp_path, joints=32)
    assert recordings.frame_rate_hz == 25
    assert recordings.skeleton is HUMAN36M_32
    assert np.array_equal(recordings.clips[0].positions, motion(81)[::2])


@pytest.mark.parametrize(("skip_frames", "frame_rate_hz", "frames"), [(0, 50, 80), (1, 25, 40), (4, 10, 16)])
def test_skipped_frames_set_the_rate(tmp_path: Path, skip_frames: int, frame_rate_hz: float, frames: int) -> None:
    take(tmp_path, "S1/Walking.h5")
    recordings = read_human36m(tmp_path, skip_frames=skip_frames, min_frames=1)
    assert recordings.frame_rate_hz == frame_rate_hz
    assert len(recordings.clips[0].positions) == frames


def test_17_joints_are_those_of_the_usual_names(tmp_path: Path) -> None:
    take(tmp_path, "S1/Walking.h5")
    recordings = read_human36m(tmp_path)
    assert recordings.skeleton is HUMAN36M_17
    kept = [HUMAN36M_32.joints.index(name) for name in HUMAN36M_17.joints]
    assert kept == list(HUMAN36M_KEPT)
    assert np.array_equal(recordings.clips[0].positions, motion()[::2, kept])


def test_what_is_no_take_is_rejected_with_its_reason(tmp_path: Path) -> None:
    take(tmp_path, "S1/Walking.h5")
    again = take(tmp_path, f"S1/{ORIGINAL}/Walking.h5")
    short = take(tmp_path, "S1/Sitting.h5", motion(58))
    (broken := tmp_path / "S1/Posing.h5").symlink_to("nowhere")
    strays = [take(tmp_path, place) for place in ("S1/StackedHourglass/Walking.h5", "cameras.h5", "S1/_ALL.h5")]
    recordings = read_human36m(tmp_path)
    assert [clip.name for clip in recordings.clips] == ["S1 Walking"]
    reasons = {reject.path: reject.reason for reject in recordings.rejected}
    assert len(reasons) == 6
    assert reasons[broken] == "it is no file"
    assert reasons[short] == "29 frames, fewer than 30"
    assert {reasons[path].split(" S1/")[0] for path in strays} == {"it does not lie like"}
    assert "already read" in (reasons.get(again) or reasons[tmp_path / "S1/Walking.h5"])


def test_a_listed_folder_can_be_sent_to_another_process(tmp_path: Path) -> None:
    take(tmp_path, "S1/Walking.h5")
    source = list_human36m(tmp_path, joints=32)
    sent = pickle.loads(pickle.dumps(source))
    assert sent == source
    assert np.array_equal(sent.read(sent.paths[0]).positions, source.read(source.paths[0]).positions)
    with pytest.raises(ValueError, match="none of the paths"):
        source.read(tmp_path / "elsewhere.h5")


def test_17_joints_are_read_in_another_process_too(tmp_path: Path) -> None:
    take(tmp_path, "S1/Walking.h5")
    sent = pickle.loads(pickle.dumps(list_human36m(tmp_path)))
    assert sent.read(sent.paths[0]).positions.shape == (40, 17, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"joints": 16}, "joints = 16 must be 17 or 32"),
        ({"skip_frames": -1}, "skip_frames = -1 must be 0 or more"),
        ({"min_frames": 0}, "min_frames = 0 1 or more"),
        ({"min_frames": 41}, "no take has 41 frames or more; relax min_frames"),
    ],
)
def test_options_out_of_range_are_named(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    take(tmp_path, "S1/Walking.h5")
    with pytest.raises(BadInput, match=message):
        read_human36m(tmp_path, **options)


def test_a_folder_without_takes_says_where_they_should_lie(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        list_human36m(tmp_path / "nowhere")
    with pytest.raises(BadInput, match=r"none of its 0 \.h5 files lies"):
        list_human36m(tmp_path)
    stray = take(tmp_path, "cameras.h5")
    with pytest.raises(BadInput, match=r"none of its 1 \.h5 files lies, at any depth, like S1/MyPoses/3D_positions/"):
        list_human36m(tmp_path)
    with pytest.raises(BadInput, match="is a file"):
        list_human36m(stray)


@pytest.mark.parametrize(
    ("dataset", "columns", "message"),
    [
        ("3D_positions", np.zeros((95, 4)), r"dataset 3D_positions of shape 96 × n, found \(95, 4\)"),
        ("3D_positions", np.zeros((4, 96)), r"shape 96 × n, found \(4, 96\)"),
        ("3D_positions", np.full((96, 4), np.nan), "finite values in dataset 3D_positions, found nan"),
        ("3D_positions", np.full((96, 4), 1.01e6), r"coordinates of 1e\+06 mm or less, found 1\.01e\+06 mm"),
        ("3D_positions", np.full((96, 4), -1e300), r"coordinates of 1e\+06 mm or less"),
        ("positions", np.zeros((96, 4)), "dataset 3D_positions, found no 3D_positions in /"),
    ],
)
def test_what_breaks_the_format_is_named(tmp_path: Path, dataset: str, columns: np.ndarray, message: str) -> None:
    path = tmp_path / "S1" / "Walking.h5"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        file[dataset] = columns
    with pytest.raises(MalformedRecording, match=message) as caught:
        read_human36m(tmp_path)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (np.zeros((4, 17, 3)), r"must be \(frames, 32, 3\), found \(4, 17, 3\)"),
        (np.zeros((32, 3)), r"found \(32, 3\)"),
        (np.full((4, 32, 3), np.nan), "finite"),
        (np.full((4, 32, 3), 1001.0), "within"),
    ],
)
def test_what_does_not_fit_the_format_is_not_written(tmp_path: Path, positions: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_human36m_file(tmp_path / "take.h5", positions)
    assert not list(tmp_path.iterdir())
