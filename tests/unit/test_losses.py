"""Each loss against loops that spell its formula out, and cases with known answers."""

from math import dist, fsum

import pytest
import torch
from torch import Tensor

from hpgan_core.losses import bone_lengths, bone_loss, consistency_loss, gt_loss
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


def test_bone_loss_is_the_relative_stretch() -> None:
    # One bone 10 % longer, one unchanged.
    stretched = still(4) * torch.tensor([1.0, 1.1, 1.0], dtype=torch.float64)
    assert bone_loss(still(3), stretched, still(4), STICK).item() == pytest.approx(0.05, rel=1e-4)


def test_bone_loss_ignores_rigid_motion() -> None:
    turned = still(4)[..., [2, 0, 1]] + 5
    assert bone_loss(still(3), turned, still(4), STICK).item() == pytest.approx(0, abs=1e-12)


def test_losses_equal_their_formulas_written_as_loops() -> None:
    past, predicted, future = random_motions()
    squares, steps, stretches = [], [], []
    for clip in range(2):
        before = past[clip, -1].tolist()
        reference = [dist(before[parent], before[child]) for parent, child in KINECT_V2.bones]
        for pose, truth in zip(predicted[clip].tolist(), future[clip].tolist(), strict=True):
            pairs = [(p, t) for joint, true in zip(pose, truth, strict=True) for p, t in zip(joint, true, strict=True)]
            squares.append(mean([(p - t) ** 2 for p, t in pairs]))
            steps.append(fsum(dist(now, then) ** 2 for now, then in zip(pose, before, strict=True)) ** 0.5)
            lengths = [dist(pose[parent], pose[child]) for parent, child in KINECT_V2.bones]
            stretches += [abs(now - ref) / (ref + 1e-5) for now, ref in zip(lengths, reference, strict=True)]
            before = pose
    for loss, expected in ((gt_loss, squares), (consistency_loss, steps), (bone_loss, stretches)):
        assert loss(past, predicted, future, KINECT_V2).item() == pytest.approx(mean(expected), rel=1e-10)
