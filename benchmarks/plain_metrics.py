"""Every metric as its definition reads, loop by loop: to compare speed with, and what tests compare numbers with."""

from collections.abc import Iterable
from itertools import combinations, pairwise

import numpy as np

from hpgan_core.skeleton import Skeleton

Array = np.ndarray


def measure_plainly(
    past: Array,
    predicted: Array,
    truth: Array,
    actions: Array,
    skeleton: Skeleton,
    frame_rate_hz: float,
    threshold_m: float = 0.5,
) -> dict[str, list[float]]:
    """A value a window of every metric that has one, the jerks themselves for their ratios, and one value of the CMD.

    Args:
        past: metres, ``(N, T_past, J, 3)``.
        predicted: metres, ``(N, K, T, J, 3)``.
        truth: metres, ``(N, T, J, 3)``.
        actions: what is done in each window, ``(N,)``.
        skeleton: joints and bones.
        frame_rate_hz: frames a second.
        threshold_m: windows whose last poses are nearer than this are similar.
    """
    windows = [
        _window(past, futures, truth, window, skeleton, frame_rate_hz, threshold_m)
        for window, futures in enumerate(predicted)
    ]
    columns = {name: [metrics[name] for metrics in windows] for name in windows[0]}
    return columns | {"cmd": [_cmd(predicted, truth, actions, skeleton)]}


def _relative(pose: Array, skeleton: Skeleton) -> Array:
    """A pose ``(J, 3)`` as one vector without its root."""
    return np.concatenate([pose[joint] - pose[skeleton.root] for joint in range(len(pose)) if joint != skeleton.root])


def _distance(one: Array, other: Array) -> float:
    return float(np.sqrt(((one - other) ** 2).sum()))


def _window(
    past: Array,
    futures: Array,
    truth: Array,
    window: int,
    skeleton: Skeleton,
    frame_rate_hz: float,
    threshold_m: float,
) -> dict[str, float]:
    last = past[window, -1]
    poses = [[_relative(pose, skeleton) for pose in future] for future in futures]
    ade, fde = _displacements(poses, truth[window], skeleton)
    similar = [
        _displacements(poses, truth[other], skeleton)
        for other in range(len(past))
        if _distance(_relative(past[other, -1], skeleton), _relative(last, skeleton)) < threshold_m
    ]
    pairs = [_distance(np.concatenate(one), np.concatenate(other)) for one, other in combinations(poses, 2)]
    joint_errors, jumps = [], []
    degree = min(max(3, round(2 * 4.0 * len(futures[0]) / frame_rate_hz)), len(futures[0]) - 1)
    smooth_futures = [_polynomial(degree, future) for future in futures]
    for future in futures:
        for pose, true_pose in zip(future, truth[window], strict=True):
            joint_errors += [1000 * _distance(*joints) for joints in zip(pose, true_pose, strict=True)]
        jumps += [1000 * _distance(*joints) for joints in zip(future[0], last, strict=True)]
    bones = [_bone(last, future, bone) for future in futures for bone in skeleton.bones]
    return {
        "ade": ade,
        "fde": fde,
        "mmade": float(np.mean([ade for ade, _ in similar])),
        "mmfde": float(np.mean([fde for _, fde in similar])),
        "apd": float(np.mean(pairs)) if pairs else 0.0,
        "joint_error_mm": float(np.mean(joint_errors)),
        "jerk": _jerk(smooth_futures, frame_rate_hz),
        "raw_jerk": _jerk(futures, frame_rate_hz),
        "first_frame_jump_mm": float(np.mean(jumps)),
    } | {name: float(np.mean([changes[name] for changes in bones])) for name in bones[0]}


def _jerk(futures: Iterable[Array], frame_rate_hz: float) -> float:
    jerks = [
        frame_rate_hz**3 * _distance(*joints)
        for future in futures
        for a, b, c, d in zip(future, future[1:], future[2:], future[3:], strict=False)
        for joints in zip(d + 3 * b, 3 * c + a, strict=True)
    ]
    return float(np.mean(jerks))


def _polynomial(degree: int, future: Array) -> Array:
    """The polynomial through each coordinate of a future ``(T, J, 3)``."""
    time, smooth = np.arange(len(future)), np.empty_like(future)
    for joint in range(future.shape[1]):
        for axis in range(3):
            smooth[:, joint, axis] = np.polynomial.Polynomial.fit(time, future[:, joint, axis], degree)(time)
    return smooth


def _displacements(poses: list[list[Array]], truth: Array, skeleton: Skeleton) -> tuple[float, float]:
    """ADE and FDE."""
    averages, finals = [], []
    for future in poses:
        distances = [_distance(pose, _relative(true, skeleton)) for pose, true in zip(future, truth, strict=True)]
        averages.append(float(np.mean(distances)))
        finals.append(distances[-1])
    return min(averages), min(finals)


def _bone(last: Array, future: Array, bone: tuple[int, int]) -> dict[str, float]:
    """How the length of one bone changes in one future."""
    lengths = [_distance(pose[bone[0]], pose[bone[1]]) for pose in [last, *future]]
    reference = lengths[0] + 1e-5
    stretch = [abs(length - lengths[0]) / reference for length in lengths[1:]]
    jitter = [abs(after - before) / reference for before, after in pairwise(lengths)]
    return {
        "bone_error": float(np.mean(stretch)),
        "bone_error_rmse": float(np.sqrt(np.mean(np.square(stretch)))),
        "bone_jitter": float(np.mean(jitter)),
        "bone_jitter_rmse": float(np.sqrt(np.mean(np.square(jitter)))),
    }


def _cmd(predicted: Array, truth: Array, actions: Array, skeleton: Skeleton) -> float:
    total, frames = 0.0, truth.shape[1]
    for action in sorted(set(actions.tolist())):
        chosen = [window for window in range(len(actions)) if actions[window] == action]
        usual = np.mean([_step(truth[window], t, skeleton) for window in chosen for t in range(1, frames)])
        for t in range(1, frames):
            moved = np.mean([_step(future, t, skeleton) for window in chosen for future in predicted[window]])
            total += len(chosen) / len(actions) * (frames - t) * abs(moved - usual)
    return float(total)


def _step(future: Array, t: int, skeleton: Skeleton) -> float:
    """Mean distance of a joint from frame t to frame t + 1, counted from 1, relative to the root."""
    before, after = (_relative(pose, skeleton).reshape(-1, 3) for pose in (future[t - 1], future[t]))
    return float(np.mean([_distance(*joints) for joints in zip(before, after, strict=True)]))
