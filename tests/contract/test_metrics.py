"""Every row of METRICS is produced, finite, and better where its goal says so."""

import math

import pytest
import torch
from torch import Tensor

from hpgan_core.metrics import BASELINES, METRICS, evaluate, evaluate_baselines, measure_reference, summarise
from hpgan_core.skeleton import KINECT_V2
from hpgan_core.windows import MotionData, gather

every_metric = pytest.mark.parametrize("metric", METRICS)


@pytest.fixture(scope="module")
def windows(motion: MotionData) -> tuple[Tensor, Tensor]:
    """Past and true future of the test person, in float64."""
    starts = motion.test.strided_starts(motion.past_frames, motion.window)
    found = gather(torch.tensor(motion.test.frames, dtype=torch.float64), starts, motion.window)
    return found[:, : motion.past_frames], found[:, motion.past_frames :]


def measure(windows: tuple[Tensor, Tensor], predicted: Tensor) -> dict[str, float]:
    past, truth = windows
    reference = measure_reference(past, truth, KINECT_V2, 30.0)
    return summarise(evaluate(past, predicted, truth, KINECT_V2, 30.0), reference)


def noisy(windows: tuple[Tensor, Tensor], deviation_m: float) -> Tensor:
    """Four futures around the true one."""
    truth = windows[1].unsqueeze(1).expand(-1, 4, -1, -1, -1)
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0), dtype=truth.dtype)
    return truth + deviation_m * noise


def test_evaluation_produces_exactly_the_rows_of_the_table(windows: tuple[Tensor, Tensor]) -> None:
    assert measure(windows, noisy(windows, 0.01)).keys() == METRICS.keys()


def baselines_on_test_have_every_metric(windows: tuple[Tensor, Tensor]) -> None:
    measured = evaluate_baselines(*windows, KINECT_V2, 30.0)
    assert measured.keys() == BASELINES.keys()
    assert all(metrics.keys() == METRICS.keys() for metrics in measured.values())
    assert all(math.isfinite(value) for metrics in measured.values() for value in metrics.values())


@every_metric
@pytest.mark.parametrize("futures", [1, 4])
def test_metrics_are_finite(windows: tuple[Tensor, Tensor], metric: str, futures: int) -> None:
    assert math.isfinite(measure(windows, noisy(windows, 0.01)[:, :futures])[metric])


@every_metric
def test_more_noise_moves_a_metric_away_from_its_goal(windows: tuple[Tensor, Tensor], metric: str) -> None:
    little, much = (measure(windows, noisy(windows, deviation_m))[metric] for deviation_m in (0.01, 0.05))
    match METRICS[metric].goal:
        case "minimize":
            assert little < much
        case "one":
            assert abs(math.log(little)) < abs(math.log(much))
        case "maximize":  # noise is the one thing that diversity alone cannot tell from good
            assert little < much


@every_metric
def test_a_diverged_prediction_never_looks_finite(windows: tuple[Tensor, Tensor], metric: str) -> None:
    assert math.isnan(measure(windows, noisy(windows, math.nan))[metric])


@every_metric
def test_people_who_never_move_do_not_break_a_metric(windows: tuple[Tensor, Tensor], metric: str) -> None:
    past = windows[0][:, -1:].expand(-1, 10, -1, -1)
    truth = past[:, -1:].expand(-1, 20, -1, -1)
    assert math.isfinite(measure((past, truth), noisy((past, truth), 0.01))[metric])
    assert math.isfinite(measure((past, truth), truth.unsqueeze(1))[metric])
