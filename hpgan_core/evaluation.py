"""What populations and baselines predict on held-out windows, measured."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from hpgan_core.metrics import (
    BASELINES,
    MULTIMODAL_THRESHOLD_M,
    Reference,
    average_displacement_error,
    average_pairwise_distance,
    bone_error,
    bone_error_rmse,
    bone_jitter,
    bone_jitter_rmse,
    cumulative_motion_distance,
    final_displacement_error,
    first_frame_jump_mm,
    jerk,
    joint_error_mm,
    movement_jerk,
    multimodal_errors,
    norm,
    relative_bone_lengths,
    root_relative,
    score,
    similar_windows,
    steps,
    zero_velocity,
)
from hpgan_core.skeleton import Skeleton
from hpgan_core.streams import streams
from hpgan_core.training import Population
from hpgan_core.windows import Clips, MotionData

# Futures (members x windows x K) that one pass predicts and measures. It bounds the memory of an evaluation: at this
# size, 10 members times 400 windows times 50 futures need 0.15 GB more than the population alone.
EVALUATION_ROWS = 1024
# Keeps ratios finite where held-out people do not move at all.
MIN_REFERENCE = 1e-9
# Futures that lie closer together than this share of how far people move are one future. Where people move 3 m (20
# frames and 24 joints as one vector) it is about a millimetre a joint, less than the noise of a depth sensor.
COLLAPSED_SHARE = 0.01

Outcome = Literal["ok", "diverged", "collapsed"]


@dataclass(frozen=True)
class EvaluationWindows:
    """Held-out windows, and all that is known of them before anything is predicted.

    Attributes:
        past: metres, ``(N, T_past, J, 3)``.
        truth: metres, ``(N, T, J, 3)``.
        skeleton: of both.
        frame_rate_hz: frames a second.
        actions: index of what is done in each window, ``(N,)``.
        true_poses: the truth as root-relative vectors, ``(N, T, D)``.
        neighbours: for each window those with a similar last observed pose.
        reference: what predictions on these windows are compared with.
    """

    past: Tensor
    truth: Tensor
    skeleton: Skeleton
    frame_rate_hz: float
    actions: Tensor
    true_poses: Tensor
    neighbours: tuple[Tensor, ...]
    reference: Reference

    @classmethod
    def of(
        cls,
        past: Tensor,
        truth: Tensor,
        actions: np.ndarray,
        skeleton: Skeleton,
        frame_rate_hz: float,
        multimodal_threshold_m: float = MULTIMODAL_THRESHOLD_M,
    ) -> "EvaluationWindows":
        """Windows of motion with the names of what is done in them, ``(N,)``; similar are those below the threshold."""
        last_poses, true_poses = root_relative(past[:, -1], skeleton.root), root_relative(truth, skeleton.root)
        frozen = root_relative(zero_velocity(past, truth.shape[1]), skeleton.root)
        own = truth.unsqueeze(1)
        measured = (
            average_displacement_error(frozen, true_poses),
            bone_error(relative_bone_lengths(past, own, skeleton)),
            movement_jerk(own, frame_rate_hz),
            jerk(own, frame_rate_hz),
            norm((true_poses - last_poses.unsqueeze(1)).flatten(1)),
        )
        return cls(
            past,
            truth,
            skeleton,
            frame_rate_hz,
            torch.from_numpy(np.unique(actions, return_inverse=True)[1]).to(past.device),
            true_poses,
            similar_windows(last_poses, multimodal_threshold_m),
            Reference(*(max(values.double().mean().item(), MIN_REFERENCE) for values in measured)),
        )

    def __len__(self) -> int:
        return len(self.past)


def cut(clips: Clips, starts: Tensor, window: int) -> np.ndarray:
    """Windows by their first frames, ``(N, window, J, 3)``, without the copy that a tensor of all frames would be."""
    windows: np.ndarray = clips.frames[starts.unsqueeze(1).numpy() + np.arange(window)]
    return windows


def held_out_windows(
    data: MotionData,
    clips: Clips,
    most: int | None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> EvaluationWindows:
    """Strided windows of a held-out split, one every ``past_frames``, at most ``most``."""
    starts = clips.strided_starts(data.past_frames, data.window, most)
    windows = torch.tensor(cut(clips, starts, data.window), device=device, dtype=dtype)
    past, truth = windows[:, : data.past_frames], windows[:, data.past_frames :]
    return EvaluationWindows.of(past, truth, clips.actions_at(starts), data.skeleton, data.frame_rate_hz)


def evaluation_windows(population: Population, clips: Clips, most: int | None) -> EvaluationWindows:
    """``held_out_windows`` where and as the population computes."""
    return held_out_windows(population.data, clips, most, population.device, population.dtype)


@torch.no_grad()
def evaluate_population(
    population: Population, windows: EvaluationWindows, samples: int, epoch: int
) -> list[dict[str, float]]:
    """Every metric of every member on held-out windows: ``samples`` futures a past, with the z of ``epoch``.

    ``EVALUATION_ROWS`` futures, or those of one window where they are more, are predicted and measured at a time;
    beyond that, memory grows by a few numbers a window.
    """
    generators = streams(population.seeds, "evaluation", epoch)

    def predict(some: slice) -> tuple[Tensor, dict[str, Tensor]]:
        past = windows.past[some]
        # Window by window: the numbers do not depend on how many windows are evaluated at once.
        z = torch.stack([population.sample_z(generators, samples, population.config.z_size) for _ in past], dim=1)
        predicted = population.predict(past, z)
        return predicted, {"discriminator_probability": population.probabilities(past, predicted)}

    return measure(windows, predict, EVALUATION_ROWS // (samples * len(population.seeds)))


def evaluate_baselines(windows: EvaluationWindows) -> dict[str, dict[str, float]]:
    """Every metric of every baseline, but for those that need a discriminator."""
    frames = windows.truth.shape[1]

    def predict(some: slice) -> tuple[Tensor, dict[str, Tensor]]:
        return torch.stack([baseline(windows.past[some], frames) for baseline in BASELINES.values()]), {}

    return dict(zip(BASELINES, measure(windows, predict, EVALUATION_ROWS // len(BASELINES)), strict=True))


def measure(
    windows: EvaluationWindows, predict: Callable[[slice], tuple[Tensor, dict[str, Tensor]]], at_once: int
) -> list[dict[str, float]]:
    """Every metric of every member.

    Args:
        windows: what the predictions are of.
        predict: gives futures in metres for a slice of the windows, ``(S, n, K, T, J, 3)``, and further metrics of
            them, ``(S, n)`` each. It is called once for each window, in order.
        at_once: so many windows are predicted at a time, at least one.
    """
    by_window: dict[str, Tensor] = {}
    for first in range(0, len(windows), max(1, at_once)):
        some = slice(first, first + max(1, at_once))
        predicted, more = predict(some)
        for name, values in (window_metrics(windows, some, predicted) | more).items():
            if first == 0:
                # Room for all at once: small results kept between large passing ones would break up the heap, which
                # then grows with every pass.
                by_window[name] = values.new_empty(len(values), len(windows), *values.shape[2:], dtype=torch.float64)
            by_window[name][:, some] = values
    return summarise(windows, by_window)


def window_metrics(windows: EvaluationWindows, some: slice, predicted: Tensor) -> dict[str, Tensor]:
    """What is measured window by window, ``(S, n)`` each: jerks stand in for their ratios, ``steps`` for the CMD."""
    past, truth, true_poses = windows.past[some], windows.truth[some], windows.true_poses[some]
    poses = root_relative(predicted, windows.skeleton.root)
    lengths = relative_bone_lengths(past, predicted, windows.skeleton)
    mmade, mmfde = multimodal_errors(poses, windows.true_poses, windows.neighbours[some])
    return {
        "ade": average_displacement_error(poses, true_poses),
        "fde": final_displacement_error(poses, true_poses),
        "mmade": mmade,
        "mmfde": mmfde,
        "apd": average_pairwise_distance(poses),
        "steps": steps(poses),
        "joint_error_mm": joint_error_mm(predicted, truth),
        "bone_error": bone_error(lengths),
        "bone_error_rmse": bone_error_rmse(lengths),
        "bone_jitter": bone_jitter(lengths),
        "bone_jitter_rmse": bone_jitter_rmse(lengths),
        "jerk": movement_jerk(predicted, windows.frame_rate_hz),
        "raw_jerk": jerk(predicted, windows.frame_rate_hz),
        "first_frame_jump_mm": first_frame_jump_mm(past, predicted),
    }


def summarise(windows: EvaluationWindows, by_window: dict[str, Tensor]) -> list[dict[str, float]]:
    """Means over windows, the CMD over actions, the jerks as ratios to the truth's, and the score; a member each."""
    true_steps = steps(windows.true_poses.unsqueeze(1).double())
    cmd = cumulative_motion_distance(by_window.pop("steps"), true_steps, windows.actions)
    columns = {name: values.mean(1).tolist() for name, values in by_window.items()} | {"cmd": cmd.tolist()}
    reference = windows.reference
    members = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    for metrics in members:
        metrics["jerk_ratio"] = metrics.pop("jerk") / reference.jerk
        metrics["raw_jerk_ratio"] = metrics.pop("raw_jerk") / reference.raw_jerk
        metrics["score"] = score(metrics, reference)
    return members


def diverged(metrics: Mapping[str, float]) -> bool:
    """Whether a member's numbers have left the finite ones."""
    return not all(math.isfinite(value) for value in metrics.values())


def outcome(metrics: Mapping[str, float], apd: float, movement: float) -> Outcome:
    """What has become of a member: an alarm, never an error, since its neighbours go on.

    Args:
        metrics: all its numbers, losses among them.
        apd: its diversity, metres.
        movement: how far people move on the same windows, as in ``Reference``; 0 calls nobody collapsed.
    """
    if diverged(metrics):
        return "diverged"
    return "collapsed" if apd < COLLAPSED_SHARE * movement else "ok"
