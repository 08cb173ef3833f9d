"""Intervals against known numbers and SciPy's own."""

import math

import numpy as np
import pytest
from scipy import stats

from study.stats import mean_interval, one_sided_bounds


def test_the_interval_of_one_to_five_is_the_textbooks() -> None:
    interval = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    # t(0.975, 4) = 2.7764, s = 1.5811, half width 2.7764 * 1.5811 / sqrt(5)
    assert interval.mean == pytest.approx(3.0)
    assert (interval.low, interval.high) == pytest.approx((1.03676, 4.96324), abs=1e-5)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_the_interval_equals_scipys(confidence: float) -> None:
    members = np.random.default_rng(3).normal(2.0, 0.7, 11)
    expected = stats.t.interval(confidence, len(members) - 1, loc=members.mean(), scale=stats.sem(members))
    interval = mean_interval(members.tolist(), confidence)
    assert (interval.low, interval.high) == pytest.approx(expected)


def test_members_that_diverged_are_shown_and_not_counted() -> None:
    members = [1.0, math.nan, 3.0, math.inf]
    interval = mean_interval(members)
    assert interval.members == tuple(members)
    assert (interval.mean, interval.low, interval.high) == pytest.approx(
        (2.0, *stats.t.interval(0.95, 1, loc=2.0, scale=1.0))
    )


@pytest.mark.parametrize(
    ("members", "mean"), [([], math.nan), ([math.nan], math.nan), ([4.0], 4.0), ([4.0, math.nan], 4.0)]
)
def test_fewer_than_two_values_have_no_interval(members: list[float], mean: float) -> None:
    interval = mean_interval(members)
    assert interval.mean == pytest.approx(mean, nan_ok=True)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


@pytest.mark.parametrize("margin", [-0.3, 0.0, 0.2, 0.6])
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_a_bound_lies_inside_a_margin_exactly_when_the_one_sided_t_test_rejects(margin: float, alpha: float) -> None:
    differences = np.random.default_rng(5).normal(0.1, 0.3, 8)
    lower, upper = one_sided_bounds(differences, alpha)
    assert (upper < margin) == (stats.ttest_1samp(differences, margin, alternative="less").pvalue < alpha)
    assert (lower > margin) == (stats.ttest_1samp(differences, margin, alternative="greater").pvalue < alpha)


def test_both_bounds_hold_as_often_as_promised() -> None:
    draws = np.random.default_rng(7).normal(0.0, 1.0, (4000, 5))
    bounds = np.array([one_sided_bounds(sample, 0.05) for sample in draws])
    missed = (bounds[:, 0] > 0).mean(), (bounds[:, 1] < 0).mean()
    assert missed == pytest.approx((0.05, 0.05), abs=0.012)
