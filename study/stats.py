"""Arrays of numbers to intervals and probabilities; the unit is always the training seed.

SciPy and statsmodels take a second or two to import, and are where they are used.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 9999
# Signs of so many seeds at most are all tried, 2^16 of them; of more, `RESAMPLES` random ones.
EXACT_SEEDS = 16
QUARTER = 0.25
TINY = 1e-9


@dataclass(frozen=True)
class Interval:
    """A mean with its interval, and every value it was made from.

    Attributes:
        mean: over the finite values; NaN without any.
        low, high: NaN for fewer than two values.
        members: one value a seed, NaN where a member diverged.
    """

    mean: float
    low: float
    high: float
    members: tuple[float, ...]


@dataclass(frozen=True)
class Estimate:
    """A number with its two-sided interval, 95 % unless told otherwise; NaN where it does not exist."""

    value: float
    low: float
    high: float


UNKNOWN = Estimate(math.nan, math.nan, math.nan)


def mean_interval(members: Sequence[float], confidence: float = 0.95) -> Interval:
    """Student's t interval of the mean; with few seeds it is wide, as it should be: a bootstrap's is too narrow."""
    finite = np.array([value for value in members if math.isfinite(value)])
    if len(finite) < 2:
        return Interval(float(finite.mean()) if len(finite) else math.nan, math.nan, math.nan, tuple(members))
    low, high = one_sided_bounds(finite, (1 - confidence) / 2)
    return Interval(float(finite.mean()), low, high, tuple(members))


def expected_best(costs: Sequence[float], n: int) -> float:
    """The least of ``n`` costs, on average over all choices of ``n`` from these: the unbiased estimator.

    Args:
        costs: of configurations that were drawn independently; less is better.
        n: 1 to as many as there are.

    Source:
        Tang et al. 2020, "Showing Your Work Doesn't Always Work"; that of Dodge et al. 2019 draws with replacement and
        is too good.
    """
    # C(N - 1 - r, n - 1) / C(N, n) of the choices have the one of rank r as their least; each follows from the last.
    worse = np.arange(len(costs) - 1, 0, -1)
    shares = n / len(costs) * np.cumprod(np.concatenate([[1.0], np.maximum(worse - (n - 1), 0) / worse]))
    return float(np.sort(costs) @ shares)


def one_sided_bounds(differences: np.ndarray, alpha: float) -> tuple[float, float]:
    """Lower and upper bound of the mean of paired differences, each exceeded with probability ``alpha``."""
    from scipy.stats import t

    reach = float(t.ppf(1 - alpha, len(differences) - 1) * standard_error(differences))
    mean = float(differences.mean())
    return mean - reach, mean + reach


def t_test_below(differences: np.ndarray, margin: float) -> float:
    """One-sided p of Student's t test that the mean of paired differences is not below ``margin``."""
    from scipy.stats import t

    distance, error = float(differences.mean()) - margin, standard_error(differences)
    if error == 0:
        return float(distance >= 0)
    return float(t.cdf(distance / error, len(differences) - 1))


def standard_error(values: np.ndarray) -> float:
    """Of the mean."""
    return float(values.std(ddof=1)) / math.sqrt(len(values))


def sign_flip_test_below(differences: np.ndarray, margin: float, generator: np.random.Generator) -> float:
    """As ``t_test_below``, for any distribution that is symmetric: by permutation, exact up to ``EXACT_SEEDS``.

    Its smallest value is 1 / 2^seeds: 0.125 with three seeds, 0.031 with five, 0.001 with ten.
    """
    from scipy.stats import permutation_test

    shifted = np.sort(differences) - margin
    resamples = 2 ** len(shifted) if len(shifted) <= EXACT_SEEDS else RESAMPLES
    tested = permutation_test(
        (shifted,),
        lambda values, axis: values.mean(axis),
        permutation_type="samples",
        alternative="less",
        vectorized=True,
        n_resamples=resamples,
        rng=generator,
    )
    return float(tested.pvalue)


def bootstrap_upper_bound(differences: np.ndarray, alpha: float, generator: np.random.Generator) -> float:
    """Upper bound of the mean by the bias-corrected and accelerated bootstrap: too near with few seeds.

    Of sorted values, so that the order of seeds does not matter.
    """
    return _bootstrap((np.sort(differences),), lambda values, axis: values.mean(axis), 1 - 2 * alpha, generator).high


def interquartile_mean_difference(
    candidate: np.ndarray, reference: np.ndarray, generator: np.random.Generator
) -> Estimate:
    """Difference of the means of the middle half of the seeds, which single outliers do not move.

    Args:
        candidate, reference: paired by seed.
        generator: of the bootstrap, which draws pairs.

    Source:
        Agarwal et al. 2021, arXiv:2108.13264 (rliable), whose interval is a percentile bootstrap; ours is BCa.
    """
    order = np.lexsort((candidate, reference))
    return _bootstrap((candidate[order], reference[order]), _middle_difference, 0.95, generator)


def _middle_difference(candidate: np.ndarray, reference: np.ndarray, axis: int) -> np.ndarray:
    from scipy.stats import trim_mean

    return np.asarray(trim_mean(candidate, QUARTER, axis) - trim_mean(reference, QUARTER, axis))


def _bootstrap(
    paired: tuple[np.ndarray, ...],
    statistic: Callable[..., np.ndarray],
    confidence: float,
    generator: np.random.Generator,
) -> Estimate:
    """BCa where it exists; where all resamples give one number, that number."""
    from scipy.stats import DegenerateDataWarning, bootstrap

    value = float(statistic(*paired, axis=-1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)
        warnings.filterwarnings("ignore", "invalid value encountered", RuntimeWarning)
        interval = bootstrap(
            paired,
            statistic,
            paired=len(paired) > 1,
            vectorized=True,
            confidence_level=confidence,
            n_resamples=RESAMPLES,
            rng=generator,
        ).confidence_interval
    low, high = float(interval.low), float(interval.high)
    return Estimate(value, *((value, value) if math.isnan(low) or math.isnan(high) else (low, high)))


def probability_of_improvement(candidate: np.ndarray, reference: np.ndarray, confidence: float = 0.95) -> Estimate:
    """How likely a run of the candidate has less badness than one of the reference; ties count half.

    A bootstrap's interval has no width where all runs of one are better, which is when one looks at it; this one has.

    Source:
        The number: Mann and Whitney's U over all pairs of runs, as in Agarwal et al. 2021. The interval: Newcombe 2006,
        Statistics in Medicine 25:559, method 5, which supposes independent arms.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    n, m = len(candidate), len(reference)
    against = candidate[:, None], reference[None, :]
    share = float(np.less(*against).mean() + np.equal(*against).mean() / 2)
    z, half = float(norm.ppf((1 + confidence) / 2)), (n + m) / 2 - 1

    def excess(true: float) -> float:
        spread = 1 + half * ((1 - true) / (2 - true) + true / (1 + true))
        return (share - true) ** 2 - z**2 * true * (1 - true) * spread / (n * m)

    # At none and at all the share itself is a root, from which the bound is the other one.
    low = 0.0 if share == 0 else float(brentq(excess, 0.0, share - TINY))
    high = 1.0 if share == 1 else float(brentq(excess, share + TINY, 1.0))
    return Estimate(share, low, high)


def share_interval(count: int, of: int, confidence: float = 0.95) -> Estimate:
    """A share with Wilson's interval, which has a width for none and for all as well; unknown of nothing."""
    from statsmodels.stats.proportion import proportion_confint

    if of == 0:
        return UNKNOWN
    low, high = proportion_confint(count, of, alpha=1 - confidence, method="wilson")
    # At none and at all the bound is the share itself, which rounding may miss by a hair.
    share = count / of
    return Estimate(share, min(float(low), share), max(float(high), share))


@dataclass(frozen=True)
class Family:
    """Tests that are made together, corrected by Holm so that all are right with the probability each asks for.

    Attributes:
        adjusted: p of each, to be held against its alpha.
        levels: what each plain p is held against; the same decision.
    """

    adjusted: tuple[float, ...]
    levels: tuple[float, ...]


def holm(p_values: Sequence[float], alphas: Sequence[float]) -> Family:
    """Correct a family of tests.

    The level of a test is its alpha divided by the number of tests that are still open at its step. A bound at that
    level says the same as the adjusted p.
    """
    from statsmodels.stats.multitest import multipletests

    p = np.array(p_values)
    adjusted = multipletests(p, method="holm")[1] if len(p) else p
    still_open = [
        max(int((p >= own).sum()), int((adjusted > alpha).sum())) for own, alpha in zip(p, alphas, strict=True)
    ]
    levels = tuple(alpha / number for alpha, number in zip(alphas, still_open, strict=True))
    return Family(tuple(float(one) for one in adjusted), levels)
