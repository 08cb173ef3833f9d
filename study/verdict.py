"""The words of a verdict, and the numbers that stand beside them.

Differences are paired by seed, on the logarithm of a metric's badness, so that a difference is a ratio; see
``docs/structure.md`` for the words and ``study.judge`` for how they are found.
"""

import math
from dataclasses import dataclass
from typing import Literal

from hpgan_core.metrics import METRICS
from study.stats import Estimate

# No metric means anything below this; it keeps the logarithm of a perfect 0 finite.
LEAST = 1e-9
# Metrics that are means of logarithms already.
LOGARITHMS = frozenset({"score"})

Word = Literal["superior", "non-inferior", "inferior", "inconclusive", "gate failed"]
# The verdict of a claim is the first of these that any of its metrics and guardrails has: all must pass
# (intersection-union).
WORST_FIRST: tuple[Word, ...] = ("gate failed", "inferior", "inconclusive", "non-inferior", "superior")
# What a claim asks for.
HOLDS = frozenset[Word]({"superior", "non-inferior"})


@dataclass(frozen=True)
class MetricVerdict:
    """One metric of a claim. Numbers are differences of log badness, candidate minus reference: 0.1 is 10 % worse.

    Bounds are one-sided, each wrong with the probability ``ClaimVerdict.level``; the upper one decides. Everything from
    ``p`` on stands beside it. A number that the seeds do not give is NaN.

    Attributes:
        word: the verdict.
        difference: mean over seeds.
        bound: upper bound of it, by Student's t.
        margin: what the bound must stay under; NaN when the gate failed.
        n_seeds: pairs of seeds that both arms finished.
        favour: ``favoured`` when only the candidate trains on this metric, ``conservative`` when only the reference
            does.
        lower: lower bound.
        effect: what the reference gains over the gate; its mean and the lower bound that the gate is about.
        n_missing: pairs of seeds of which a member diverged or is not there.
        sd: standard deviation of the paired differences.
        p: of the t test that the difference reaches the margin, uncorrected.
        p_superior: of the t test that the difference reaches zero, uncorrected.
        p_permutation: as ``p``, by flipping signs: exact for any symmetric distribution.
        bootstrap_bound: as ``bound``, by the BCa bootstrap: too near with few seeds.
        seeds_needed: pairs of seeds that would decide what is inconclusive; see ``study.power``.
        interquartile_difference: difference of the interquartile means, with its 95 % interval.
        improvement: probability that a run of the candidate beats one of the reference, with its 95 % interval.
        differences: one a seed, NaN where the pair is missing.
    """

    metric: str
    word: Word
    difference: float
    bound: float
    margin: float
    n_seeds: int
    favour: str | None
    lower: float
    effect: float
    effect_lower: float
    n_missing: int
    sd: float
    p: float
    p_superior: float
    p_permutation: float
    bootstrap_bound: float
    seeds_needed: int | None
    interquartile_difference: Estimate
    improvement: Estimate
    differences: tuple[float, ...]


@dataclass(frozen=True)
class GuardrailVerdict:
    """What a candidate must not give up, whatever its metrics say.

    Attributes:
        guardrail: ``diversity``, the candidate's APD as a share of the reference's, or ``diverged``, the share of its
            members that did.
        word: ``non-inferior`` when kept, ``inferior`` when broken, ``inconclusive`` when these seeds cannot tell.
        share: with bounds as the metrics' for the diversity, with Wilson's 95 % interval for what diverged.
        limit: the least diversity, or the greatest share of diverged members.
        p: of the t test that the diversity is at its limit, uncorrected; NaN for diverged members, which are counted
            and not tested.
        seeds_needed: as a metric's, of the diversity.
    """

    guardrail: Literal["diversity", "diverged"]
    word: Word
    share: Estimate
    limit: float
    p: float
    seeds_needed: int | None


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim with the verdict of each of its metrics, and the one that follows.

    Attributes:
        keep, margin: as in the study file; one of them is None.
        alpha: error probability that the claim asks for.
        level: what Holm's correction over the claims of the study leaves of it for each bound.
        p: the greatest of its metrics and its diversity, 1 where the gate failed or seeds are too few.
        p_adjusted: by Holm; the claim holds when it does not exceed ``alpha``, and diverged members do not forbid it.
        seeds_needed: pairs of seeds that would decide all that is inconclusive; None where nothing is, or no number
            would.
    """

    claim: str
    candidate: str
    reference: str
    gate: str
    word: Word
    metrics: tuple[MetricVerdict, ...]
    warning: str | None
    guardrails: tuple[GuardrailVerdict, ...]
    keep: float | None
    margin: float | None
    alpha: float
    level: float
    p: float
    p_adjusted: float
    seeds_needed: int | None

    @property
    def holds(self) -> bool:
        """Whether the candidate can replace the reference, by what the claim asks for."""
        return self.word in HOLDS


def badness(metric: str, value: float) -> float:
    """A metric on a log scale on which more is worse; distance from 1 for a metric whose best value is 1."""
    logarithm = log_value(metric, value)
    if metric in LOGARITHMS:
        return logarithm
    goal = METRICS[metric].goal
    return abs(logarithm) if goal == "one" else -logarithm if goal == "maximize" else logarithm


def log_value(metric: str, value: float) -> float:
    """A metric itself on a log scale, whether more of it is better or worse."""
    if not math.isfinite(value):
        return math.nan
    return value if metric in LOGARITHMS else math.log(max(value, LEAST))
