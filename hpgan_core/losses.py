"""The losses an arm adds to WGAN-GP's generator loss, and the table that names them.

Each takes motions ``(..., B, T, J, 3)`` and returns one number for each leading index: a population ``(S, B, T, J, 3)``
gives ``(S,)``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

import torch
from torch import Tensor

from hpgan_core.skeleton import Skeleton

# Keeps the gradient of a length finite where two joints coincide.
LENGTH_EPSILON = 1e-12
# The original code's guard against bones of length zero, metres.
BONE_EPSILON_M = 1e-5
# The least value of the original code's consistency loss.
CONSISTENCY_FLOOR = 1e-4


class MotionLoss(Protocol):
    def __call__(self, past: Tensor, predicted: Tensor, future: Tensor, skeleton: Skeleton) -> Tensor: ...


def bone_lengths(motion: Tensor, skeleton: Skeleton, bones: tuple[tuple[int, int], ...] | None = None) -> Tensor:
    """Length of every bone in the unit of ``motion``: ``(..., J, 3)`` to ``(..., bones)``.

    Args:
        motion: joint positions.
        skeleton: of the motion.
        bones: pairs of joints; the skeleton's own unless given.

    Raises:
        ValueError: the motion does not have ``skeleton.n_joints`` joints.
    """
    if motion.shape[-2] != skeleton.n_joints:
        raise ValueError(f"a {skeleton.name} motion has {skeleton.n_joints} joints, found shape {tuple(motion.shape)}")
    ends = bone_ends(tuple(bones or skeleton.bones), skeleton.n_joints, motion.device, motion.dtype)
    vectors = motion.flatten(-2) @ ends
    return length(vectors.view(*vectors.shape[:-1], -1, 3))


@lru_cache
def bone_ends(bones: tuple[tuple[int, int], ...], n_joints: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The matrix ``(3 J, 3 bones)`` that turns a pose into its bones: twice as fast as picking joints.

    Kept, since a training step that copies it to a device waits.
    """
    ends = torch.zeros(n_joints, len(bones), dtype=dtype)
    for bone, (parent, child) in enumerate(bones):
        ends[child, bone], ends[parent, bone] = 1, -1
    return torch.kron(ends, torch.eye(3, dtype=dtype)).to(device)


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
        Barsoum et al. 2018. The authors' code, ``literal_consistency_loss``, takes one norm over the whole batch, which
        makes the weight depend on the batch size; we take the norm of each pose's change and average.
    """
    return length(pose_changes(past, predicted)).mean(dim=(-2, -1))


def literal_consistency_loss(past: Tensor, predicted: Tensor, future: Tensor, skeleton: Skeleton) -> Tensor:
    """As ``consistency_loss``, but one norm of the changes of a whole batch over B T, and never below 1e-4.

    Source:
        ebarsoum/hpgan. It shrinks with the square root of the number of poses, and at its floor has no gradient.
    """
    changes = pose_changes(past, predicted)
    batch, frames = changes.shape[-3:-1]
    return (length(changes.flatten(-3)) / (batch * frames)).clamp_min(CONSISTENCY_FLOOR)


def pose_changes(past: Tensor, predicted: Tensor) -> Tensor:
    """Each predicted pose minus the one before it, the last observed one at first: ``(..., B, T, 3 J)``."""
    return torch.diff(torch.cat([past[..., -1:, :, :], predicted], dim=-3), dim=-3).flatten(-2)


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
        Barsoum et al. 2018. The authors' code, ``literal_bone_loss``, sums over bones, one of them twice, in normalised
        coordinates; we take the mean over the bones of the tree in metres, so that the weight means the same for any
        skeleton and scaling.
    """
    return relative_bone_change(past, predicted, skeleton).mean(dim=(-3, -2, -1))


def literal_bone_loss(past: Tensor, predicted: Tensor, future: Tensor, skeleton: Skeleton) -> Tensor:
    """As ``bone_loss``, but summed over the original's own list of bones.

    Source:
        ebarsoum/hpgan, in normalised coordinates there.
    """
    return relative_bone_change(past, predicted, skeleton, skeleton.listed_bones).sum(-1).mean(dim=(-2, -1))


def relative_bone_change(
    past: Tensor, motion: Tensor, skeleton: Skeleton, bones: tuple[tuple[int, int], ...] | None = None
) -> Tensor:
    """|bone length - its last observed length| / its last observed length, ``(..., T, bones)``."""
    reference = bone_lengths(past[..., -1:, :, :], skeleton, bones)
    return (bone_lengths(motion, skeleton, bones) - reference).abs() / (reference + BONE_EPSILON_M)


@dataclass(frozen=True)
class LossRow:
    """A loss by form, the coordinates it is computed in, and the metrics it trains on, which favour it.

    A loss with more forms than ``mean`` is a setting ``<loss>_form``; a setting ``<loss>_space`` overrides the space.
    """

    forms: Mapping[str, MotionLoss]
    space: Literal["normalised", "metres"]
    trains_on: tuple[str, ...]


LOSSES: dict[str, LossRow] = {
    "gt": LossRow({"mean": gt_loss}, "normalised", ("ade", "fde", "mmade", "mmfde", "joint_error_mm")),
    "consistency": LossRow(
        {"mean": consistency_loss, "literal": literal_consistency_loss},
        "normalised",
        ("jerk_ratio", "raw_jerk_ratio", "first_frame_jump_mm"),
    ),
    "bone": LossRow(
        {"mean": bone_loss, "literal": literal_bone_loss},
        "metres",
        ("bone_error", "bone_error_rmse", "bone_jitter", "bone_jitter_rmse"),
    ),
}
