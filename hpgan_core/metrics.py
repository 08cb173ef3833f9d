"""How good predicted futures are: functions of motions in metres, and the table that names them.

Shapes: K futures are drawn for each of N windows, ``(N, K, T, J, 3)``; the past is ``(N, T_past, J, 3)``, the truth
``(N, T, J, 3)``. Functions return a value a window, ``(N,)``; ``evaluate`` reduces them to one number a metric.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from hpgan_core.losses import BONE_EPSILON_M, bone_lengths, relative_bone_change
from hpgan_core.skeleton import Skeleton

MM = 1000.0
# Below these the logarithms of ``score`` stop: a variation of bones under 0.5 % is the sensor's, and a frozen pose has
# no jerk at all.
MIN_BONE_VARIATION = 0.005
MIN_RATIO = 1e-3
# Keeps ratios finite where held-out people do not move at all.
MIN_REFERENCE = 1e-9


def root_relative(motion: Tensor, root: int) -> Tensor:
    """Joints relative to the root, which is dropped, a vector a pose: ``(..., J, 3)`` to ``(..., 3 (J - 1))``."""
    others = [joint for joint in range(motion.shape[-2]) if joint != root]
    return (motion[..., others, :] - motion[..., root : root + 1, :]).flatten(-2)


def norm(vectors: Tensor) -> Tensor:
    """Euclidean length over the last axis."""
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=-1)
    return lengths


def average_displacement_error(predicted: Tensor, truth: Tensor) -> Tensor:
    """ADE: distance to the truth averaged over time, of the best of K futures.

    Args:
        predicted: poses as vectors, ``(N, K, T, D)``.
        truth: ``(N, T, D)``.

    Returns:
        The unit of the poses, ``(N,)``: ``min_k mean_t |predicted_kt - truth_t|``.

    Source:
        Yuan and Kitani 2020 (DLow). The distance is between whole pose vectors, which makes it the square root of the
        number of joints times the root-mean-square joint error.
    """
    return norm(predicted - truth.unsqueeze(1)).mean(-1).amin(1)


def final_displacement_error(predicted: Tensor, truth: Tensor) -> Tensor:
    """FDE: as ``average_displacement_error``, of the last frame alone; the best of K is chosen anew."""
    return norm(predicted[:, :, -1] - truth[:, None, -1]).amin(1)


def average_pairwise_distance(predicted: Tensor) -> Tensor:
    """APD: how far the K futures of one past lie apart.

    Args:
        predicted: poses as vectors, ``(N, K, T, D)``.

    Returns:
        The unit of the poses, ``(N,)``: mean over pairs of the distance between whole futures, all T D numbers as one
        vector; 0 for K = 1.
    """
    futures = predicted.flatten(2)
    n_futures = futures.shape[1]
    if n_futures < 2:
        return futures.new_zeros(len(futures))
    # Distances by difference, not by inner products: those lose the small distances of a collapsing generator.
    distances = torch.cdist(futures, futures, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.sum(dim=(1, 2)) / (n_futures * (n_futures - 1))


def joint_error_mm(predicted: Tensor, truth: Tensor) -> Tensor:
    """Mean distance of a joint from its true place in camera space over joints, frames and all K futures, ``(N,)``."""
    return MM * norm(predicted - truth.unsqueeze(1)).mean(dim=(1, 2, 3))


def bone_error(past: Tensor, predicted: Tensor, skeleton: Skeleton) -> Tensor:
    """Mean relative change of bone length since the last observed pose, ``(N,)``; 0.1 is 10 %."""
    return relative_bone_change(past.unsqueeze(1), predicted, skeleton).mean(dim=(1, 2, 3))


def bone_jitter(past: Tensor, predicted: Tensor, skeleton: Skeleton) -> Tensor:
    """Mean change of bone length from frame to frame relative to its last observed length, ``(N,)``.

    Source:
        The jitter of SkeletonDiffusion (Curreli et al. 2025).
    """
    reference = bone_lengths(past[:, None, -1:], skeleton)
    lengths = torch.cat([reference.expand(-1, predicted.shape[1], -1, -1), bone_lengths(predicted, skeleton)], dim=2)
    return (lengths.diff(dim=2).abs() / (reference + BONE_EPSILON_M)).mean(dim=(1, 2, 3))


def jerk(future: Tensor, frame_rate_hz: float) -> Tensor:
    """Mean length of the third derivative of joint positions within the future.

    The seam to the past has its own metric, the first frame's jump.

    Args:
        future: metres, ``(N, K, T, J, 3)``, T >= 4.
        frame_rate_hz: frames a second.

    Returns:
        m/s^3, ``(N,)``; 0 for a frozen pose.
    """
    return norm(future.diff(n=3, dim=2)).mean(dim=(1, 2, 3)) * frame_rate_hz**3


def first_frame_jump_mm(past: Tensor, predicted: Tensor) -> Tensor:
    """Mean distance of a joint between the last observed and the first predicted frame, millimetres, ``(N,)``."""
    return MM * norm(predicted[:, :, 0] - past[:, None, -1]).mean(dim=(1, 2))


@dataclass(frozen=True)
class MetricRow:
    """A metric's unit, which way is better (``one``: nearer to 1 is), and what it says."""

    unit: str
    goal: Literal["minimize", "maximize", "one"]
    says: str


METRICS: dict[str, MetricRow] = {
    "ade": MetricRow("m", "minimize", "average displacement error, root-relative, best of K"),
    "fde": MetricRow("m", "minimize", "final displacement error, root-relative, best of K"),
    "apd": MetricRow("m", "maximize", "average pairwise distance of the K futures, root-relative: diversity"),
    "joint_error_mm": MetricRow("mm", "minimize", "mean joint error in camera space over all K futures"),
    "bone_error": MetricRow("1", "minimize", "relative change of bone length since the last observed pose"),
    "bone_jitter": MetricRow("1", "minimize", "relative change of bone length from frame to frame"),
    "jerk_ratio": MetricRow("1", "one", "jerk over the truth's jerk: 1 is as smooth as people are"),
    "first_frame_jump_mm": MetricRow("mm", "minimize", "step from the last observed to the first predicted pose"),
    "score": MetricRow(
        "1",
        "minimize",
        "mean log ratio of ADE, bone error and jerk to zero velocity's ADE and the data's own bones and jerk",
    ),
}


@dataclass(frozen=True)
class Reference:
    """What the score compares with on the same windows: zero velocity's ADE, the truth's bone variation and jerk."""

    zero_velocity_ade: float
    bone_variation: float
    jerk: float


def evaluate(
    past: Tensor, predicted: Tensor, truth: Tensor, skeleton: Skeleton, frame_rate_hz: float
) -> dict[str, Tensor]:
    """The value of every metric but the score for each window, ``(N,)`` each; ``jerk`` stands in for its ratio."""
    poses, true_poses = root_relative(predicted, skeleton.root), root_relative(truth, skeleton.root)
    return {
        "ade": average_displacement_error(poses, true_poses),
        "fde": final_displacement_error(poses, true_poses),
        "apd": average_pairwise_distance(poses),
        "joint_error_mm": joint_error_mm(predicted, truth),
        "bone_error": bone_error(past, predicted, skeleton),
        "bone_jitter": bone_jitter(past, predicted, skeleton),
        "jerk": jerk(predicted, frame_rate_hz),
        "first_frame_jump_mm": first_frame_jump_mm(past, predicted),
    }


def summarise(by_window: dict[str, Tensor], reference: Reference) -> dict[str, float]:
    """Means over windows, with the jerk as a ratio to the truth's, and the score."""
    metrics = {name: values.double().mean().item() for name, values in by_window.items()}
    metrics["jerk_ratio"] = metrics.pop("jerk") / reference.jerk
    metrics["score"] = score(metrics["ade"], metrics["bone_error"], metrics["jerk_ratio"], reference)
    return metrics


def score(ade: float, bone_error: float, jerk_ratio: float, reference: Reference) -> float:
    """One number that favours no loss: each of the three terms is what one arm trains on and another does not.

    ``(log(ADE / zero velocity's ADE) + log(bone error / the data's own bone variation) + |log(jerk / the truth's
    jerk)|) / 3``, lower is better. A frozen pose gains nothing on the first term and loses on the third; a perfect
    average future loses on the third; bones stiffer than the data's own gain nothing, since the data's variation is the
    sensor's noise.
    """
    own = max(reference.bone_variation, MIN_BONE_VARIATION)
    terms = torch.tensor(
        [ade / reference.zero_velocity_ade, max(bone_error, own) / own, jerk_ratio], dtype=torch.float64
    )
    displacement, bones, smoothness = terms.clamp_min(MIN_RATIO).log().tolist()
    return float((displacement + bones + abs(smoothness)) / 3)


def zero_velocity(past: Tensor, future_frames: int) -> Tensor:
    """The baseline that stands still: ``(N, T_past, J, 3)`` to ``(N, 1, future_frames, J, 3)``."""
    return past[:, None, -1:].expand(-1, -1, future_frames, -1, -1)


def constant_velocity(past: Tensor, future_frames: int) -> Tensor:
    """The baseline that goes on as in the last two observed frames, ``(N, 1, future_frames, J, 3)``."""
    steps = torch.arange(1, future_frames + 1, device=past.device, dtype=past.dtype).view(1, 1, -1, 1, 1)
    return past[:, None, -1:] + steps * (past[:, None, -1:] - past[:, None, -2:-1])


BASELINES = {"zero_velocity": zero_velocity, "constant_velocity": constant_velocity}


def measure_reference(past: Tensor, truth: Tensor, skeleton: Skeleton, frame_rate_hz: float) -> Reference:
    """The reference of ``score`` for these windows."""
    frozen = evaluate(past, zero_velocity(past, truth.shape[1]), truth, skeleton, frame_rate_hz)
    own = evaluate(past, truth.unsqueeze(1), truth, skeleton, frame_rate_hz)
    measured = (frozen["ade"], own["bone_error"], own["jerk"])
    return Reference(*(max(values.double().mean().item(), MIN_REFERENCE) for values in measured))


def evaluate_baselines(
    past: Tensor, truth: Tensor, skeleton: Skeleton, frame_rate_hz: float
) -> dict[str, dict[str, float]]:
    """Every metric of every baseline on these windows."""
    reference = measure_reference(past, truth, skeleton, frame_rate_hz)
    return {
        name: summarise(evaluate(past, baseline(past, truth.shape[1]), truth, skeleton, frame_rate_hz), reference)
        for name, baseline in BASELINES.items()
    }
