"""Claims to words: is the candidate no worse than the reference by more than the margin?

Paired by seed, on the logarithm of a metric's badness, so that a difference is a ratio; see ``docs/structure.md`` for
the words.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hpgan_core.losses import LOSSES
from hpgan_core.metrics import METRICS
from study.stats import one_sided_bounds
from study.study_file import Claim, StudyFile

MIN_SEEDS, FEW_SEEDS = 3, 5
# No metric means anything below this; it keeps the logarithm of a perfect 0 finite.
LEAST = 1e-9
# Metrics that are means of logarithms already.
LOGARITHMS = frozenset({"score"})

Word = Literal["superior", "non-inferior", "inferior", "inconclusive", "gate failed"]
# The verdict of a claim is the first of these that any of its metrics has: all must pass (intersection-union).
WORST_FIRST: tuple[Word, ...] = ("gate failed", "inferior", "inconclusive", "non-inferior", "superior")


@dataclass(frozen=True)
class MetricVerdict:
    """One metric of a claim. Numbers are differences of log badness, candidate minus reference: 0.1 is 10 % worse.

    Attributes:
        word: the verdict.
        difference: mean over seeds.
        bound: upper one-sided bound of it.
        margin: what the bound must stay under; NaN when the gate failed.
        n_seeds: pairs of seeds that both arms finished.
        favour: ``favoured`` when only the candidate trains on this metric, ``conservative`` when only the reference
            does.
    """

    metric: str
    word: Word
    difference: float
    bound: float
    margin: float
    n_seeds: int
    favour: str | None


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim with the verdict of each of its metrics, and the one that follows."""

    claim: str
    candidate: str
    reference: str
    gate: str
    word: Word
    metrics: tuple[MetricVerdict, ...]
    warning: str | None


def judge(study_file: StudyFile, members: Mapping[str, Mapping[str, tuple[float, ...]]]) -> list[ClaimVerdict]:
    """The verdict on every claim whose three arms have been confirmed.

    Args:
        study_file: the claims.
        members: for each confirmed arm and metric on the test split one value a seed, in the same order of seeds.
    """
    verdicts = []
    for claim in study_file.claims:
        candidate, reference, gate = claim.candidate, study_file.reference_of(claim), study_file.gate_of(claim)
        assert reference is not None
        assert gate is not None
        if {candidate, reference, gate} <= members.keys():
            judged = tuple(_judge_metric(study_file, claim, metric, members) for metric in claim.metrics)
            words = [verdict.word for verdict in judged]
            word = next(word for word in WORST_FIRST if word in words)
            n_seeds = min(verdict.n_seeds for verdict in judged)
            warning = (
                f"only {n_seeds} seeds: the interval is wide and its coverage uncertain"
                if n_seeds < FEW_SEEDS
                else None
            )
            verdicts.append(ClaimVerdict(claim.name, candidate, reference, gate, word, judged, warning))
    return verdicts


def _judge_metric(
    study_file: StudyFile, claim: Claim, metric: str, members: Mapping[str, Mapping[str, tuple[float, ...]]]
) -> MetricVerdict:
    reference_arm, gate_arm = study_file.reference_of(claim), study_file.gate_of(claim)
    assert reference_arm is not None
    assert gate_arm is not None
    candidate, reference, gate = (
        np.array([badness(metric, value) for value in members[arm][f"test/{metric}"]])
        for arm in (claim.candidate, reference_arm, gate_arm)
    )
    difference, gate_effect = _finite(candidate - reference), _finite(gate - reference)
    n_seeds = len(difference)
    favour = _favour(study_file.arms[claim.candidate], study_file.arms[reference_arm], metric)
    if min(n_seeds, len(gate_effect)) < MIN_SEEDS:
        return MetricVerdict(metric, "inconclusive", math.nan, math.nan, math.nan, n_seeds, favour)
    lower, upper = one_sided_bounds(difference, claim.alpha)
    effect, _ = one_sided_bounds(gate_effect, claim.alpha)
    if effect <= 0:
        return MetricVerdict(metric, "gate failed", float(difference.mean()), upper, math.nan, n_seeds, favour)
    margin = (1 - claim.keep) * effect
    word: Word = (
        "superior"
        if upper < 0
        else "non-inferior"
        if upper < margin
        else "inferior"
        if lower > margin
        else "inconclusive"
    )
    return MetricVerdict(metric, word, float(difference.mean()), upper, margin, n_seeds, favour)


def _finite(differences: np.ndarray) -> np.ndarray:
    """Differences of the seeds that both arms finished."""
    return np.asarray(differences[np.isfinite(differences)])


def badness(metric: str, value: float) -> float:
    """A metric on a log scale on which more is worse; distance from 1 for a metric whose best value is 1."""
    if not math.isfinite(value):
        return math.nan
    if metric in LOGARITHMS:
        return value
    logarithm = math.log(max(value, LEAST)) if METRICS[metric].goal != "maximize" else -math.log(max(value, LEAST))
    return abs(logarithm) if METRICS[metric].goal == "one" else logarithm


def _favour(candidate: tuple[str, ...], reference: tuple[str, ...], metric: str) -> str | None:
    """Whose losses train on this very metric."""
    trained = [any(metric in LOSSES[loss].trains_on for loss in losses) for losses in (candidate, reference)]
    if trained[0] == trained[1]:
        return None
    return "favoured" if trained[0] else "conservative"
