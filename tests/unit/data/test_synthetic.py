"""Synthetic people: bodies that hold together, actions that are what they are called, streams that do not interfere."""

from pathlib import Path

import numpy as np
import pytest

from hpgan_core.data.ntu_rgbd import read_ntu_rgbd
from hpgan_core.data.recordings import Recordings
from hpgan_core.data.synthetic import ACTIONS, synthesise, write_synthetic
from hpgan_core.errors import BadInput
from hpgan_core.skeleton import KINECT_V2

WALK, WAVE, SQUAT, REACH, SIT = ACTIONS
UP = np.array([0.0, 1.0, 0.0])


@pytest.fixture(scope="module")
def crowd() -> Recordings:
    return synthesise(people=8, clips_per_action=4)


def joint(positions: np.ndarray, name: str) -> np.ndarray:
    return positions[..., KINECT_V2.joints.index(name), :].astype(np.float64)


def motions(recordings: Recordings, action: str) -> np.ndarray:
    """Positions of every clip of an action, ``(clips, frames, 25, 3)``."""
    return np.stack([clip.positions for clip in recordings.clips if clip.action == action])


def bone_lengths(positions: np.ndarray) -> np.ndarray:
    """Metres, ``(..., bones)``."""
    parents, children = np.array(KINECT_V2.bones).T
    return np.linalg.norm(positions[..., children, :].astype(np.float64) - positions[..., parents, :], axis=-1)


def leftward(positions: np.ndarray, part: str) -> np.ndarray:
    """Horizontal unit vector from the right to the left hip or shoulder."""
    across = (joint(positions, f"{part}Left") - joint(positions, f"{part}Right")) * [1, 0, 1]
    return across / np.linalg.norm(across, axis=-1, keepdims=True)


def test_every_person_does_every_action_in_the_order_of_names(crowd: Recordings) -> None:
    names = [clip.name for clip in crowd.clips]
    assert len(names) == 8 * 4 * 5
    assert names == sorted(set(names))
    assert crowd.subjects == tuple(f"P{person:03d}" for person in range(1, 9))
    assert all(clip.positions.shape == (120, 25, 3) and clip.positions.dtype == np.float32 for clip in crowd.clips)
    assert all(np.isfinite(clip.positions).all() for clip in crowd.clips)


def test_bones_keep_their_length_in_all_clips_of_a_person(crowd: Recordings) -> None:
    for subject in crowd.subjects:
        lengths = bone_lengths(np.concatenate([clip.positions for clip in crowd.clips if clip.subject == subject]))
        assert np.ptp(lengths, axis=0).max() < 1e-5


def test_left_and_right_limbs_are_equally_long(crowd: Recordings) -> None:
    lengths = dict(zip(KINECT_V2.bones, bone_lengths(crowd.clips[0].positions)[0], strict=True))
    other = dict(KINECT_V2.mirrored)
    left = [(parent, child) for parent, child in lengths if child in other]
    assert len(left) == 10
    for parent, child in left:
        assert lengths[parent, child] == pytest.approx(lengths[other.get(parent, parent), other[child]], abs=1e-5)


def test_people_differ_in_size_and_in_proportion(crowd: Recordings) -> None:
    first = {clip.subject: bone_lengths(clip.positions)[0] for clip in crowd.clips}
    lengths = np.stack(list(first.values()))
    assert np.ptp(lengths.sum(axis=1)) > 0.3
    thigh, upper_arm = KINECT_V2.bones.index((12, 13)), KINECT_V2.bones.index((4, 5))
    assert np.ptp(lengths[:, thigh] / lengths[:, upper_arm]) > 0.02


def test_nothing_moves_faster_than_people_do(crowd: Recordings) -> None:
    for clip in crowd.clips:
        metres_per_s = np.linalg.norm(np.diff(clip.positions, axis=0), axis=-1) * crowd.frame_rate_hz
        assert metres_per_s.max() < 6


def test_people_stand_on_the_floor_within_the_sensors_range(crowd: Recordings) -> None:
    for clip in crowd.clips:
        lowest = clip.positions[..., 1].min(axis=1)
        assert lowest.min() > -1.02
        assert lowest.max() < -0.88
        assert np.ptp(lowest) < 0.05
        assert clip.positions[..., 2].min() > 2.0
        assert clip.positions[..., 2].max() < 4.5
        assert joint(clip.positions, "Head")[:, 1].max() < 1.0


@pytest.mark.parametrize("side", ["Left", "Right"])
def test_knees_bend_backward_only(crowd: Recordings, side: str) -> None:
    for clip in crowd.clips:
        hip, knee, ankle = (joint(clip.positions, f"{part}{side}") for part in ("Hip", "Knee", "Ankle"))
        bend = np.sum(np.cross(knee - hip, ankle - knee) * leftward(clip.positions, "Hip"), axis=-1)
        assert bend.min() > 0


@pytest.mark.parametrize("action", [WALK, SQUAT, SIT])
@pytest.mark.parametrize("side", ["Left", "Right"])
def test_elbows_bend_forward_only(crowd: Recordings, action: str, side: str) -> None:
    positions = motions(crowd, action)
    shoulder, elbow, wrist = (joint(positions, f"{part}{side}") for part in ("Shoulder", "Elbow", "Wrist"))
    bend = np.sum(np.cross(elbow - shoulder, wrist - elbow) * leftward(positions, "Shoulder"), axis=-1)
    assert bend.max() < 0


def test_walking_carries_the_body_on_alternating_legs_and_counterswinging_arms(crowd: Recordings) -> None:
    positions = motions(crowd, WALK)
    way_m = np.linalg.norm(np.diff(joint(positions, "SpineBase") * [1, 0, 1], axis=1), axis=-1).sum(axis=1)
    assert way_m.mean() > 1
    forward = np.cross(leftward(positions, "Hip"), UP)
    feet = np.sum((joint(positions, "AnkleLeft") - joint(positions, "AnkleRight")) * forward, axis=-1)
    hands = np.sum((joint(positions, "WristLeft") - joint(positions, "WristRight")) * forward, axis=-1)
    assert (np.abs(np.diff(np.sign(feet), axis=1)) == 2).sum(axis=1).mean() >= 3
    assert np.corrcoef(feet.ravel(), hands.ravel())[0, 1] < -0.8
    direction = np.sum(np.diff(joint(positions, "SpineBase"), axis=1) * forward[:, 1:], axis=-1)
    assert direction.sum(axis=1).min() > 0


def test_the_foot_that_carries_hardly_slides(crowd: Recordings) -> None:
    for action in ACTIONS:
        positions = motions(crowd, action)
        feet = positions[:, :, [KINECT_V2.joints.index(f"Foot{side}") for side in ("Left", "Right")]]
        lowest = feet[..., 1].argmin(axis=-1)[..., None, None]
        path = np.linalg.norm(np.diff(feet[..., ::2], axis=1), axis=-1)
        slides = np.take_along_axis(path, lowest[:, 1:, :, 0], axis=-1) * crowd.frame_rate_hz
        assert np.median(slides) < 0.2


def test_waving_swings_one_hand_above_the_head(crowd: Recordings) -> None:
    positions = motions(crowd, WAVE)
    head = joint(positions, "Head")[..., 1]
    above = np.stack([joint(positions, f"Hand{side}")[..., 1] > head for side in ("Left", "Right")])
    assert (above.any(axis=(0, 2))).mean() > 0.9
    assert not above.any(axis=2).all(axis=0).any()
    assert {*above.any(axis=2).argmax(axis=0)} == {0, 1}


@pytest.mark.parametrize("action", [SQUAT, SIT])
def test_squatting_and_sitting_lower_the_hips_over_planted_feet(crowd: Recordings, action: str) -> None:
    positions = motions(crowd, action)
    hips = joint(positions, "SpineBase")[..., 1]
    assert np.median(np.ptp(hips, axis=1)) > 0.3
    feet = joint(positions, "FootLeft")
    assert np.ptp(feet, axis=1).max() < 0.1


def test_squatting_leans_forward_and_sitting_ends_upright_on_level_thighs(crowd: Recordings) -> None:
    def lowest(action: str) -> np.ndarray:
        positions = motions(crowd, action)
        return np.stack([clip[joint(clip, "SpineBase")[:, 1].argmin()] for clip in positions])

    def tilt(positions: np.ndarray) -> np.ndarray:
        trunk = joint(positions, "SpineShoulder") - joint(positions, "SpineBase")
        return np.arccos(trunk[:, 1] / np.linalg.norm(trunk, axis=-1))

    assert np.median(tilt(lowest(SQUAT))) > 0.4
    assert np.median(tilt(lowest(SIT))) < 0.25
    level = joint(lowest(SIT), "KneeLeft")[:, 1] - joint(lowest(SIT), "HipLeft")[:, 1]
    assert np.abs(np.median(level)) < 0.1


def test_reaching_stretches_one_arm_away_from_the_trunk(crowd: Recordings) -> None:
    positions = motions(crowd, REACH)
    reach = np.stack(
        [
            np.linalg.norm((joint(positions, f"Hand{side}") - joint(positions, "SpineBase")) * [1, 0, 1], axis=-1)
            for side in ("Left", "Right")
        ]
    ).max(axis=2)  # (sides, clips)
    assert np.median(reach.max(axis=0)) > 0.5
    assert np.median(reach.min(axis=0)) < 0.45


def test_standing_still_misses_the_future_by_centimetres(crowd: Recordings) -> None:
    positions = np.stack([clip.positions for clip in crowd.clips])
    later_m = np.linalg.norm(positions[:, 20:] - positions[:, :-20], axis=-1).mean()
    assert 0.05 < later_m < 0.2


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    assert synthesise(3, people=2).digest() == synthesise(3, people=2).digest()
    assert synthesise(3, people=2).digest() != synthesise(4, people=2).digest()


def test_more_people_and_clips_leave_the_earlier_ones_alone() -> None:
    few = {clip.name: clip.positions for clip in synthesise(people=2, clips_per_action=1, frames=40).clips}
    many = {clip.name: clip.positions for clip in synthesise(people=3, clips_per_action=2, frames=40).clips}
    assert len(few) == 10
    assert all(np.array_equal(positions, many[name]) for name, positions in few.items())


def test_noise_is_of_the_size_asked_for_larger_outside_and_correlated_in_time() -> None:
    clean, noisy = (synthesise(people=2, noise_m=noise_m) for noise_m in (0.0, 0.004))
    error = np.stack([b.positions - a.positions for a, b in zip(clean.clips, noisy.clips, strict=True)])
    assert joint(error, "SpineMid").std() == pytest.approx(0.004, rel=0.05)
    assert joint(error, "HandTipLeft").std() == pytest.approx(0.010, rel=0.05)
    trunk = joint(error, "SpineMid")
    assert np.corrcoef(trunk[:, 1:].ravel(), trunk[:, :-1].ravel())[0, 1] == pytest.approx(2 / 3, abs=0.05)


@pytest.mark.parametrize("noise_m", [0.0, 0.003])
def test_written_and_read_back_it_is_the_same(tmp_path: Path, noise_m: float) -> None:
    options = {"people": 2, "clips_per_action": 2, "frames": 60, "noise_m": noise_m}
    written = write_synthetic(tmp_path / "new" / "folder", 5, **options)
    read = read_ntu_rgbd(tmp_path)
    assert len(read.clips) == 20
    assert read.rejected == ()
    assert read.digest() == written.digest() == synthesise(5, **options).digest()


def test_two_frames_are_enough() -> None:
    assert synthesise(people=1, clips_per_action=1, frames=2).clips[0].positions.shape == (2, 25, 3)


@pytest.mark.parametrize(
    ("option", "value"),
    [("seed", -1), ("people", 0), ("people", 1000), ("clips_per_action", 0), ("frames", 1), ("noise_m", float("nan"))],
)
def test_a_number_out_of_range_is_named(option: str, value: float) -> None:
    with pytest.raises(BadInput, match=f"{option} = {value} is outside"):
        synthesise(**{option: value})
