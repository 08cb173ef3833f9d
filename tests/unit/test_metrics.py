"""Each metric against loops that spell its formula out, and cases with known answers."""

import math
from itertools import combinations, pairwise
from math import dist, fsum

import pytest
import torch
from torch import Tensor

from hpgan_core.losses import BONE_EPSILON_M
from hpgan_core.metrics import (
    METRICS,
    MIN_RATIO,
    Reference,
    average_displacement_error,
    average_pairwise_distance,
    constant_velocity,
    evaluate,
    evaluate_baselines,
    final_displacement_error,
    first_frame_jump_mm,
    jerk,
    joint_error_mm,
    measure_reference,
    root_relative,
    score,
    summarise,
    zero_velocity,
)
from hpgan_core.skeleton import KINECT_V2

WINDOWS, FUTURES, PAST, FUTURE, JOINTS = 2, 4, 4, 6, KINECT_V2.n_joints
RATE_HZ = 30.0

Pose = list[list[float]]


def random_motions(futures: int = FUTURES) -> tuple[Tensor, Tensor, Tensor]:
    """Past, K predicted futures, true future."""
    random = torch.Generator().manual_seed(0)
    shapes = [(WINDOWS, PAST), (WINDOWS, futures, FUTURE), (WINDOWS, FUTURE)]
    past, predicted, truth = (torch.randn(*shape, JOINTS, 3, generator=random, dtype=torch.float64) for shape in shapes)
    return past, predicted, truth


def steady_motion(frames: int) -> Tensor:
    """Joints that each move at their own constant velocity, ``(WINDOWS, frames, J, 3)``."""
    random = torch.Generator().manual_seed(1)
    start, step = torch.randn(2, WINDOWS, 1, JOINTS, 3, generator=random, dtype=torch.float64).unbind()
    return start + 0.01 * step * torch.arange(frames, dtype=torch.float64).view(-1, 1, 1)


def mean(numbers: list[float]) -> float:
    return fsum(numbers) / len(numbers)


def relative_to_root(pose: Pose) -> list[float]:
    return [value - origin for joint in pose[1:] for value, origin in zip(joint, pose[0], strict=True)]


def bone_lengths_of(pose: Pose) -> list[float]:
    return [dist(pose[parent], pose[child]) for parent, child in KINECT_V2.bones]


def metrics_as_loops(past: list[Pose], futures: list[list[Pose]], truth: list[Pose]) -> dict[str, float]:
    """Every metric but the score of one window, by its definition."""
    vectors = [[relative_to_root(pose) for pose in future] for future in futures]
    true_vectors = [relative_to_root(pose) for pose in truth]
    gaps = [[dist(p, t) for p, t in zip(future, true_vectors, strict=True)] for future in vectors]
    pairs = [
        math.sqrt(fsum(dist(p, q) ** 2 for p, q in zip(one, other, strict=True)))
        for one, other in combinations(vectors, 2)
    ]
    reference = [length + BONE_EPSILON_M for length in bone_lengths_of(past[-1])]
    joint_errors, bone_errors, jitters, jerks, jumps = [], [], [], [], []
    for future in futures:
        for pose, true_pose in zip(future, truth, strict=True):
            joint_errors += [1000 * dist(joint, true) for joint, true in zip(pose, true_pose, strict=True)]
        for before, pose in pairwise([past[-1], *future]):
            lengths = list(zip(bone_lengths_of(before), bone_lengths_of(pose), reference, strict=True))
            jitters += [abs(now - then) / last for then, now, last in lengths]
            bone_errors += [abs(now - (last - BONE_EPSILON_M)) / last for _, now, last in lengths]
        for a, b, c, d in zip(future, future[1:], future[2:], future[3:], strict=False):
            for joint in range(JOINTS):
                third = [d[joint][x] - 3 * c[joint][x] + 3 * b[joint][x] - a[joint][x] for x in range(3)]
                jerks.append(math.hypot(*third) * RATE_HZ**3)
        jumps += [1000 * dist(now, then) for now, then in zip(future[0], past[-1], strict=True)]
    return {
        "ade": min(mean(gap) for gap in gaps),
        "fde": min(gap[-1] for gap in gaps),
        "apd": mean(pairs) if pairs else 0.0,
        "joint_error_mm": mean(joint_errors),
        "bone_error": mean(bone_errors),
        "bone_jitter": mean(jitters),
        "jerk": mean(jerks),
        "first_frame_jump_mm": mean(jumps),
    }


@pytest.mark.parametrize("futures", [1, FUTURES])
def test_metrics_equal_their_definitions_written_as_loops(futures: int) -> None:
    past, predicted, truth = random_motions(futures)
    found = evaluate(past, predicted, truth, KINECT_V2, RATE_HZ)
    for window in range(WINDOWS):
        expected = metrics_as_loops(past[window].tolist(), predicted[window].tolist(), truth[window].tolist())
        assert {name: values[window].item() for name, values in found.items()} == pytest.approx(expected, rel=1e-9)


def test_root_relative_poses_drop_the_root_and_the_place() -> None:
    _, _, truth = random_motions()
    poses = root_relative(truth, root=2)
    assert poses.shape == (WINDOWS, FUTURE, 3 * (JOINTS - 1))
    torch.testing.assert_close(root_relative(truth + 7, root=2), poses)
    torch.testing.assert_close(poses[..., 6:9], truth[..., 3, :] - truth[..., 2, :])


def test_displacement_of_a_constant_offset_is_its_length() -> None:
    truth = torch.zeros(1, FUTURE, 12)
    predicted = torch.full((1, 1, FUTURE, 12), 0.5)
    assert average_displacement_error(predicted, truth).item() == pytest.approx(0.5 * 12**0.5)
    assert final_displacement_error(predicted, truth).item() == pytest.approx(0.5 * 12**0.5)


def test_the_best_future_counts_and_the_final_frame_chooses_anew() -> None:
    truth = torch.zeros(1, 4, 1)
    mostly_near = torch.tensor([0.0, 0.0, 0.0, 8.0])
    near_at_last = torch.tensor([4.0, 4.0, 4.0, 1.0])
    predicted = torch.stack([mostly_near, near_at_last]).view(1, 2, 4, 1)
    assert average_displacement_error(predicted, truth).item() == 2
    assert final_displacement_error(predicted, truth).item() == 1


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


def test_joint_error_is_in_millimetres_and_over_all_futures() -> None:
    truth = torch.zeros(1, FUTURE, JOINTS, 3)
    predicted = torch.stack([truth, truth + torch.tensor([0.03, 0.0, 0.04])], dim=1)
    assert joint_error_mm(predicted, truth).item() == pytest.approx(25)


def test_jerk_of_a_cubic_is_its_constant_third_derivative() -> None:
    seconds = torch.arange(8, dtype=torch.float64) / RATE_HZ
    motion = (seconds**3).view(1, 1, 8, 1, 1).expand(-1, -1, -1, JOINTS, 3)
    assert jerk(motion, RATE_HZ).item() == pytest.approx(6 * 3**0.5)


def test_jump_is_the_step_out_of_the_last_observed_pose() -> None:
    past = torch.zeros(1, PAST, JOINTS, 3)
    predicted = torch.full((1, 2, FUTURE, JOINTS, 3), 9.0)
    predicted[:, :, 0] = torch.tensor([0.0, 0.006, 0.008])
    assert first_frame_jump_mm(past, predicted).item() == pytest.approx(10)


def test_constant_velocity_predicts_steady_motion_exactly() -> None:
    motion = steady_motion(PAST + FUTURE)
    past, truth = motion[:, :PAST], motion[:, PAST:]
    torch.testing.assert_close(constant_velocity(past, FUTURE).squeeze(1), truth)
    measured = evaluate_baselines(past, truth, KINECT_V2, RATE_HZ)
    assert measured["constant_velocity"]["ade"] == pytest.approx(0, abs=1e-12)
    assert measured["zero_velocity"]["ade"] > 0.01


def test_zero_velocity_repeats_the_last_pose() -> None:
    past, _, _ = random_motions()
    frozen = zero_velocity(past, FUTURE)
    assert frozen.shape == (WINDOWS, 1, FUTURE, JOINTS, 3)
    assert all(torch.equal(frozen[:, 0, frame], past[:, -1]) for frame in range(FUTURE))


def scores_of(predicted: Tensor) -> dict[str, float]:
    past, _, truth = random_motions()
    reference = measure_reference(past, truth, KINECT_V2, RATE_HZ)
    return summarise(evaluate(past, predicted, truth, KINECT_V2, RATE_HZ), reference)


def test_zero_velocity_scores_what_its_missing_jerk_costs() -> None:
    past, _, truth = random_motions()
    measured = evaluate_baselines(past, truth, KINECT_V2, RATE_HZ)["zero_velocity"]
    assert measured["jerk_ratio"] == 0
    assert measured["score"] == pytest.approx(-math.log(MIN_RATIO) / 3)


def test_the_truth_itself_scores_best() -> None:
    _, predicted, truth = random_motions()
    measured = scores_of(truth.unsqueeze(1))
    assert measured["jerk_ratio"] == pytest.approx(1)
    assert measured["score"] == pytest.approx(math.log(MIN_RATIO) / 3)
    assert measured["score"] < scores_of(predicted)["score"]


def test_score_is_the_mean_of_three_logarithms() -> None:
    reference = Reference(zero_velocity_ade=0.4, bone_variation=0.02, jerk=1.0)
    assert score(0.2, 0.04, 0.5, reference) == pytest.approx((-math.log(2) + math.log(2) + math.log(2)) / 3)
    assert score(0.4, 0.02, 1.0, reference) == 0


def test_score_treats_too_smooth_and_too_rough_alike() -> None:
    reference = Reference(0.4, 0.02, 1.0)
    assert score(0.4, 0.02, 0.25, reference) == pytest.approx(score(0.4, 0.02, 4.0, reference))


def test_bones_stiffer_than_the_datas_own_gain_nothing() -> None:
    reference = Reference(0.4, 0.02, 1.0)
    assert score(0.3, 0.0, 1.0, reference) == score(0.3, 0.02, 1.0, reference) < score(0.3, 0.021, 1.0, reference)


def test_score_of_a_diverged_member_is_not_a_number() -> None:
    reference = Reference(0.4, 0.02, 1.0)
    for values in ((math.nan, 0.02, 1.0), (0.4, math.nan, 1.0), (0.4, 0.02, math.nan)):
        assert math.isnan(score(*values, reference))


@pytest.mark.parametrize("metric", METRICS)
def test_table_tells_the_unit_and_the_meaning(metric: str) -> None:
    row = METRICS[metric]
    assert row.says
    assert row.unit == ("mm" if metric.endswith("_mm") else "m" if metric in ("ade", "fde", "apd") else "1")
