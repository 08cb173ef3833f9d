"""Each loss against loops that spell its formula out, and cases with known answers."""

from dataclasses import replace
from math import dist, fsum

import pytest
import torch
from torch import Tensor

from hpgan_core.losses import (
    CONSISTENCY_FLOOR,
    MotionLoss,
    bone_lengths,
    bone_loss,
    consistency_loss,
    gt_loss,
    literal_bone_loss,
    literal_consistency_loss,
)
from hpgan_core.skeleton import KINECT_V2, Skeleton

# A stick of two bones: hip at the origin, knee 2 m above, foot 1 m to the side of the knee.
STICK = Skeleton("stick", ("hip", "knee", "foot"), 0, ((0, 1), (1, 2)), ())
POSE = torch.tensor([[0.0, 0.0, 0.0], [0.0, 2.0, 0.0], [1.0, 2.0, 0.0]], dtype=torch.float64)


def still(frames: int) -> Tensor:
    return POSE.expand(1, frames, 3, 3)


def random_motions() -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    shapes = [(2, frames, KINECT_V2.n_joints, 3) for frames in (3, 4, 4)]
    past, predicted, future = (torch.randn(shape, generator=random, dtype=torch.float64) for shape in shapes)
    return past, predicted, future


def mean(numbers: list[float]) -> float:
    return fsum(numbers) / len(numbers)


def test_bones_have_their_lengths() -> None:
    torch.testing.assert_close(bone_lengths(POSE, STICK), torch.tensor([2.0, 1.0], dtype=torch.float64))


def test_bones_given_are_measured_instead_of_the_skeletons() -> None:
    lengths = bone_lengths(POSE, STICK, bones=((0, 2), (1, 0), (0, 1)))
    torch.testing.assert_close(lengths, torch.tensor([5**0.5, 2.0, 2.0], dtype=torch.float64))


def test_a_motion_of_another_skeleton_is_refused() -> None:
    with pytest.raises(ValueError, match=r"kinect_v2 motion has 25 joints, found shape \(3, 3\)"):
        bone_lengths(POSE, KINECT_V2)


def test_gt_loss_of_a_constant_offset_is_its_square() -> None:
    assert gt_loss(still(3), still(4) + 0.5, still(4), STICK).item() == pytest.approx(0.25)


def test_gt_loss_is_not_detached() -> None:
    predicted = still(4).clone().requires_grad_()
    torch.autograd.backward(gt_loss(still(3), predicted, still(4) + 1, STICK))
    assert predicted.grad is not None
    torch.testing.assert_close(predicted.grad, torch.full_like(predicted, -2 / predicted.numel()))


def test_consistency_loss_is_the_distance_covered_a_frame() -> None:
    walk = torch.arange(1.0, 5.0, dtype=torch.float64).view(1, 4, 1, 1) * torch.tensor([0.0, 0.0, 0.1])
    # All three joints move 0.1 a frame, the first of them from the last observed pose.
    value = consistency_loss(still(3), still(4) + walk, still(4), STICK)
    assert value.item() == pytest.approx(0.1 * 3**0.5)


def test_consistency_loss_counts_the_jump_from_the_past() -> None:
    jump = torch.tensor([0.0, 0.3, 0.0], dtype=torch.float64)
    assert consistency_loss(still(3), still(4) + jump, still(4), STICK).item() == pytest.approx(
        0.3 * 3**0.5 / 4, abs=1e-5
    )


def test_literal_consistency_loss_is_one_norm_over_the_number_of_poses() -> None:
    walk = torch.arange(1.0, 5.0, dtype=torch.float64).view(1, 4, 1, 1) * torch.tensor([0.0, 0.0, 0.1])
    # Each of 4 steps of each of 3 joints is 0.1 in the one clip, and in each of four equal ones.
    for clips, expected in ((1, 12**0.5 * 0.1 / 4), (4, 48**0.5 * 0.1 / 16)):
        past, predicted = (motion.expand(clips, -1, -1, -1) for motion in (still(3), still(4) + walk))
        assert literal_consistency_loss(past, predicted, predicted, STICK).item() == pytest.approx(expected)


def test_literal_consistency_loss_stops_at_its_floor_and_teaches_nothing_there() -> None:
    floor = torch.tensor(CONSISTENCY_FLOOR, dtype=torch.float64)
    for jump, taught in ((1e-4, False), (1e-2, True)):
        predicted = (still(4) + jump).requires_grad_()
        value = literal_consistency_loss(still(3), predicted, still(4), STICK)
        (gradient,) = torch.autograd.grad(value, predicted)
        assert (value > floor) == taught
        assert (gradient != 0).any() == taught
        assert value >= floor


def test_bone_loss_is_the_relative_stretch() -> None:
    # One bone 10 % longer, one unchanged.
    stretched = still(4) * torch.tensor([1.0, 1.1, 1.0], dtype=torch.float64)
    assert bone_loss(still(3), stretched, still(4), STICK).item() == pytest.approx(0.05, rel=1e-4)


def test_literal_bone_loss_sums_over_the_list_and_counts_a_repeated_bone_twice() -> None:
    listed = replace(STICK, listed_bones=((1, 0), (0, 1), (1, 2)))
    stretched = still(4) * torch.tensor([1.0, 1.1, 1.0], dtype=torch.float64)
    for skeleton, expected in ((STICK, 0.1), (listed, 0.2)):
        assert literal_bone_loss(still(3), stretched, still(4), skeleton).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("loss", [bone_loss, literal_bone_loss])
def test_bone_loss_ignores_rigid_motion(loss: MotionLoss) -> None:
    turned = still(4)[..., [2, 0, 1]] + 5
    assert loss(still(3), turned, still(4), STICK).item() == pytest.approx(0, abs=1e-12)


def test_losses_equal_their_formulas_written_as_loops() -> None:
    past, predicted, future = random_motions()
    squares, steps, stretches, listed = [], [], [], []
    for clip in range(2):
        before = past[clip, -1].tolist()
        reference = {(one, other): dist(before[one], before[other]) for one, other in KINECT_V2.listed_bones}
        for pose, truth in zip(predicted[clip].tolist(), future[clip].tolist(), strict=True):
            pairs = [(p, t) for joint, true in zip(pose, truth, strict=True) for p, t in zip(joint, true, strict=True)]
            squares.append(mean([(p - t) ** 2 for p, t in pairs]))
            steps.append(fsum(dist(now, then) ** 2 for now, then in zip(pose, before, strict=True)) ** 0.5)
            stretch = {
                bone: abs(dist(*(pose[end] for end in bone)) - ref) / (ref + 1e-5) for bone, ref in reference.items()
            }
            stretches.append(mean([stretch[bone] for bone in KINECT_V2.bones]))
            listed.append(fsum(stretch.values()))
            before = pose
    assert len(reference) == 25
    for loss, expected in (
        (gt_loss, mean(squares)),
        (consistency_loss, mean(steps)),
        (literal_consistency_loss, fsum(step**2 for step in steps) ** 0.5 / len(steps)),
        (bone_loss, mean(stretches)),
        (literal_bone_loss, mean(listed)),
    ):
        assert loss(past, predicted, future, KINECT_V2).item() == pytest.approx(expected, rel=1e-10), loss
