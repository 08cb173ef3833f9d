"""Whether errors and intervals are as often right as they claim, by simulation.

Each rate has a tolerance of four standard deviations of its own Monte-Carlo error, so that a fixed seed passes by more
than luck and a wrong method fails.
"""

import math

import numpy as np
import pytest
from scipy import stats

from study.judge import judge
from study.power import power_of, seeds_needed, seeds_to_decide
from study.stats import (
    bootstrap_upper_bound,
    holm,
    mean_interval,
    one_sided_bounds,
    probability_of_improvement,
    share_interval,
    sign_flip_test_below,
    t_test_below,
)
from study.study_file import StudyFile

DRAWS = 4000


def tolerance(rate: float, draws: int) -> float:
    return 4 * math.sqrt(rate * (1 - rate) / draws)


def rejections(n_seeds: int, difference: float, margin: float, alpha: float, draws: int) -> float:
    """How often seeds of this true difference, SD 1, have their bound under the margin."""
    samples = np.random.default_rng([n_seeds, draws]).normal(difference, 1.0, (draws, n_seeds))
    return float(np.mean([one_sided_bounds(sample, alpha)[1] < margin for sample in samples]))


@pytest.mark.parametrize("n_seeds", [3, 5, 10, 20])
def test_at_the_margin_a_claim_is_accepted_as_often_as_alpha_allows(n_seeds: int) -> None:
    assert rejections(n_seeds, 0.5, 0.5, 0.05, DRAWS) == pytest.approx(0.05, abs=tolerance(0.05, DRAWS))


@pytest.mark.parametrize("margin", [0.75, 1.0, 1.5, 2.0])
def test_the_seeds_that_are_said_to_be_needed_have_the_power_that_is_stated(margin: float) -> None:
    needed = seeds_needed(margin, 0.05)
    assert needed is not None
    stated = power_of(needed, margin, 0.05)
    assert stated >= 0.8
    assert rejections(needed, 0.0, margin, 0.05, DRAWS) == pytest.approx(stated, abs=tolerance(stated, DRAWS))


@pytest.mark.parametrize("n_seeds", [5, 10, 20])
def test_the_interval_of_a_mean_covers_it_as_often_as_stated(n_seeds: int) -> None:
    samples = np.random.default_rng(n_seeds).normal(1.0, 0.3, (DRAWS, n_seeds))
    intervals = [mean_interval(sample.tolist()) for sample in samples]
    covered = np.mean([interval.low < 1.0 < interval.high for interval in intervals])
    assert covered == pytest.approx(0.95, abs=tolerance(0.95, DRAWS))


@pytest.mark.parametrize(("n_seeds", "covers"), [(3, 0.73), (5, 0.84), (10, 0.89)])
def test_percentile_bootstraps_are_too_narrow_as_the_documentation_says(n_seeds: int, covers: float) -> None:
    generator = np.random.default_rng(n_seeds)
    draws, resamples = 2000, 1000
    samples = generator.normal(0.0, 1.0, (draws, n_seeds))
    chosen = generator.integers(0, n_seeds, (draws, resamples, n_seeds))
    means = np.take_along_axis(samples[:, None, :], chosen, axis=2).mean(axis=2)
    low, high = np.quantile(means, [0.025, 0.975], axis=1)
    assert np.mean((low < 0) & (high > 0)) == pytest.approx(covers, abs=tolerance(covers, draws) + 0.005)


def test_the_bootstrap_bound_is_broken_more_often_than_the_t_bound() -> None:
    draws = 600
    samples = np.random.default_rng(1).normal(0.0, 1.0, (draws, 5))
    generator = np.random.default_rng(2)
    broken = np.mean([bootstrap_upper_bound(sample, 0.05, generator) < 0 for sample in samples])
    by_t = np.mean([one_sided_bounds(sample, 0.05)[1] < 0 for sample in samples])
    assert broken > by_t + 0.03


@pytest.mark.parametrize("draw", ["normal", "uniform", "laplace"])
def test_flipping_signs_is_exact_for_every_symmetric_noise(draw: str) -> None:
    draws, generator = 1500, np.random.default_rng(4)
    samples = getattr(generator, draw)(size=(draws, 6)) - (0.5 if draw == "uniform" else 0.0)
    ps = [sign_flip_test_below(sample, 0.0, generator) for sample in samples]
    # The greatest level below 0.05 that 64 equally likely sign patterns have.
    level = 3 / 64
    assert np.mean(np.array(ps) <= 0.05) == pytest.approx(level, abs=tolerance(level, draws))


def test_both_tests_agree_on_normal_noise() -> None:
    generator = np.random.default_rng(8)
    samples = generator.normal(-0.3, 1.0, (300, 12))
    by_t = np.array([t_test_below(sample, 0.0) for sample in samples])
    by_signs = np.array([sign_flip_test_below(sample, 0.0, generator) for sample in samples])
    assert np.abs(by_t - by_signs).mean() < 0.01


@pytest.mark.parametrize("true", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("n_members", [10, 40])
def test_wilsons_interval_covers_a_share(n_members: int, true: float) -> None:
    counts = np.arange(n_members + 1)
    intervals = [share_interval(int(count), n_members) for count in counts]
    likely = stats.binom.pmf(counts, n_members, true)
    covered = sum(p for p, interval in zip(likely, intervals, strict=True) if interval.low <= true <= interval.high)
    # Exact, not drawn: it swings about its nominal coverage with n and the share.
    assert 0.91 < covered < 0.99


@pytest.mark.parametrize(("n_seeds", "shift"), [(5, 0.0), (10, 0.5), (10, 1.5), (20, 0.5)])
def test_the_interval_of_an_improvement_covers_it(n_seeds: int, shift: float) -> None:
    draws, generator = 1000, np.random.default_rng(n_seeds)
    true = stats.norm.cdf(shift / math.sqrt(2))
    covered = 0
    for candidate, reference in generator.normal(0.0, 1.0, (draws, 2, n_seeds)):
        interval = probability_of_improvement(candidate - shift, reference)
        covered += interval.low <= true <= interval.high
    assert 0.95 - tolerance(0.95, draws) - 0.01 < covered / draws < 0.995


@pytest.mark.parametrize("shared", [0.0, 0.8], ids=["independent", "sharing a reference"])
def test_of_three_claims_at_their_margins_any_is_accepted_as_often_as_alpha_allows(shared: float) -> None:
    generator = np.random.default_rng(3)
    draws = 1500
    common = generator.normal(0, 1, (draws, 1, 8))
    samples = math.sqrt(shared) * common + math.sqrt(1 - shared) * generator.normal(0, 1, (draws, 3, 8))
    standardised = samples.mean(-1) / (samples.std(-1, ddof=1) / math.sqrt(8))
    any_accepted = np.mean([min(holm(ps, [0.05] * 3).adjusted) <= 0.05 for ps in stats.t.cdf(standardised, 7).tolist()])
    assert any_accepted <= 0.05 + tolerance(0.05, draws)
    assert any_accepted > 0.02


@pytest.fixture(scope="module")
def study_file() -> StudyFile:
    return StudyFile.model_validate(
        {
            "name": "small",
            "arms": {"none": [], "gt": ["gt"], "paper": ["consistency", "bone"]},
            "reference": "paper",
            "claims": [{"name": "c", "candidate": "gt", "metrics": ["ade"], "guardrails": {"diversity": None}}],
        }
    )


def accepted_at_last(n_seeds: int, additions: int, draws: int) -> float:
    """How often a claim at its margin of one SD is accepted by who adds the seeds that it is said to need."""
    generator, accepted = np.random.default_rng([n_seeds, additions]), 0
    for _ in range(draws):
        seen = generator.normal(1.0, 1.0, n_seeds)
        for left in range(additions, -1, -1):
            lower, upper = one_sided_bounds(seen, 0.05)
            accepted += upper < 1.0
            if upper < 1.0 or lower > 1.0 or not left:
                break
            needed = seeds_to_decide(len(seen), float(seen.mean()), 1.0, float(seen.std(ddof=1)), 0.05)
            if needed is None:
                break
            seen = np.concatenate([seen, generator.normal(1.0, 1.0, max(needed - len(seen), 1))])
    return accepted / draws


@pytest.mark.parametrize("n_seeds", [5, 10])
@pytest.mark.parametrize(("additions", "least", "most"), [(0, 0.05, 0.05), (1, 0.09, 0.09), (3, 0.12, 0.14)])
def test_seeds_that_are_added_after_a_look_raise_the_error_as_the_documentation_says(
    n_seeds: int, additions: int, least: float, most: float
) -> None:
    draws = 1000
    found = accepted_at_last(n_seeds, additions, draws)
    assert least - tolerance(least, draws) < found < most + tolerance(most, draws)


def held(study_file: StudyFile, lost: float, draws: int) -> float:
    """How often a whole claim holds, from its gate to its word, where the candidate loses so much of a gain of 1."""
    generator = np.random.default_rng(5)
    levels = {"paper": 0.0, "none": 1.0, "gt": lost}
    found = 0
    for _ in range(draws):
        members = {
            arm: {"test/ade": tuple(np.exp(level + generator.normal(0, 0.2, 8)))} for arm, level in levels.items()
        }
        (verdict,) = judge(study_file, members, dict.fromkeys(levels, (0, 8)))
        found += verdict.holds
    return found / draws


def test_a_whole_claim_at_its_margin_is_accepted_no_more_often_than_alpha_allows(study_file: StudyFile) -> None:
    # Half of the gain is lost, as much as the claim allows; the gain itself counts by its lower bound.
    assert held(study_file, 0.5, 300) <= 0.05 + tolerance(0.05, 300)


def test_a_whole_claim_without_a_loss_is_accepted(study_file: StudyFile) -> None:
    assert held(study_file, 0.0, 60) > 0.9
