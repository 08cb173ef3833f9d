"""What the claims of a study would be able to show, before anything is trained."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from study.comparison import Comparison
from study.errors import BadStudyInput
from study.power import power_of, seeds_needed
from study.study_file import StudyFile

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
    """

    claim: str
    metric: str
    margin: float | None
    sd: float | None
    power: float | None
    seeds_needed: int | None


@dataclass(frozen=True)
class PlannedPower:
    """Power of a whole plan.

    Attributes:
        seeds: pairs that the confirm phase trains.
        level: error probability of each claim in Holm's hardest step: the least alpha over the number of claims.
        claims: one for each metric of each claim.
        by_ratio: margin over SD, power with the planned seeds, seeds for 80 %.
    """

    seeds: int
    level: float
    claims: tuple[ClaimPower, ...]
    by_ratio: tuple[tuple[float, float, int | None], ...]


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
        raise BadStudyInput(
            f"--pilot {pilot.study}: it has no SD for any claim of this study; name one that confirmed the same claims"
        )
    by_ratio = tuple((ratio, power_of(seeds, ratio, level), seeds_needed(ratio, level)) for ratio in RATIOS)
    return PlannedPower(seeds, level, claims, by_ratio)


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
            )


def _known(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
