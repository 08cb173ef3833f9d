"""What holds of the metrics on any motion."""

from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hpgan_core.evaluation import EvaluationWindows, measure, window_metrics
from hpgan_core.metrics import norm
from hpgan_core.skeleton import KINECT_V2

JOINTS = KINECT_V2.n_joints
# What looks at joints relative to the root, or at lengths, cannot tell where a predicted person stands.
SEES_THE_PLACE = {"joint_error_mm", "first_frame_jump_mm", "jerk", "raw_jerk"}
BEST_OF_K = ("ade", "fde", "mmade", "mmfde")

Motions = tuple[EvaluationWindows, Tensor]


@st.composite
def motions(draw: st.DrawFn) -> Motions:
    """A few windows, more or less alike, and K futures of each."""
    n, futures, frames = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(4, 7))
    alike, spread = draw(st.sampled_from([0.0, 0.02, 0.2])), draw(st.sampled_from([0.0, 0.1, 3.0]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    past = random.standard_normal((JOINTS, 3)) + alike * random.standard_normal((n, 3, JOINTS, 3))
    truth = past[:, -1:] + 0.1 * random.standard_normal((n, frames, JOINTS, 3))
    predicted = truth[:, None] + spread * random.standard_normal((n, futures, frames, JOINTS, 3))
    actions = random.choice(["walk", "sit"], n)
    windows = EvaluationWindows.of(torch.tensor(past), torch.tensor(truth), actions, KINECT_V2, 30.0)
    return windows, torch.tensor(predicted)


def by_window(windows: EvaluationWindows, predicted: Tensor) -> dict[str, Tensor]:
    return {name: values[0] for name, values in window_metrics(windows, slice(None), predicted[None]).items()}


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor], but: set[str] | None = None) -> None:
    for name in one.keys() - (but or set()):
        # A distance of 0 may become one of 1e-15 where the arithmetic is done elsewhere; the jerk multiplies it.
        torch.testing.assert_close(one[name], other[name], rtol=1e-6, atol=1e-9 if "jerk" not in name else 1e-6)


def moved(windows: EvaluationWindows, by: Tensor) -> EvaluationWindows:
    actions = windows.actions.numpy()
    return EvaluationWindows.of(windows.past + by, windows.truth + by, actions, KINECT_V2, windows.frame_rate_hz)


@given(motions(), st.integers(1, 3))
def test_more_futures_never_worsen_the_best(drawn: Motions, fewer: int) -> None:
    windows, predicted = drawn
    of_all, of_fewer = by_window(windows, predicted), by_window(windows, predicted[:, :fewer])
    for metric in BEST_OF_K:
        assert (of_all[metric] <= of_fewer[metric] * (1 + 1e-12)).all(), metric


@given(motions(), st.randoms())
def test_the_order_of_futures_does_not_matter(drawn: Motions, random: Random) -> None:
    windows, predicted = drawn
    order = list(range(predicted.shape[1]))
    random.shuffle(order)
    assert_equal(by_window(windows, predicted), by_window(windows, predicted[:, order]))


@given(motions(), st.lists(st.floats(-10, 10), min_size=3, max_size=3))
def test_where_people_stand_does_not_matter(drawn: Motions, place: list[float]) -> None:
    windows, predicted = drawn
    by = torch.tensor(place, dtype=torch.float64)
    assert_equal(by_window(windows, predicted), by_window(moved(windows, by), predicted + by))


@given(motions(), st.integers(0, 2**32 - 1))
def test_where_a_predicted_person_is_thought_to_stand_shows_in_camera_space_alone(drawn: Motions, seed: int) -> None:
    windows, predicted = drawn
    shape = (*predicted.shape[:3], 1, 3)
    wander = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert_equal(by_window(windows, predicted), by_window(windows, predicted + wander), but=SEES_THE_PLACE)


@given(motions(), st.randoms())
def test_the_order_of_windows_does_not_matter(drawn: Motions, random: Random) -> None:
    windows, predicted = drawn
    order = list(range(len(windows)))
    random.shuffle(order)
    shuffled = EvaluationWindows.of(
        windows.past[order], windows.truth[order], windows.actions.numpy()[order], KINECT_V2, windows.frame_rate_hz
    )
    (ours,), (theirs,) = (
        measure(these, lambda some, its=futures: (its[None, some], {}), at_once=2)
        for these, futures in ((windows, predicted), (shuffled, predicted[order]))
    )
    assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-9)


@given(motions())
def test_errors_to_similar_futures_differ_from_the_plain_ones_by_no_more_than_these_futures_do(drawn: Motions) -> None:
    """The triangle inequality: a future d from one truth is within d + D of another that is D away."""
    windows, predicted = drawn
    found = by_window(windows, predicted)
    for window, similar in enumerate(windows.neighbours):
        apart = norm(windows.true_poses[similar] - windows.true_poses[window])
        assert abs(found["mmade"][window] - found["ade"][window]) <= apart.mean() + 1e-9
        assert abs(found["mmfde"][window] - found["fde"][window]) <= apart[:, -1].mean() + 1e-9
        # Own truth is one of the similar ones, and no error is negative.
        assert found["mmade"][window] * len(similar) >= found["ade"][window] - 1e-9
        assert found["mmfde"][window] * len(similar) >= found["fde"][window] - 1e-9


@given(motions())
def test_a_root_mean_square_is_at_least_the_mean(drawn: Motions) -> None:
    found = by_window(*drawn)
    for metric in ("bone_error", "bone_jitter"):
        assert (found[f"{metric}_rmse"] >= found[metric] * (1 - 1e-12)).all(), metric


@given(motions(), st.integers(1, 5))
def test_parts_of_any_size_give_the_same_numbers(drawn: Motions, at_once: int) -> None:
    windows, predicted = drawn
    (whole,), (parts,) = (
        measure(windows, lambda some: (predicted[None, some], {}), at_once=size) for size in (len(windows), at_once)
    )
    assert parts == pytest.approx(whole, rel=1e-12, abs=1e-12)
