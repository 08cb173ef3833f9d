"""The losses an arm adds to WGAN-GP's generator loss, and the table that names them.

Each takes motions ``(..., B, T, J, 3)`` and returns one number for each leading index: a population ``(S, B, T, J, 3)``
gives ``(S,)``.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from hpgan_core.skeleton import Skeleton

# Keeps the gradient of a length finite where two joints coincide.
LENGTH_EPSILON = 1e-12
# The original code's guard against bones of length zero, metres.
BONE_EPSILON_M = 1e-5


class MotionLoss(Protocol):
    def __call__(self, past: Tensor, predicted: Tensor, future: Tensor, skeleton: Skeleton) -> Tensor: ...


def bone_lengths(motion: Tensor, skeleton: Skeleton) -> Tensor:
    """Length of every bone in the unit of ``motion``: ``(..., J, 3)`` to ``(..., bones)``.

    Raises:
        ValueError: the motion does not have ``skeleton.n_joints`` joints.
    """
    if motion.shape[-2] != skeleton.n_joints:
        raise ValueError(f"a {skeleton.name} motion has {skeleton.n_joints} joints, found shape {tuple(motion.shape)}")
    parents, children = (list(ends) for ends in zip(*skeleton.bones, strict=True))
    return length(motion[..., children, :] - motion[..., parents, :])


def length(vectors: Tensor) -> Tensor:
    """Euclidean length over the last axis, with a finite gradient at zero."""
    return (vectors.square().sum(-1) + LENGTH_EPSILON).sqrt()


def gt_loss(past: Tensor, predicted: Tensor, future: Tensor, skeleton: Skeleton) -> Tensor:
    """Mean squared error against the future that was recorded.

    Args:
        past: not used.
        predicted: generated joints, normalised, ``(..., B, T, J, 3)``; the gradient flows into it.
        future: recorded joints, normalised, same shape.
        skeleton: not used.

    Returns:
        Square of the normalised unit, >= 0, ``(...)``.

    Source:
        The report's substitute for the two losses below, weight 1. Its text detaches the prediction, which would leave
        no gradient at all; here it is not detached.
    """
    return (predicted - future).square().mean(dim=(-4, -3, -2, -1))


def consistency_loss(past: Tensor, predicted: Tensor, future: Tensor, skeleton: Skeleton) -> Tensor:
    """Mean distance between consecutive poses, the first of them the last observed one.

    Args:
        past: observed joints, normalised, ``(..., B, T_past, J, 3)``. Only the last frame is used.
        predicted: generated joints, normalised, ``(..., B, T, J, 3)``.
        future: not used.
        skeleton: not used.

    Returns:
        Normalised unit a frame, >= 0, ``(...)``.

    Source:
        Barsoum et al. 2018. The authors' code takes one Frobenius norm over the whole batch, divided by B T, which
        makes the weight depend on the batch size; we take the norm of each pose's change and average.
    """
    change = torch.diff(torch.cat([past[..., -1:, :, :], predicted], dim=-3), dim=-3)
    return length(change.flatten(-2)).mean(dim=(-2, -1))


def bone_loss(past: Tensor, predicted: Tensor, future: Tensor, skeleton: Skeleton) -> Tensor:
    """Mean relative change of bone length since the last observed pose.

    People do not stretch: every bone should keep the length it had when last seen.

    Args:
        past: observed joints, metres, ``(..., B, T_past, J, 3)``. Only the last frame is used.
        predicted: generated joints, metres, ``(..., B, T, J, 3)``.
        future: not used.
        skeleton: the pairs of joints that are bones.

    Returns:
        Dimensionless, >= 0, ``(...)``; 0.1 means bones are off by 10 % on average.

    Raises:
        ValueError: the motions do not have ``skeleton.n_joints`` joints.

    Source:
        Barsoum et al. 2018. The authors' code sums over bones, in normalised coordinates, one bone twice; we take the
        mean over the bones of the tree in metres, so that the weight means the same for any skeleton and scaling.
    """
    return relative_bone_change(past, predicted, skeleton).mean(dim=(-3, -2, -1))


def relative_bone_change(past: Tensor, motion: Tensor, skeleton: Skeleton) -> Tensor:
    """|bone length - its last observed length| / its last observed length, ``(..., T, bones)``."""
    reference = bone_lengths(past[..., -1:, :, :], skeleton)
    return (bone_lengths(motion, skeleton) - reference).abs() / (reference + BONE_EPSILON_M)


@dataclass(frozen=True)
class LossRow:
    """A loss, the coordinates it is computed in, and the metrics it trains on, on which a comparison favours it."""

    function: MotionLoss
    space: Literal["normalised", "metres"]
    trains_on: tuple[str, ...]


LOSSES: dict[str, LossRow] = {
    "gt": LossRow(gt_loss, "normalised", ("ade", "fde", "joint_error_mm")),
    "consistency": LossRow(consistency_loss, "normalised", ("jerk_ratio", "first_frame_jump_mm")),
    "bone": LossRow(bone_loss, "metres", ("bone_error", "bone_jitter")),
}
