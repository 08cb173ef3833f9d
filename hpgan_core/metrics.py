"""How good predicted futures are: functions of motions, and the table that names them.

Shapes: each of any number of members ``...`` predicts K futures for each of N windows. Motions are in metres,
``(..., N, K, T, J, 3)``, with the past ``(N, T_past, J, 3)`` and the truth ``(N, T, J, 3)`` the same for all members;
poses are root-relative vectors of D = 3 (J - 1) numbers, ``(..., N, K, T, D)``. Functions return one value a window,
``(..., N)``; a result that is not finite says that a future is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from hpgan_core.losses import BONE_EPSILON_M, bone_lengths
from hpgan_core.skeleton import Skeleton

MM = 1000.0
# DLow's, for Human3.6M and HumanEva: over 24 joints it is 10 cm each, as a root mean square.
MULTIMODAL_THRESHOLD_M = 0.5
# Below these the logarithms of ``score`` stop: a variation of bones under 0.5 % is the sensor's, and a frozen pose has
# no jerk at all.
MIN_BONE_VARIATION = 0.005
MIN_RATIO = 1e-3
# Above it the spectrum of Kinect v2 recordings is flat: noise (see `python -m benchmarks.spectrum`).
MOVEMENT_BAND_HZ = 4.0
# Futures times neighbours whose distances are taken at once: about what a processor's cache holds.
DISTANCES_AT_ONCE = 512


def root_relative(motion: Tensor, root: int) -> Tensor:
    """Joints relative to the root, which is dropped, a vector a pose: ``(..., J, 3)`` to ``(..., 3 (J - 1))``."""
    others = torch.cat([motion[..., :root, :], motion[..., root + 1 :, :]], dim=-2)
    return (others - motion[..., root : root + 1, :]).flatten(-2)


def norm(vectors: Tensor) -> Tensor:
    """Euclidean length over the last axis."""
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=-1)
    return lengths


def best(distances: Tensor, dim: int) -> Tensor:
    """The least distance along an axis, NaN where one is not finite: a minimum would pass over an infinite one."""
    return distances.amin(dim) + 0 * distances.amax(dim)


def average_displacement_error(predicted: Tensor, truth: Tensor) -> Tensor:
    """ADE: distance to the truth averaged over time, of the best of K futures; less is better.

    Args:
        predicted: poses, ``(..., N, K, T, D)``.
        truth: ``(N, T, D)``.

    Returns:
        Metres, ``(..., N)``: ``min_k mean_t |predicted_kt - truth_t|``.

    Source:
        Yuan and Kitani 2020 (DLow), arXiv:2003.08386. The distance is between whole pose vectors, which makes it the
        square root of the number of joints times the root-mean-square joint error.
    """
    return best(norm(predicted - truth.unsqueeze(-3)).mean(-1), dim=-1)


def final_displacement_error(predicted: Tensor, truth: Tensor) -> Tensor:
    """FDE: distance to the truth in the last frame, of the best of K futures, chosen anew; less is better.

    Args:
        predicted: poses, ``(..., N, K, T, D)``.
        truth: ``(N, T, D)``.

    Returns:
        Metres, ``(..., N)``: ``min_k |predicted_kT - truth_T|``.

    Source:
        Yuan and Kitani 2020 (DLow), between whole pose vectors as in the ADE.
    """
    return best(norm(predicted[..., -1, :] - truth[..., None, -1, :]), dim=-1)


def similar_windows(last_poses: Tensor, threshold_m: float = MULTIMODAL_THRESHOLD_M) -> tuple[Tensor, ...]:
    """For each window those whose last observed pose is nearer than the threshold, itself among them.

    What else could have followed a past is not recorded; what followed similar pasts stands in for it.

    Args:
        last_poses: ``(N, D)``.
        threshold_m: a window at exactly this distance is not similar.

    Returns:
        N tensors of indices, ascending.

    Source:
        Yuan and Kitani 2020 (DLow). As there, a window that is similar to none but itself counts like any other;
        numbers of those who leave it out (GSPS, STARS, SLD) cannot be compared with ours.
    """
    return tuple(torch.nonzero(norm(last_poses - pose) < threshold_m).squeeze(1) for pose in last_poses)


def multimodal_errors(predicted: Tensor, truths: Tensor, neighbours: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """MMADE and MMFDE: ADE and FDE to the true future of every similar window, averaged over these; less is better.

    Args:
        predicted: poses, ``(..., N, K, T, D)``.
        truths: of all windows that may be similar, ``(M, T, D)``.
        neighbours: for each of the N windows its ``similar_windows``, indices into ``truths``.

    Returns:
        Metres, ``(..., N)`` each: ``mean_j min_k mean_t |predicted_kt - truth_jt|`` and
        ``mean_j min_k |predicted_kT - truth_jT|``.

    Source:
        Yuan and Kitani 2020 (DLow). There similar windows are looked for in the whole test set; an evaluation of ours
        looks for them among the windows that it evaluates, an even selection where there are more than
        ``final_windows`` (of the validation split: ``evaluation_windows``). A past then has fewer true futures.
    """
    average, final = [], []
    for futures, of_window in zip(predicted.unbind(-4), neighbours, strict=True):
        blocks = torch.split(truths[of_window], max(1, DISTANCES_AT_ONCE // futures.shape[:-2].numel()))
        distances = torch.cat([norm(futures.unsqueeze(-3) - block) for block in blocks], dim=-2)  # (..., K, j, T)
        average.append(best(distances.mean(-1), dim=-2).mean(-1))
        final.append(best(distances[..., -1], dim=-2).mean(-1))
    return torch.stack(average, dim=-1), torch.stack(final, dim=-1)


def average_pairwise_distance(predicted: Tensor) -> Tensor:
    """APD: how far the K futures of one past lie apart; more is more diverse, 0 is collapsed.

    Args:
        predicted: poses, ``(..., N, K, T, D)``.

    Returns:
        Metres, ``(..., N)``: mean over pairs of the distance between whole futures, all T D numbers as one vector; 0
        for K = 1.

    Source:
        Yuan and Kitani 2020 (DLow).
    """
    if predicted.shape[-3] < 2:
        return predicted.new_zeros(predicted.shape[:-3])
    # Distances by difference, not by inner products: those lose the small distances of a collapsing generator.
    means = [torch.pdist(futures).mean() for futures in predicted.flatten(-2).flatten(0, -3)]
    return torch.stack(means).view(predicted.shape[:-3])


def steps(poses: Tensor) -> Tensor:
    """Mean distance that a joint moves from each frame to the next, over joints and K futures.

    Args:
        poses: ``(..., K, T, D)``.

    Returns:
        Metres a frame, ``(..., T - 1)``: the first is from the first to the second predicted frame.
    """
    joints = poses.reshape(*poses.shape[:-1], -1, 3)
    return norm(joints.diff(dim=-3)).mean(dim=(-3, -1))


def cumulative_motion_distance(predicted_steps: Tensor, true_steps: Tensor, actions: Tensor) -> Tensor:
    """CMD: how far the amount of motion strays from the usual of the action, early strays weigh more; less is better.

    Args:
        predicted_steps: ``steps`` of each window, ``(..., N, T - 1)``.
        true_steps: likewise of the truth, ``(N, T - 1)``.
        actions: index of what is done in each window, ``(N,)``.

    Returns:
        Metres, ``(...)``: ``sum_c n_c / N  sum_{t=1}^{T-1} (T - t) |M_ct - M_c|`` with ``M_ct`` the mean predicted step
        from frame t to t + 1 over the ``n_c`` windows of action c, and ``M_c`` their mean true step over windows and
        time; 0 for T = 1. The truth's own is above 0 where people move more at one time than at another.

    Source:
        Barquero et al. 2023 (BeLFusion), arXiv:2211.14304. There the mean true step of an action is a constant of the
        whole test set; here it is that of the same windows, so that it fits any data set and frame rate.
    """
    frames_left = torch.arange(true_steps.shape[-1], 0, -1, device=true_steps.device)
    parts = []
    for action in sorted(set(actions.tolist())):
        of_action = actions == action
        stray = (predicted_steps[..., of_action, :].mean(-2) - true_steps[of_action].mean()).abs()
        parts.append(of_action.double().mean() * (frames_left * stray).sum(-1))
    return torch.stack(parts).sum(0)


def joint_error_mm(predicted: Tensor, truth: Tensor) -> Tensor:
    """Mean distance of a joint from its true place in camera space, over all K futures; less is better.

    Args:
        predicted: motions, ``(..., N, K, T, J, 3)``.
        truth: ``(N, T, J, 3)``.

    Returns:
        Millimetres, ``(..., N)``: ``mean_ktj |predicted_ktj - truth_tj|``.

    Source:
        The MPJPE of Ionescu et al. 2014 (Human3.6M), here over K futures.
    """
    return MM * norm(predicted - truth.unsqueeze(1)).mean(dim=(-3, -2, -1))


def relative_bone_lengths(past: Tensor, predicted: Tensor, skeleton: Skeleton) -> Tensor:
    """Length of every bone over its last observed length, what the four metrics of bones are made of.

    Returns:
        Dimensionless, ``(..., N, K, T + 1, bones)``; the first frame is the last observed one.

    Raises:
        ValueError: the motions do not have ``skeleton.n_joints`` joints.
    """
    observed, lengths = bone_lengths(past[:, None, -1:], skeleton), bone_lengths(predicted, skeleton)
    lengths = torch.cat([observed.expand(*lengths.shape[:-2], 1, -1), lengths], dim=-2)
    return lengths / (observed + BONE_EPSILON_M)


def bone_error(lengths: Tensor) -> Tensor:
    """Mean change of bone length since the last observed pose; less is better, 0.1 is 10 %.

    Args:
        lengths: ``relative_bone_lengths``, ``(..., N, K, T + 1, bones)``.

    Returns:
        Dimensionless, ``(..., N)``: ``mean_ktb |length_ktb / length_0b - 1|``.

    Source:
        The stretch of SkeletonDiffusion (Curreli et al. 2025, arXiv:2501.06035), whose reference is the mean length in
        the true future; ours is the last observed one, as in the bone loss.
    """
    return _stretch(lengths).mean(dim=(-3, -2, -1))


def bone_error_rmse(lengths: Tensor) -> Tensor:
    """As ``bone_error``, but the root mean square over time: short excesses weigh more; less is better.

    Args:
        lengths: ``relative_bone_lengths``, ``(..., N, K, T + 1, bones)``.

    Returns:
        Dimensionless, ``(..., N)``: ``mean_kb sqrt(mean_t (length_ktb / length_0b - 1)^2)``.

    Source:
        The stretch of SkeletonDiffusion (Curreli et al. 2025), its RMSE; the reference is ``bone_error``'s.
    """
    return _root_mean_square(_stretch(lengths))


def bone_jitter(lengths: Tensor) -> Tensor:
    """Mean change of bone length from frame to frame, the first from the last observed one; less is better.

    Args:
        lengths: ``relative_bone_lengths``, ``(..., N, K, T + 1, bones)``.

    Returns:
        Dimensionless, ``(..., N)``: ``mean_ktb |length_ktb - length_k(t-1)b| / length_0b``.

    Source:
        The jitter of SkeletonDiffusion (Curreli et al. 2025), which leaves out the first step.
    """
    return lengths.diff(dim=-2).abs().mean(dim=(-3, -2, -1))


def bone_jitter_rmse(lengths: Tensor) -> Tensor:
    """As ``bone_jitter``, but the root mean square over time: single jumps weigh more; less is better.

    Args:
        lengths: ``relative_bone_lengths``, ``(..., N, K, T + 1, bones)``.

    Returns:
        Dimensionless, ``(..., N)``: ``mean_kb sqrt(mean_t ((length_ktb - length_k(t-1)b) / length_0b)^2)``.

    Source:
        The jitter of SkeletonDiffusion (Curreli et al. 2025), its RMSE, which leaves out the first step.
    """
    return _root_mean_square(lengths.diff(dim=-2))


def _stretch(lengths: Tensor) -> Tensor:
    return (lengths[..., 1:, :] - lengths[..., :1, :]).abs()


def _root_mean_square(changes: Tensor) -> Tensor:
    """Over time, then the mean over futures and bones: ``(..., K, T, bones)`` to ``(...)``."""
    return changes.square().mean(-2).sqrt().mean(dim=(-2, -1))


def jerk(future: Tensor, frame_rate_hz: float) -> Tensor:
    """Mean length of the third derivative of joint positions within the future, at all frequencies.

    In recordings it is nearly all the sensor's noise; ``movement_jerk`` is of what people do. The truth's own is best:
    less is too smooth, more trembles; ``raw_jerk_ratio`` is this over the truth's, both averaged over windows. The seam
    to the past has its own metric, the first frame's jump.

    Args:
        future: motions, ``(..., N, K, T, J, 3)``, T >= 4: fewer frames have no third difference, the mean over none is
            NaN.
        frame_rate_hz: frames a second.

    Returns:
        m/s^3, ``(..., N)``: ``f^3 mean_ktj |x_(t+3) - 3 x_(t+2) + 3 x_(t+1) - x_t|`` with f the frame rate and x the
        place of joint j in future k; 0 for a frozen pose.

    Source:
        Jerk as the measure of smoothness is Flash and Hogan's 1985, The coordination of arm movements. They take its
        square over a whole movement; we take its length, which a few bad frames do not rule.
    """
    return norm(future.diff(n=3, dim=-3)).mean(dim=(-3, -2, -1)) * frame_rate_hz**3


def movement_jerk(future: Tensor, frame_rate_hz: float) -> Tensor:
    """As ``jerk``, of the motion without what is faster than ``MOVEMENT_BAND_HZ``.

    The truth's own is best here too; ``jerk_ratio`` is this over the truth's, both averaged over windows.

    Over so short a time a frequency filter would take the ends of the motion for jerks. Kept is therefore the
    polynomial through each coordinate, by least squares, that turns as often as a wave of that frequency.

    Args:
        future: motions, ``(..., N, K, T, J, 3)``, T >= 4.
        frame_rate_hz: frames a second.

    Returns:
        m/s^3, ``(..., N)``: the formula of ``jerk``, x being the polynomial of degree
        ``max(3, 2 MOVEMENT_BAND_HZ T / f)``, rounded; 0 for a frozen pose.

    Source:
        Derivatives of recorded movement are taken after a low-pass, e.g. Winter 2009, Biomechanics and Motor Control of
        Human Movement, chapter 3.
    """
    frames = future.shape[-3]
    degree = max(3, round(2 * MOVEMENT_BAND_HZ * frames / frame_rate_hz))  # below 3 there is no jerk
    third_difference = _smooth_third_difference(frames, degree)
    moved = future - future[..., :1, :, :]  # the place itself has no derivative, and would leave its rounding
    third = third_difference.to(future.device, future.dtype) @ moved.flatten(-2)
    return norm(third.view(*moved.shape[:-3], -1, *moved.shape[-2:])).mean(dim=(-3, -2, -1)) * frame_rate_hz**3


@cache
def _smooth_third_difference(frames: int, degree: int) -> Tensor:
    """The matrix ``(T - 3, T)`` that gives the third differences of the polynomial through T frames."""
    time = torch.linspace(-1, 1, frames, dtype=torch.float64).unsqueeze(1)
    polynomials, _ = torch.linalg.qr(time ** torch.arange(min(degree, frames - 1) + 1))
    smoothing: Tensor = polynomials @ polynomials.T
    return smoothing.diff(n=3, dim=0)


def first_frame_jump_mm(past: Tensor, predicted: Tensor) -> Tensor:
    """Mean distance of a joint between the last observed and the first predicted frame; less is better.

    Args:
        past: motions, ``(N, T_past, J, 3)``. Only the last frame is used.
        predicted: ``(..., N, K, T, J, 3)``.

    Returns:
        Millimetres, ``(..., N)``: ``mean_kj |predicted_k1j - past_0j|`` with ``past_0`` the last observed frame. The
        truth's own is above 0: people move, and the sensor errs.

    Source:
        Ours, for the leap into the first predicted pose that users of the original code (ebarsoum/hpgan) describe.
    """
    return MM * norm(predicted[..., 0, :, :] - past[:, None, -1]).mean(dim=(-2, -1))


@dataclass(frozen=True)
class MetricRow:
    """A metric's unit, which way is better (``one``: nearer to 1 is), and what it says.

    Baselines have no value of a metric that ``needs_discriminator``.
    """

    unit: str
    goal: Literal["minimize", "maximize", "one"]
    says: str
    needs_discriminator: bool = False


METRICS: dict[str, MetricRow] = {
    "ade": MetricRow("m", "minimize", "average displacement error, root-relative, best of K"),
    "fde": MetricRow("m", "minimize", "final displacement error, root-relative, best of K"),
    "mmade": MetricRow("m", "minimize", "ADE to the true futures of all windows with a similar last pose"),
    "mmfde": MetricRow("m", "minimize", "FDE to the true futures of all windows with a similar last pose"),
    "apd": MetricRow("m", "maximize", "average pairwise distance of the K futures, root-relative: diversity"),
    "cmd": MetricRow("m", "minimize", "cumulative difference of the amount of motion to the usual of the action"),
    "joint_error_mm": MetricRow("mm", "minimize", "mean joint error in camera space over all K futures"),
    "bone_error": MetricRow("1", "minimize", "relative change of bone length since the last observed pose"),
    "bone_error_rmse": MetricRow("1", "minimize", "the same, root mean square over time"),
    "bone_jitter": MetricRow("1", "minimize", "relative change of bone length from frame to frame"),
    "bone_jitter_rmse": MetricRow("1", "minimize", "the same, root mean square over time"),
    "jerk_ratio": MetricRow("1", "one", "jerk below 4 Hz over the truth's: 1 is as smooth as people are"),
    "raw_jerk_ratio": MetricRow(
        "1", "one", "jerk over the truth's, noise and all: above 1 trembles more than the sensor"
    ),
    "first_frame_jump_mm": MetricRow("mm", "minimize", "step from the last observed to the first predicted pose"),
    "discriminator_probability": MetricRow(
        "1",
        "maximize",
        "how real a member's own discriminator takes its futures to be: not comparable between members",
        needs_discriminator=True,
    ),
    "score": MetricRow(
        "1",
        "minimize",
        "mean log ratio of ADE, bone error and jerk to zero velocity's ADE and the data's own bones and jerk",
    ),
}


@dataclass(frozen=True)
class Reference:
    """What the held-out windows themselves are like, which predictions on them are compared with.

    Attributes:
        zero_velocity_ade: metres.
        bone_variation: ``bone_error`` of the truth.
        jerk: of the truth's movement, m/s^3.
        raw_jerk: of the truth with all its noise, m/s^3.
        movement: mean distance of the true future from standing still, root-relative, all T D numbers as one vector as
            in the APD; metres.
    """

    zero_velocity_ade: float
    bone_variation: float
    jerk: float
    raw_jerk: float
    movement: float


def score(metrics: Mapping[str, float], reference: Reference) -> float:
    """One number that favours no loss: each of the three terms is what one arm trains on and another does not.

    ``(log(ADE / zero velocity's ADE) + log(bone error / the data's own bone variation) + smoothness) / 3``, lower is
    better; the smoothness is ``|log(jerk ratio)|`` or, where that is more, ``log(raw jerk ratio)``. A frozen pose gains
    nothing on the first term and loses on the third; a perfect average future loses on the third, and so does one that
    trembles more than the sensor. Bones stiffer than the data's own gain nothing, since the data's variation is the
    sensor's noise.

    Args:
        metrics: ``ade``, ``bone_error``, ``jerk_ratio`` and ``raw_jerk_ratio``.
        reference: of the same windows.

    Returns:
        Dimensionless, a logarithm: 0 is as good as standing still on ADE, and as stiff and as smooth as people are;
        NaN if one of the four is.

    Source:
        Ours, so that a search by it decides nothing between the losses that are compared.
    """
    own = max(reference.bone_variation, MIN_BONE_VARIATION)
    ratios = (
        metrics["ade"] / reference.zero_velocity_ade,
        max(metrics["bone_error"], own) / own,
        metrics["jerk_ratio"],
        metrics["raw_jerk_ratio"],
    )
    terms = torch.tensor(ratios, dtype=torch.float64).clamp_min(MIN_RATIO).log()
    smoothness = torch.maximum(terms[2].abs(), terms[3])
    return float(terms[0] + terms[1] + smoothness) / 3


def zero_velocity(past: Tensor, future_frames: int) -> Tensor:
    """The baseline that stands still: ``(N, T_past, J, 3)`` to ``(N, 1, future_frames, J, 3)``."""
    return past[:, None, -1:].expand(-1, -1, future_frames, -1, -1)


def constant_velocity(past: Tensor, future_frames: int) -> Tensor:
    """The baseline that goes on as in the last two observed frames, ``(N, 1, future_frames, J, 3)``."""
    frames = torch.arange(1, future_frames + 1, device=past.device).view(-1, 1, 1)
    return past[:, None, -1:] + frames * (past[:, None, -1:] - past[:, None, -2:-1])


BASELINES = {"zero_velocity": zero_velocity, "constant_velocity": constant_velocity}
