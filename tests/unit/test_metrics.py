"""Each metric against loops that spell its formula out, and cases with known answers."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.plain_metrics import measure_plainly
from hpgan_core.evaluation import EvaluationWindows, evaluate_baselines, measure, window_metrics
from hpgan_core.metrics import (
    METRICS,
    MIN_RATIO,
    MULTIMODAL_THRESHOLD_M,
    Reference,
    average_displacement_error,
    average_pairwise_distance,
    best,
    bone_error,
    bone_error_rmse,
    bone_jitter,
    bone_jitter_rmse,
    constant_velocity,
    cumulative_motion_distance,
    final_displacement_error,
    first_frame_jump_mm,
    jerk,
    joint_error_mm,
    movement_jerk,
    multimodal_errors,
    relative_bone_lengths,
    root_relative,
    score,
    similar_windows,
    steps,
    zero_velocity,
)
from hpgan_core.skeleton import KINECT_V2

PAST, FUTURE, JOINTS = 4, 6, KINECT_V2.n_joints
RATE_HZ = 30.0
EXACT = torch.float64


def random_motions(windows: int = 2, futures: int = 4, frames: int = FUTURE, members: int = 1) -> tuple[Tensor, ...]:
    """Past, K futures of every member, true future; the last poses of some windows are within 0.5 m of each other."""
    random = torch.Generator().manual_seed(0)
    shapes = [(windows, PAST), (members, windows, futures, frames), (windows, frames)]
    past, predicted, truth = (torch.randn(*shape, JOINTS, 3, generator=random, dtype=EXACT) for shape in shapes)
    past[:, -1] = past[0, -1] + 0.03 * past[:, -1]
    return past, predicted, truth


def windows_of(past: Tensor, truth: Tensor, actions: list[str] | None = None) -> EvaluationWindows:
    return EvaluationWindows.of(past, truth, np.array(actions or ["walk"] * len(past)), KINECT_V2, RATE_HZ)


def measured(windows: EvaluationWindows, predicted: Tensor) -> dict[str, float]:
    """Every metric of one member's futures, ``(N, K, T, J, 3)``."""
    (metrics,) = measure(windows, lambda some: (predicted[None, some], {}), at_once=len(windows))
    return metrics


def steady_motion(frames: int) -> Tensor:
    """Joints that each move at their own constant velocity, two windows, ``(2, frames, J, 3)``."""
    random = torch.Generator().manual_seed(1)
    start, step = torch.randn(2, 2, 1, JOINTS, 3, generator=random, dtype=EXACT).unbind()
    return start + 0.01 * step * torch.arange(frames, dtype=EXACT).view(-1, 1, 1)


@pytest.mark.parametrize("windows", [1, 7])
@pytest.mark.parametrize("futures", [1, 4])
@pytest.mark.parametrize("frames", [4, 6])
def test_metrics_equal_their_definitions_written_as_loops(windows: int, futures: int, frames: int) -> None:
    past, predicted, truth = random_motions(windows, futures, frames, members=2)
    held_out = windows_of(past, truth, ["walk", "sit", "walk", "wave", "sit", "walk", "walk"][:windows])
    found = window_metrics(held_out, slice(None), predicted)
    found["cmd"] = cumulative_motion_distance(
        found.pop("steps"), steps(held_out.true_poses.unsqueeze(1)), held_out.actions
    ).unsqueeze(1)
    for member, futures_of_member in enumerate(predicted):
        arrays = (motion.numpy() for motion in (past, futures_of_member, truth, held_out.actions))
        expected = measure_plainly(*arrays, KINECT_V2, RATE_HZ)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            assert found[name][member].tolist() == pytest.approx(values, rel=1e-9), name
    neighbours = [len(of_window) for of_window in held_out.neighbours]
    assert windows == 1 or 1 < np.mean(neighbours) < windows, "neither nobody nor everybody is similar"


@pytest.mark.parametrize("frames", [1, 2])
def test_futures_of_one_or_two_frames_have_every_metric_but_jerk(frames: int) -> None:
    past, predicted, truth = random_motions(frames=frames)
    found = measured(windows_of(past, truth), predicted[0])
    undefined = {name for name, value in found.items() if not math.isfinite(value)}
    assert undefined == {"jerk_ratio", "raw_jerk_ratio", "score"}
    assert (found["cmd"] == 0) == (frames == 1)


def test_root_relative_poses_drop_the_root_and_the_place() -> None:
    _, _, truth = random_motions()
    for root in (0, 2, JOINTS - 1):
        poses = root_relative(truth, root)
        others = [joint for joint in range(JOINTS) if joint != root]
        assert poses.shape == (2, FUTURE, 3 * (JOINTS - 1))
        torch.testing.assert_close(root_relative(truth + 7, root), poses)
        for place, joint in enumerate(others):
            assert torch.equal(poses[..., 3 * place : 3 * place + 3], truth[..., joint, :] - truth[..., root, :])


def test_a_perfect_prediction_has_no_error() -> None:
    past, _, truth = random_motions()
    found = measured(windows_of(past, truth), truth.unsqueeze(1))
    assert [found[name] for name in ("ade", "fde", "joint_error_mm", "apd")] == [0, 0, 0, 0]
    assert found["jerk_ratio"] == 1


def test_displacement_of_a_constant_offset_is_its_length() -> None:
    truth = torch.zeros(1, FUTURE, 12)
    predicted = torch.full((1, 1, FUTURE, 12), 0.5)
    assert average_displacement_error(predicted, truth).item() == pytest.approx(0.5 * 12**0.5)
    assert final_displacement_error(predicted, truth).item() == pytest.approx(0.5 * 12**0.5)


def test_a_person_one_metre_away_is_wrong_in_camera_space_alone() -> None:
    past, _, truth = random_motions()
    found = measured(windows_of(past, truth), truth.unsqueeze(1) + torch.tensor([0.0, 0.6, 0.8]))
    assert found["joint_error_mm"] == pytest.approx(1000)
    assert found["ade"] == pytest.approx(0, abs=1e-9)


def test_every_joint_but_the_root_one_metre_off_is_the_square_root_of_their_number() -> None:
    past, _, truth = random_motions()
    predicted = truth.unsqueeze(1).clone()
    predicted[..., 1:, 0] += 1
    found = measured(windows_of(past, truth), predicted)
    assert [found[name] for name in ("ade", "fde")] == pytest.approx([24**0.5, 24**0.5])


def test_the_best_future_counts_and_the_final_frame_chooses_anew() -> None:
    truth = torch.zeros(1, 4, 1)
    mostly_near = torch.tensor([0.0, 0.0, 0.0, 8.0])
    near_at_last = torch.tensor([4.0, 4.0, 4.0, 1.0])
    predicted = torch.stack([mostly_near, near_at_last]).view(1, 2, 4, 1)
    assert average_displacement_error(predicted, truth).item() == 2
    assert final_displacement_error(predicted, truth).item() == 1


@pytest.mark.parametrize("apart_m", [0.5, np.nextafter(0.5, 0), 0.51, 0.0])
def test_windows_are_similar_below_the_threshold_and_not_at_it(apart_m: float) -> None:
    poses = torch.zeros(2, 72, dtype=EXACT)
    poses[1, 5] = apart_m
    both = [[0, 1], [0, 1]]
    assert MULTIMODAL_THRESHOLD_M == 0.5
    found = [of_window.tolist() for of_window in similar_windows(poses)]
    assert found == (both if apart_m < 0.5 else [[0], [1]])
    assert [of_window.tolist() for of_window in similar_windows(poses, threshold_m=1.0)] == both


def test_similarity_is_not_passed_on() -> None:
    line = torch.tensor([[0.0], [0.4], [0.8]])
    assert [of_window.tolist() for of_window in similar_windows(line)] == [[0, 1], [0, 1, 2], [1, 2]]


def test_multimodal_errors_are_means_over_similar_windows_of_the_best_future() -> None:
    truths = torch.tensor([0.0, 3.0]).view(2, 1, 1).expand(-1, 4, 1)
    predicted = torch.tensor([1.0, 5.0]).view(1, 2, 1, 1).expand(-1, -1, 4, 1)
    for neighbours, expected in (([0], 1.0), ([1], 2.0), ([0, 1], (1 + 2) / 2)):
        for error in multimodal_errors(predicted, truths, [torch.tensor(neighbours)]):
            assert error.tolist() == [expected]


def test_without_similar_windows_multimodal_errors_are_the_plain_ones() -> None:
    _, predicted, truth = random_motions(windows=3)
    poses, true_poses = root_relative(predicted, 0), root_relative(truth, 0)
    mmade, mmfde = multimodal_errors(poses, true_poses, [torch.tensor([window]) for window in range(3)])
    torch.testing.assert_close(mmade, average_displacement_error(poses, true_poses))
    torch.testing.assert_close(mmfde, final_displacement_error(poses, true_poses))


def test_multimodal_errors_do_not_depend_on_how_many_distances_are_taken_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    past, predicted, truth = random_motions(windows=9, members=2)
    windows = windows_of(past, truth)
    arguments = root_relative(predicted, 0), windows.true_poses, windows.neighbours
    whole = multimodal_errors(*arguments)
    for at_once in (1, 20):
        monkeypatch.setattr("hpgan_core.metrics.DISTANCES_AT_ONCE", at_once)
        torch.testing.assert_close(multimodal_errors(*arguments), whole, rtol=1e-12, atol=0)


def test_diversity_of_three_futures_is_the_mean_of_three_distances() -> None:
    futures = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]).view(1, 3, 2, 1)
    assert average_pairwise_distance(futures).item() == pytest.approx((3 + 4 + 5) / 3)


def test_diversity_of_one_future_or_of_equal_ones_is_zero() -> None:
    futures = torch.randn(2, 1, 5, 6, generator=torch.Generator().manual_seed(0))
    assert average_pairwise_distance(futures).tolist() == [0, 0]
    assert average_pairwise_distance(futures.expand(-1, 4, -1, -1)).tolist() == [0, 0]


def test_diversity_of_a_nearly_collapsed_generator_is_not_lost_to_rounding() -> None:
    far_from_the_origin = torch.full((1, 2, 10, 72), 3.0)
    far_from_the_origin[:, 1, 0, 0] += 1e-3
    assert average_pairwise_distance(far_from_the_origin).item() == pytest.approx(1e-3, rel=1e-3)


def moving_at(speeds: list[float], frames: int) -> Tensor:
    """Windows in which every joint moves along x at the window's speed, root-relative, ``(N, frames, D)``."""
    x = torch.tensor(speeds, dtype=EXACT).view(-1, 1, 1, 1) * torch.arange(frames).view(1, -1, 1, 1)
    return torch.cat([x, torch.zeros_like(x), torch.zeros_like(x)], dim=-1).expand(-1, -1, 24, -1).flatten(-2)


def test_steady_motion_strays_by_the_difference_of_speeds_weighted_by_the_frames_left() -> None:
    frames = 5
    true_steps, predicted_steps = (steps(moving_at([speed], frames).unsqueeze(1)) for speed in (0.01, 0.03))
    walk = torch.tensor([0])
    assert true_steps.tolist() == [pytest.approx([0.01] * 4)]
    assert cumulative_motion_distance(predicted_steps, true_steps, walk).item() == pytest.approx(0.02 * (4 + 3 + 2 + 1))
    assert cumulative_motion_distance(true_steps, true_steps, walk).item() == pytest.approx(0, abs=1e-15)
    early = torch.tensor([[0.02, 0.01, 0.01, 0.01]])
    late = early.flip(1)
    assert cumulative_motion_distance(early, true_steps, walk).item() == pytest.approx(0.01 * 4)
    assert cumulative_motion_distance(late, true_steps, walk).item() == pytest.approx(0.01 * 1)


def test_motion_is_compared_action_by_action() -> None:
    """Too lively a walk does not make up for too quiet a seat; within an action windows do make up for each other."""
    true_steps = steps(moving_at([0.02, 0.02, 0.01], frames=3).unsqueeze(1))
    swapped = steps(moving_at([0.01, 0.03, 0.01], frames=3).unsqueeze(1))
    together, apart = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1])
    assert cumulative_motion_distance(swapped, true_steps, together).item() == pytest.approx(0, abs=1e-15)
    # Action 0: one window of three, 0.01 too slow. Action 1: two windows, 0.02 on average where 0.015 is usual.
    expected = (2 + 1) * (0.01 / 3 + 0.005 * 2 / 3)
    assert cumulative_motion_distance(swapped, true_steps, apart).item() == pytest.approx(expected)


def test_a_frozen_pose_strays_by_all_the_motion_there_is() -> None:
    motion = steady_motion(PAST + FUTURE)
    windows = windows_of(motion[:, :PAST], motion[:, PAST:])
    usual = steps(windows.true_poses.unsqueeze(1)).mean().item()
    found = measured(windows, zero_velocity(windows.past, FUTURE))
    assert found["cmd"] == pytest.approx(usual * sum(range(1, FUTURE)))
    for metric in (
        "apd",
        "jerk_ratio",
        "raw_jerk_ratio",
        "first_frame_jump_mm",
        "bone_error",
        "bone_error_rmse",
        "bone_jitter",
    ):
        assert found[metric] == 0, metric


def test_joint_error_is_in_millimetres_and_over_all_futures() -> None:
    truth = torch.zeros(1, FUTURE, JOINTS, 3)
    predicted = torch.stack([truth, truth + torch.tensor([0.03, 0.0, 0.04])], dim=1)
    assert joint_error_mm(predicted, truth).item() == pytest.approx(25)


def bone_changes(lengths_m: list[float]) -> dict[str, float]:
    """The four metrics of a motion whose right thumb, 10 cm when last seen, has these lengths; others are rigid."""
    thumb, hand = 24, 11
    pose = torch.arange(JOINTS, dtype=EXACT).view(JOINTS, 1).expand(-1, 3).clone()
    poses = pose.repeat(1 + len(lengths_m), 1, 1)
    for frame, length_m in enumerate([0.1, *lengths_m]):
        poses[frame, thumb] = poses[frame, hand] + torch.tensor([0.0, length_m, 0.0])
    lengths = relative_bone_lengths(poses[None, :1], poses[None, None, 1:], KINECT_V2)
    return {
        function.__name__: 24 * function(lengths).item()
        for function in (bone_error, bone_error_rmse, bone_jitter, bone_jitter_rmse)
    }


def test_a_doubled_bone_has_changed_by_itself_and_jitters_once() -> None:
    assert bone_changes([0.2, 0.2, 0.2, 0.2]) == pytest.approx(
        {"bone_error": 1, "bone_error_rmse": 1, "bone_jitter": 1 / 4, "bone_jitter_rmse": (1 / 4) ** 0.5}, rel=1e-3
    )


def test_a_bone_that_is_long_for_a_moment_weighs_more_in_the_root_mean_square() -> None:
    assert bone_changes([0.1, 0.1, 0.2, 0.1]) == pytest.approx(
        {
            "bone_error": 1 / 4,
            "bone_error_rmse": (1 / 4) ** 0.5,
            "bone_jitter": 2 / 4,
            "bone_jitter_rmse": (2 / 4) ** 0.5,
        },
        rel=1e-3,
    )


def test_bones_of_another_skeleton_are_refused() -> None:
    past, predicted, _ = random_motions()
    with pytest.raises(ValueError, match="kinect_v2 motion has 25 joints"):
        relative_bone_lengths(past[..., 1:, :], predicted[..., 1:, :], KINECT_V2)


def test_movement_jerk_is_of_slow_waves_alone() -> None:
    seconds = torch.arange(20, dtype=EXACT) / 30.0

    def wave(frequency_hz: float) -> Tensor:
        return (2 * math.pi * frequency_hz * seconds).sin().view(1, 1, 20, 1, 1).expand(-1, -1, -1, 25, 3)

    for slow in (0.5, 1.0, 1.5, 2.0, 2.5):
        assert movement_jerk(wave(slow), 30.0).item() == pytest.approx(jerk(wave(slow), 30.0).item(), rel=0.15)
    for fast in (4.0, 7.0, 8.0, 11.0, 14.0):
        assert movement_jerk(wave(fast), 30.0) < 0.05 * jerk(wave(fast), 30.0)


def test_a_parabola_has_no_movement_jerk() -> None:
    seconds = torch.arange(20, dtype=EXACT).view(1, 1, 20, 1, 1).expand(-1, -1, -1, 25, 3) / 30.0
    assert movement_jerk(3 + 2 * seconds - seconds**2, 30.0).item() == pytest.approx(0, abs=1e-9)


def test_jerk_of_a_cubic_is_its_constant_third_derivative() -> None:
    seconds = torch.arange(8, dtype=EXACT) / RATE_HZ
    motion = (seconds**3).view(1, 1, 8, 1, 1).expand(-1, -1, -1, JOINTS, 3)
    assert jerk(motion, RATE_HZ).item() == pytest.approx(6 * 3**0.5)


def test_jump_is_the_step_out_of_the_last_observed_pose() -> None:
    past = torch.zeros(1, PAST, JOINTS, 3)
    predicted = torch.full((1, 2, FUTURE, JOINTS, 3), 9.0)
    predicted[:, :, 0] = torch.tensor([0.0, 0.006, 0.008])
    assert first_frame_jump_mm(past, predicted).item() == pytest.approx(10)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_best_of_distances_is_no_number_where_one_is_none(bad: float) -> None:
    assert math.isnan(best(torch.tensor([1.0, abs(bad), 0.5]), dim=0).item())
    assert best(torch.tensor([1.0, 3.0, 0.5]), dim=0).item() == 0.5


# A metric that looks at the last frame, or the first, cannot see a value in the middle.
BLIND_TO_THE_MIDDLE = {"fde", "mmfde", "first_frame_jump_mm"}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("frame", [0, 3, FUTURE - 1])
def test_one_bad_number_shows_in_its_member_and_window_and_nowhere_else(bad: float, frame: int) -> None:
    past, predicted, truth = random_motions(windows=3, futures=5, members=3)
    windows = windows_of(past, truth)
    sound = window_metrics(windows, slice(None), predicted)
    predicted[1, 2, 3, frame, 7, 1] = bad
    for name, values in window_metrics(windows, slice(None), predicted).items():
        affected = torch.zeros(3, 3, dtype=torch.bool)
        blind = name == "first_frame_jump_mm" if frame == FUTURE - 1 else name in ("fde", "mmfde")
        affected[1, 2] = not (name in BLIND_TO_THE_MIDDLE if frame == 3 else blind)
        finite = values.isfinite() if values.dim() == 2 else values.isfinite().all(-1)
        assert torch.equal(finite, ~affected), name
        assert torch.equal(values[~affected], sound[name][~affected]), name


def test_one_bad_number_among_many_futures_reaches_every_summary_it_is_part_of() -> None:
    past, predicted, truth = random_motions(windows=3, futures=5)
    predicted[0, 2, 3, :, 7, 1] = math.inf
    found = measured(windows_of(past, truth), predicted[0])
    assert not [name for name, value in found.items() if math.isfinite(value)]


def test_constant_velocity_predicts_steady_motion_exactly() -> None:
    motion = steady_motion(PAST + FUTURE)
    past, truth = motion[:, :PAST], motion[:, PAST:]
    torch.testing.assert_close(constant_velocity(past, FUTURE).squeeze(1), truth)
    found = evaluate_baselines(windows_of(past, truth))
    assert found["constant_velocity"]["ade"] == pytest.approx(0, abs=1e-12)
    assert found["zero_velocity"]["ade"] > 0.01


def test_zero_velocity_repeats_the_last_pose() -> None:
    past, _, _ = random_motions()
    frozen = zero_velocity(past, FUTURE)
    assert frozen.shape == (2, 1, FUTURE, JOINTS, 3)
    assert all(torch.equal(frozen[:, 0, frame], past[:, -1]) for frame in range(FUTURE))


def test_zero_velocity_scores_what_its_missing_jerk_costs() -> None:
    past, _, truth = random_motions()
    found = evaluate_baselines(windows_of(past, truth))["zero_velocity"]
    assert found["jerk_ratio"] == 0
    assert found["score"] == pytest.approx(-math.log(MIN_RATIO) / 3)


def test_the_truth_itself_scores_best() -> None:
    past, predicted, truth = random_motions()
    windows = windows_of(past, truth)
    perfect = measured(windows, truth.unsqueeze(1))
    assert perfect["jerk_ratio"] == pytest.approx(1)
    assert perfect["score"] == pytest.approx(math.log(MIN_RATIO) / 3)
    assert perfect["score"] < measured(windows, predicted[0])["score"]


REFERENCE = Reference(zero_velocity_ade=0.4, bone_variation=0.02, jerk=1.0, raw_jerk=5.0, movement=2.0)


def scored(ade: float, bone_error: float, jerk_ratio: float, raw_jerk_ratio: float = 0.1) -> float:
    values = {"ade": ade, "bone_error": bone_error, "jerk_ratio": jerk_ratio, "raw_jerk_ratio": raw_jerk_ratio}
    return score(values, REFERENCE)


def test_score_is_the_mean_of_three_logarithms() -> None:
    assert scored(0.2, 0.04, 0.5) == pytest.approx((-math.log(2) + math.log(2) + math.log(2)) / 3)
    assert scored(0.4, 0.02, 1.0) == 0


def test_scores_that_differ_in_the_tenth_digit_have_an_order() -> None:
    assert scored(0.4 * (1 + 1e-10), 0.02, 1.0) > scored(0.4, 0.02, 1.0)


def test_score_treats_too_smooth_and_too_rough_alike() -> None:
    assert scored(0.4, 0.02, 0.25) == pytest.approx(scored(0.4, 0.02, 4.0))


def test_score_minds_trembling_only_beyond_the_sensors() -> None:
    assert scored(0.4, 0.02, 1.0, 0.01) == scored(0.4, 0.02, 1.0, 1.0) == 0
    assert scored(0.4, 0.02, 0.5, 4.0) == pytest.approx(math.log(4) / 3)


def test_bones_stiffer_than_the_datas_own_gain_nothing() -> None:
    assert scored(0.3, 0.0, 1.0) == scored(0.3, 0.02, 1.0) < scored(0.3, 0.021, 1.0)


def test_score_of_a_diverged_member_is_not_a_number() -> None:
    for values in ((math.nan, 0.02, 1.0), (0.4, math.nan, 1.0), (0.4, 0.02, math.nan), (0.4, 0.02, 1.0, math.nan)):
        assert math.isnan(scored(*values))


@pytest.mark.parametrize("metric", METRICS)
def test_table_tells_the_unit_and_the_meaning(metric: str) -> None:
    row, in_metres = METRICS[metric], ("ade", "fde", "mmade", "mmfde", "apd", "cmd")
    assert row.says
    assert row.unit == ("mm" if metric.endswith("_mm") else "m" if metric in in_metres else "1")
