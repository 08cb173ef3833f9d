"""Arrays of numbers to intervals; the unit is always the training seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


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


def mean_interval(members: Sequence[float], confidence: float = 0.95) -> Interval:
    """Student's t interval of the mean; with few seeds it is wide, as it should be: a bootstrap's is too narrow."""
    finite = np.array([value for value in members if math.isfinite(value)])
    if len(finite) < 2:
        return Interval(float(finite.mean()) if len(finite) else math.nan, math.nan, math.nan, tuple(members))
    half_width = stats.t.ppf((1 + confidence) / 2, len(finite) - 1) * stats.sem(finite)
    return Interval(
        float(finite.mean()), float(finite.mean() - half_width), float(finite.mean() + half_width), tuple(members)
    )


def one_sided_bounds(differences: np.ndarray, alpha: float) -> tuple[float, float]:
    """Lower and upper bound of the mean of paired differences, each exceeded with probability ``alpha``."""
    reach = float(stats.t.ppf(1 - alpha, len(differences) - 1) * stats.sem(differences))
    mean = float(differences.mean())
    return mean - reach, mean + reach
