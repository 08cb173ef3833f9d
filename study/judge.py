"""From the members of confirmed arms to verdicts: paired tests against a margin, corrected over the study's claims."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hpgan_core.losses import LOSSES
from study.power import FEW_SEEDS, MIN_SEEDS, seeds_to_decide
from study.sentences import pairs_of_seeds
from study.stats import (
    UNKNOWN,
    Estimate,
    bootstrap_upper_bound,
    holm,
    interquartile_mean_difference,
    one_sided_bounds,
    probability_of_improvement,
    share_interval,
    sign_flip_test_below,
    t_test_below,
)
from study.study_file import Claim, StudyFile
from study.verdict import (
    HOLDS,
    WORST_FIRST,
    ClaimVerdict,
    GuardrailVerdict,
    MetricVerdict,
    Word,
    badness,
)

Members = Mapping[str, Mapping[str, tuple[float, ...]]]
# Of the generator of each bootstrap and permutation: the same members give the same numbers.
RESAMPLING_SEED = 0


def judge(study_file: StudyFile, members: Members, diverged: Mapping[str, tuple[int, int]]) -> list[ClaimVerdict]:
    """The verdict on every claim whose three arms have been confirmed.

    Args:
        study_file: the claims.
        members: for each confirmed arm and metric on the test split one value a seed, in the same order of seeds; NaN
            for one that diverged or is not there.
        diverged: for each of these arms how many members diverged, of how many.
    """
    waiting = [claim for claim in study_file.claims if lacking(study_file, claim, members)]
    cases = [_Case(study_file, claim, members) for claim in study_file.claims if claim not in waiting]
    # The family is that of the plan: a claim that waits for its arms counts like one that fails.
    alphas = [claim.alpha for claim in (*(case.claim for case in cases), *waiting)]
    kept = holm([case.p for case in cases] + [1.0] * len(waiting), alphas)
    better = holm([case.p_superior for case in cases] + [1.0] * len(waiting), alphas)
    return [
        case.verdict(adjusted, level, superior_level, diverged)
        for case, adjusted, level, superior_level in zip(cases, kept.adjusted, kept.levels, better.levels, strict=False)
    ]


def arms_of(study_file: StudyFile, claim: Claim) -> tuple[str, str, str]:
    """Candidate, reference and gate of a claim that has been checked."""
    reference, gate = study_file.reference_of(claim), study_file.gate_of(claim)
    assert reference is not None
    assert gate is not None
    return claim.candidate, reference, gate


def lacking(study_file: StudyFile, claim: Claim, members: Members) -> list[str]:
    """Arms that must be confirmed before the claim can be judged."""
    return [arm for arm in arms_of(study_file, claim) if arm not in members]


@dataclass(frozen=True)
class _Paired:
    """Log badness of two arms, one a seed, NaN where missing, and what the difference is to stay under.

    A NaN margin, or fewer than three pairs, decide nothing.
    """

    candidate: np.ndarray
    reference: np.ndarray
    margin: float

    @cached_property
    def is_pair(self) -> np.ndarray:
        return np.asarray(np.isfinite(self.candidate - self.reference))

    @cached_property
    def differences(self) -> np.ndarray:
        return np.asarray((self.candidate - self.reference)[self.is_pair])

    @property
    def enough(self) -> bool:
        return len(self.differences) >= MIN_SEEDS

    @property
    def decides(self) -> bool:
        return self.enough and not math.isnan(self.margin)

    def p(self, margin: float) -> float:
        return t_test_below(self.differences, margin) if self.decides else 1.0

    def bounds(self, level: float) -> tuple[float, float]:
        return one_sided_bounds(self.differences, level) if self.enough else (math.nan, math.nan)

    def word(self, level: float, superior_level: float) -> Word:
        lower, upper = self.bounds(level)
        if not self.decides:
            return "inconclusive"
        if self.bounds(superior_level)[1] < 0:
            return "superior"
        return "non-inferior" if upper < self.margin else "inferior" if lower > self.margin else "inconclusive"

    def seeds_needed(self, level: float) -> int | None:
        """Only where the word is inconclusive."""
        if not self.decides:
            return None
        mean, sd = float(self.differences.mean()), float(self.differences.std(ddof=1))
        return seeds_to_decide(len(self.differences), mean, self.margin, sd, level)


class _Metric:
    """One metric of a claim: what the seeds say, before any level."""

    def __init__(
        self,
        claim: Claim,
        metric: str,
        favour: str | None,
        candidate: np.ndarray,
        reference: np.ndarray,
        gate: np.ndarray,
    ) -> None:
        self.metric, self.favour = metric, favour
        gained = (gate - reference)[np.isfinite(gate - reference)]
        known = len(gained) >= MIN_SEEDS
        self.effect = float(gained.mean()) if known else math.nan
        self.effect_lower = one_sided_bounds(gained, claim.alpha)[0] if known else math.nan
        self.gate_failed = self.effect_lower <= 0
        margin = claim.margin if claim.keep is None else (1 - claim.keep) * self.effect_lower
        assert margin is not None
        self.paired = _Paired(candidate, reference, margin if self.effect_lower > 0 else math.nan)

    def verdict(self, level: float, superior_level: float) -> MetricVerdict:
        paired, differences = self.paired, self.paired.differences
        word: Word = paired.word(level, superior_level)
        if self.gate_failed and paired.enough:
            word = "gate failed"
        lower, upper = paired.bounds(level)
        pairs = paired.candidate[paired.is_pair], paired.reference[paired.is_pair]
        return MetricVerdict(
            metric=self.metric,
            word=word,
            difference=float(differences.mean()) if paired.enough else math.nan,
            bound=upper,
            margin=paired.margin,
            n_seeds=len(differences),
            favour=self.favour,
            lower=lower,
            effect=self.effect,
            effect_lower=self.effect_lower,
            n_missing=len(paired.is_pair) - len(differences),
            sd=float(differences.std(ddof=1)) if paired.enough else math.nan,
            p=paired.p(paired.margin) if paired.decides else math.nan,
            p_superior=paired.p(0.0) if paired.decides else math.nan,
            p_permutation=sign_flip_test_below(differences, paired.margin, _generator())
            if paired.decides
            else math.nan,
            bootstrap_bound=bootstrap_upper_bound(differences, level, _generator()) if paired.enough else math.nan,
            seeds_needed=paired.seeds_needed(level) if word == "inconclusive" else None,
            interquartile_difference=interquartile_mean_difference(*pairs, _generator()) if paired.enough else UNKNOWN,
            improvement=probability_of_improvement(*pairs) if paired.enough else UNKNOWN,
            differences=tuple(float(value) for value in paired.candidate - paired.reference),
        )


class _Case:
    """A claim with what the members of its arms say, before any level."""

    def __init__(self, study_file: StudyFile, claim: Claim, members: Members) -> None:
        self.claim, self.members = claim, members
        self.candidate, self.reference, self.gate = arms_of(study_file, claim)
        self.metrics = [
            _Metric(
                claim,
                metric,
                _favour(study_file.arms[self.candidate], study_file.arms[self.reference], metric),
                *(self._badness(arm, metric) for arm in (self.candidate, self.reference, self.gate)),
            )
            for metric in claim.metrics
        ]
        least = claim.guardrails.diversity
        self.diversity = None if least is None else _Paired(*self._diversities(), margin=-math.log(least))

    def _badness(self, arm: str, metric: str) -> np.ndarray:
        return np.array([badness(metric, value) for value in self.members[arm][f"test/{metric}"]])

    def _diversities(self) -> tuple[np.ndarray, np.ndarray]:
        return self._badness(self.candidate, "apd"), self._badness(self.reference, "apd")

    @property
    def p(self) -> float:
        """That all must pass is tested by the greatest p (intersection-union)."""
        diversity = [self.diversity.p(self.diversity.margin)] if self.diversity else []
        return max([metric.paired.p(metric.paired.margin) for metric in self.metrics] + diversity)

    @property
    def p_superior(self) -> float:
        return max(metric.paired.p(0.0) for metric in self.metrics)

    def verdict(
        self, adjusted: float, level: float, superior_level: float, diverged: Mapping[str, tuple[int, int]]
    ) -> ClaimVerdict:
        metrics = tuple(metric.verdict(level, superior_level) for metric in self.metrics)
        guardrails = tuple(self._guardrails(level, *diverged[self.candidate]))
        # A guardrail that holds makes nothing better.
        words = [one.word for one in metrics] + [one.word for one in guardrails if one.word not in HOLDS]
        open_ones = [one.seeds_needed for one in metrics if one.word == "inconclusive"]
        open_ones += [one.seeds_needed for one in guardrails if one.word == "inconclusive"]
        known = [number for number in open_ones if number is not None]
        word = next(word for word in WORST_FIRST if word in words)
        return ClaimVerdict(
            claim=self.claim.name,
            candidate=self.candidate,
            reference=self.reference,
            gate=self.gate,
            word=word,
            metrics=metrics,
            warning=_warning(metrics),
            guardrails=guardrails,
            keep=self.claim.keep,
            margin=self.claim.margin,
            alpha=self.claim.alpha,
            level=level,
            p=self.p,
            p_adjusted=adjusted,
            seeds_needed=max(known) if word == "inconclusive" and known and len(known) == len(open_ones) else None,
        )

    def _guardrails(self, level: float, n_diverged: int, n_trained: int) -> Iterator[GuardrailVerdict]:
        limits = self.claim.guardrails
        if (paired := self.diversity) is not None and limits.diversity is not None:
            lower, upper = paired.bounds(level)
            mean = float(paired.differences.mean()) if paired.enough else math.nan
            word = paired.word(level, superior_level=level)
            word = "non-inferior" if word == "superior" else word
            share = Estimate(math.exp(-mean), math.exp(-upper), math.exp(-lower))
            needed = paired.seeds_needed(level) if word == "inconclusive" else None
            yield GuardrailVerdict(
                "diversity",
                word,
                share,
                limits.diversity,
                paired.p(paired.margin) if paired.decides else math.nan,
                needed,
            )
        if limits.diverged is not None:
            share = share_interval(n_diverged, n_trained)
            # Ten seeds without a divergence leave up to 28 % possible: what is counted decides.
            word = "inferior" if share.low > limits.diverged else "inconclusive"
            if share.value <= limits.diverged or n_trained < MIN_SEEDS:
                word = "non-inferior" if n_trained >= MIN_SEEDS else "inconclusive"
            yield GuardrailVerdict("diverged", word, share, limits.diverged, math.nan, None)


def _generator() -> np.random.Generator:
    return np.random.default_rng(RESAMPLING_SEED)


def _warning(metrics: tuple[MetricVerdict, ...]) -> str | None:
    n_seeds = min(metric.n_seeds for metric in metrics)
    if n_seeds < MIN_SEEDS:
        return f"only {pairs_of_seeds(n_seeds)}, too few for an interval"
    return f"only {n_seeds} seeds: the interval is wide and its coverage uncertain" if n_seeds < FEW_SEEDS else None


def _favour(candidate: tuple[str, ...], reference: tuple[str, ...], metric: str) -> str | None:
    """Whose losses train on this very metric."""
    trained = [any(metric in LOSSES[loss].trains_on for loss in losses) for losses in (candidate, reference)]
    if trained[0] == trained[1]:
        return None
    return "favoured" if trained[0] else "conservative"
