"""What the claims of a study would be able to show, before anything is trained."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from study.comparison import Comparison
from study.errors import BadStudyInput
from study.power import power_of, seeds_needed
from study.study_file import StudyFile
from study.verdict import MetricVerdict

# Margins over the SD of the paired difference, for which power is told while neither is known.
RATIOS = (0.5, 0.75, 1.0, 1.5, 2.0)


@dataclass(frozen=True)
class ClaimPower:
    """Power of one metric of one claim, supposing that there is no true difference.

    Attributes:
        claim, metric: which.
        margin: difference of log badness that may be lost; None where it is a share of an effect that is not known yet.
        sd: of the paired difference of log badness; None where it is not known.
        power: probability that the planned seeds show non-inferiority.
        seeds_needed: pairs of seeds for 80 %; None where no reasonable number does.
        why_none: what keeps ``power`` unknown; None where it is known.
    """

    claim: str
    metric: str
    margin: float | None
    sd: float | None
    power: float | None
    seeds_needed: int | None
    why_none: str | None


@dataclass(frozen=True)
class WholePower:
    """Power of a whole claim, all of whose metrics must pass: its bounds, whatever their noise has in common.

    Attributes:
        claim: which.
        least: if they fail on different studies.
        most: if they fail together: that of the weakest.
    """

    claim: str
    least: float
    most: float


@dataclass(frozen=True)
class PlannedPower:
    """Power of a whole plan.

    Attributes:
        seeds: pairs that the confirm phase trains.
        level: error probability of each claim in Holm's hardest step: the least alpha over the number of claims.
        claims: one for each metric of each claim.
        by_ratio: margin over SD, power with the planned seeds, seeds for 80 %.
        wholes: the claims of which the power of every metric is known. A guardrail can only take from it.
    """

    seeds: int
    level: float
    claims: tuple[ClaimPower, ...]
    by_ratio: tuple[tuple[float, float, int | None], ...]
    wholes: tuple[WholePower, ...]


def planned_power(study_file: StudyFile, sd: float | None, pilot: Comparison | None) -> PlannedPower | None:
    """Power of every claim as planned; None for a study that makes none.

    Args:
        study_file: the plan.
        sd: of the paired differences of log badness, for all metrics.
        pilot: a confirmed study that made the same claims: SD, and a margin that is a share, are taken from it.

    Raises:
        BadStudyInput: the pilot has decided none of the claims.
    """
    if not study_file.claims or study_file.confirm is None:
        return None
    seeds = study_file.confirm.members
    level = min(claim.alpha for claim in study_file.claims) / len(study_file.claims)
    claims = tuple(_powers(study_file, seeds, level, sd, pilot))
    if pilot is not None and not any(one.power is not None for one in claims):
        reasons = "; ".join(dict.fromkeys(one.why_none for one in claims if one.why_none))
        raise BadStudyInput(
            f"--pilot {pilot.study}: it gives no margin and SD for any claim of this study ({reasons}); name one that "
            "confirmed the same claims"
        )
    by_ratio = tuple((ratio, power_of(seeds, ratio, level), seeds_needed(ratio, level)) for ratio in RATIOS)
    return PlannedPower(seeds, level, claims, by_ratio, tuple(_wholes(claims)))


def _wholes(claims: tuple[ClaimPower, ...]) -> Iterator[WholePower]:
    for name, own in itertools.groupby(claims, lambda one: one.claim):
        powers = [one.power for one in own]
        known = [power for power in powers if power is not None]
        if len(known) == len(powers):
            yield WholePower(name, max(0.0, 1 - sum(1 - power for power in known)), min(known))


def _powers(
    study_file: StudyFile, seeds: int, level: float, sd: float | None, pilot: Comparison | None
) -> Iterator[ClaimPower]:
    measured = {(claim.claim, one.metric): one for claim in (pilot.claims if pilot else ()) for one in claim.metrics}
    for claim in study_file.claims:
        for metric in claim.metrics:
            before = measured.get((claim.name, metric))
            margin = claim.margin if claim.margin is not None else _known(before.margin if before else None)
            spread = sd if sd is not None else _known(before.sd if before else None)
            ratio = margin / spread if margin is not None and spread else None
            yield ClaimPower(
                claim.name,
                metric,
                margin,
                spread,
                None if ratio is None else power_of(seeds, ratio, level),
                None if ratio is None else seeds_needed(ratio, level),
                _why_none(margin, spread, before, pilot),
            )


def _why_none(
    margin: float | None, spread: float | None, before: MetricVerdict | None, pilot: Comparison | None
) -> str | None:
    """What is missing for a power, in a few words."""
    if margin is not None and spread is not None:
        return None
    if pilot is None:
        return "no SD" if margin is not None else "its margin is a share of a gain that only a pilot can tell"
    if before is None:
        return f"{pilot.study} has no verdict on it"
    if margin is None and before.effect_lower <= 0:
        return f"its gate failed in {pilot.study}: no gain, no margin"
    return f"too few pairs of seeds in {pilot.study}"


def _known(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
