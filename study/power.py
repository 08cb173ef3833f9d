"""How many seeds a claim needs, before a study and after an inconclusive one."""

import math

MIN_SEEDS, FEW_SEEDS = 3, 5
# Beyond it nobody trains: the margin is too narrow for this noise.
MOST_SEEDS = 10_000
POWER = 0.8


def power_of(n_seeds: int, margin_in_sds: float, alpha: float) -> float:
    """Probability that a paired one-sided t test shows non-inferiority where there is no difference at all.

    Args:
        n_seeds: pairs.
        margin_in_sds: margin over the SD of the paired difference.
        alpha: error probability of the test.
    """
    from scipy.stats import nct, t

    return float(nct.sf(t.ppf(1 - alpha, n_seeds - 1), n_seeds - 1, margin_in_sds * math.sqrt(n_seeds)))


def seeds_needed(margin_in_sds: float, alpha: float, power: float = POWER) -> int | None:
    """Pairs of seeds with which ``power_of`` reaches ``power``, never less than three; None where no number does.

    The true difference is taken to be none: power at the one observed says no more than the p value does.
    """
    if not margin_in_sds > 0:
        return None
    low = high = MIN_SEEDS
    while power_of(high, margin_in_sds, alpha) < power:
        low, high = high, 2 * high
        if low > MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle, margin_in_sds, alpha) >= power else (middle, high)
    return high


def seeds_to_decide(n_seeds: int, difference: float, margin: float, sd: float, alpha: float) -> int | None:
    """Pairs of seeds that would decide what ``n_seeds`` have left open; None where no reasonable number does.

    Those that show a true difference of zero to be inside the margin. Where there are as many already, it is no noise
    that keeps the difference near the margin: then those that tell it from the margin if it stays as it is.
    """
    if sd == 0:
        # The difference lies on the margin itself, without noise: more of the same say no more.
        return None
    planned = seeds_needed(margin / sd, alpha)
    return planned if planned is None or planned > n_seeds else seeds_needed(abs(margin - difference) / sd, alpha)
