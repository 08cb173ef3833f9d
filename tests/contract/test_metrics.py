"""Every row of METRICS is produced, finite, and better where its goal says so."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from hpgan_core.evaluation import EvaluationWindows, evaluate_baselines, held_out_windows, measure
from hpgan_core.metrics import BASELINES, METRICS
from hpgan_core.windows import MotionData

# What can be measured without a trained network; tests/unit/test_evaluation.py has the others.
OF_MOTIONS = [name for name, row in METRICS.items() if not row.needs_discriminator]
every_metric = pytest.mark.parametrize("metric", OF_MOTIONS)


@pytest.fixture(scope="module")
def windows(motion: MotionData) -> EvaluationWindows:
    """The test person, in float64."""
    return held_out_windows(motion, motion.test, None, dtype=torch.float64)


def measured(windows: EvaluationWindows, predicted: Tensor) -> dict[str, float]:
    (metrics,) = measure(windows, lambda some: (predicted[None, some], {}), at_once=len(windows))
    return metrics


def noisy(windows: EvaluationWindows, deviation_m: float) -> Tensor:
    """Four futures around the true one."""
    truth = windows.truth.unsqueeze(1).expand(-1, 4, -1, -1, -1)
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0), dtype=truth.dtype)
    return truth + deviation_m * noise


def test_motions_have_exactly_the_metrics_that_need_no_discriminator(windows: EvaluationWindows) -> None:
    assert measured(windows, noisy(windows, 0.01)).keys() == set(OF_MOTIONS)
    assert METRICS.keys() - set(OF_MOTIONS) == {"discriminator_probability"}


def test_baselines_have_every_metric_of_motions(windows: EvaluationWindows) -> None:
    found = evaluate_baselines(windows)
    assert found.keys() == BASELINES.keys()
    assert all(metrics.keys() == set(OF_MOTIONS) for metrics in found.values())
    assert all(math.isfinite(value) for metrics in found.values() for value in metrics.values())


@every_metric
@pytest.mark.parametrize("futures", [1, 4])
def test_metrics_are_finite(windows: EvaluationWindows, metric: str, futures: int) -> None:
    assert math.isfinite(measured(windows, noisy(windows, 0.01)[:, :futures])[metric])


@every_metric
def test_more_noise_moves_a_metric_away_from_its_goal(windows: EvaluationWindows, metric: str) -> None:
    little, much = (measured(windows, noisy(windows, deviation_m))[metric] for deviation_m in (0.01, 0.05))
    match METRICS[metric].goal:
        case "minimize":
            assert little < much
        case "one":
            assert abs(math.log(little)) < abs(math.log(much))
        case "maximize":  # noise is the one thing that diversity alone cannot tell from good
            assert little < much


@every_metric
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_one_diverged_future_never_looks_finite(windows: EvaluationWindows, metric: str, bad: float) -> None:
    predicted = noisy(windows, 0.01)
    predicted[1, 2] = bad
    assert not math.isfinite(measured(windows, predicted)[metric])


@every_metric
def test_people_who_never_move_do_not_break_a_metric(windows: EvaluationWindows, metric: str) -> None:
    past = windows.past[:, -1:].expand(-1, 10, -1, -1)
    truth = past[:, -1:].expand(-1, 20, -1, -1)
    still = EvaluationWindows.of(past, truth, np.array(["sit"] * len(past)), windows.skeleton, 30.0)
    assert math.isfinite(measured(still, noisy(still, 0.01))[metric])
    assert math.isfinite(measured(still, truth.unsqueeze(1))[metric])
