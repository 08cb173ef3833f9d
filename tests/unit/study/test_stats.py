"""Intervals against known numbers and SciPy's own."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from study.stats import (
    EXACT_SEEDS,
    Estimate,
    bootstrap_upper_bound,
    expected_best,
    holm,
    interquartile_mean_difference,
    mean_interval,
    one_sided_bounds,
    probability_of_improvement,
    share_interval,
    sign_flip_test_below,
    t_test_below,
)


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
    assert interval.members == pytest.approx(tuple(members), nan_ok=True)
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


def test_the_t_test_is_scipys() -> None:
    differences = np.random.default_rng(5).normal(0.1, 0.3, 8)
    expected = stats.ttest_1samp(differences, 0.2, alternative="less").pvalue
    assert t_test_below(differences, 0.2) == pytest.approx(expected)


@pytest.mark.parametrize(("margin", "p"), [(0.3, 0.0), (0.2, 1.0), (0.1, 1.0)])
def test_differences_without_spread_are_certain(margin: float, p: float) -> None:
    assert t_test_below(np.full(4, 0.2), margin) == p


@pytest.mark.parametrize(("seeds", "smallest"), [(3, 0.125), (5, 1 / 32), (10, 1 / 1024)])
def test_flipping_signs_can_only_reach_so_small_a_p(seeds: int, smallest: float) -> None:
    differences = np.linspace(-2, -1, seeds)
    assert sign_flip_test_below(differences, 0.0, np.random.default_rng(0)) == pytest.approx(smallest)


def test_flipping_signs_of_many_seeds_is_sampled_and_agrees_with_the_t_test() -> None:
    differences = np.random.default_rng(3).normal(-0.1, 0.5, EXACT_SEEDS + 14)
    sampled = sign_flip_test_below(differences, 0.0, np.random.default_rng(0))
    assert sampled == pytest.approx(t_test_below(differences, 0.0), abs=0.02)


def test_the_bootstrap_bound_of_equal_differences_is_their_value() -> None:
    assert bootstrap_upper_bound(np.full(5, 0.2), 0.05, np.random.default_rng(0)) == pytest.approx(0.2)


def test_the_bootstrap_bound_of_many_seeds_is_the_t_bound() -> None:
    differences = np.random.default_rng(3).normal(0.1, 0.5, 200)
    bound = bootstrap_upper_bound(differences, 0.05, np.random.default_rng(0))
    assert bound == pytest.approx(one_sided_bounds(differences, 0.05)[1], abs=0.003)


def test_what_is_sampled_depends_on_the_generator_alone() -> None:
    differences, others = np.random.default_rng(3).normal(-0.1, 0.5, (2, EXACT_SEEDS + 4))

    def sampled(seed: int) -> tuple[float, float, Estimate]:
        return (
            sign_flip_test_below(differences, 0.0, np.random.default_rng(seed)),
            bootstrap_upper_bound(differences, 0.05, np.random.default_rng(seed)),
            interquartile_mean_difference(differences, others, np.random.default_rng(seed)),
        )

    assert sampled(0) == sampled(0)
    assert all(one != other for one, other in zip(sampled(0), sampled(1), strict=True))


def test_the_middle_half_has_an_interval_of_95_percent() -> None:
    candidate, reference = np.random.default_rng(3).normal(0.0, 1.0, (2, 400))
    middle = interquartile_mean_difference(candidate, reference, np.random.default_rng(0))
    # The mean of the middle half of normal values has 1.19 times the variance of the mean of all.
    assert middle.high - middle.low == pytest.approx(2 * 1.96 * math.sqrt(2 * 1.19 / 400), rel=0.05)


def test_an_outlier_does_not_move_the_middle_half() -> None:
    candidate, reference = np.arange(8.0) + 1, np.arange(8.0)
    far = candidate.copy()
    far[-1] = 1000.0
    middle = interquartile_mean_difference(far, reference, np.random.default_rng(0))
    assert middle.value == interquartile_mean_difference(candidate, reference, np.random.default_rng(0)).value == 1.0
    assert middle.low <= 1.0 <= middle.high


@pytest.mark.parametrize(("shift", "value"), [(-10.0, 1.0), (10.0, 0.0), (0.0, 0.5)])
def test_the_probability_of_improvement_has_a_width_even_where_all_runs_agree(shift: float, value: float) -> None:
    runs = np.arange(5.0)
    improvement = probability_of_improvement(runs + shift, runs)
    assert improvement.value == value
    assert 0.3 < improvement.high - improvement.low < 0.7
    assert 0 <= improvement.low <= value <= improvement.high <= 1


def test_the_interval_of_an_improvement_solves_newcombes_equation() -> None:
    candidate, reference = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.5, 3.5, 4.5, 5.5, 6.5])
    improvement = probability_of_improvement(candidate, reference)
    assert improvement.value == pytest.approx(17 / 20)
    for bound in (improvement.low, improvement.high):
        inflation = 1 + 3.5 * ((1 - bound) / (2 - bound) + bound / (1 + bound))
        z = abs(improvement.value - bound) / math.sqrt(bound * (1 - bound) * inflation / 20)
        assert z == pytest.approx(1.959964, abs=1e-5)


def test_a_share_has_wilsons_interval() -> None:
    share = share_interval(0, 10)
    # z^2 / (n + z^2) with z = 1.96
    assert (share.value, share.low, share.high) == pytest.approx((0.0, 0.0, 3.8415 / 13.8415), abs=1e-5)
    assert math.isnan(share_interval(0, 0).value)


def test_holm_of_a_textbook() -> None:
    # 0.01 x 4, 0.02 x 3, 0.03 x 2 and 0.04 x 1, none less than the one before.
    family = holm([0.04, 0.01, 0.03, 0.02], [0.05] * 4)
    assert family.adjusted == pytest.approx((0.06, 0.04, 0.06, 0.06))
    # The first step succeeds; the three that are left stop at its third.
    assert family.levels == pytest.approx((0.05 / 3, 0.05 / 4, 0.05 / 3, 0.05 / 3))


def test_one_test_is_no_family() -> None:
    assert holm([0.03], [0.05]).adjusted == (0.03,)
    assert holm([0.03], [0.05]).levels == (0.05,)
    assert holm([], []).adjusted == ()


def test_levels_decide_as_adjusted_ps_do() -> None:
    generator = np.random.default_rng(11)
    for _ in range(50):
        p = (generator.random(5) ** 3).round(2)
        alphas = generator.choice([0.01, 0.05, 0.1], 5)
        family = holm(p.tolist(), alphas.tolist())
        by_level = [own <= level for own, level in zip(p, family.levels, strict=True)]
        assert by_level == [own <= alpha for own, alpha in zip(family.adjusted, alphas, strict=True)]


@pytest.mark.parametrize("n", [1, 2, 4, 7])
def test_expected_best_is_the_mean_over_all_choices(n: int) -> None:
    costs = [0.7, 0.2, 0.9, 0.2, 0.5, 1.4, 0.3]
    choices = [min(choice) for choice in itertools.combinations(costs, n)]
    assert expected_best(costs, n) == pytest.approx(sum(choices) / len(choices))


@pytest.mark.parametrize("n", [1, 2500, 5000])
def test_expected_best_of_thousands(n: int) -> None:
    costs = list(range(5000, 0, -1))
    assert expected_best(costs, n) == pytest.approx((len(costs) + 1) / (n + 1))


@pytest.mark.parametrize("of", range(1, 60))
def test_a_share_lies_in_its_own_interval_at_none_and_at_all(of: int) -> None:
    none, every = share_interval(0, of), share_interval(of, of)
    assert (none.low, every.high) == (0.0, 1.0)
