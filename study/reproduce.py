"""Train a recorded trial again, hold every number against the record, and grade how well they agree."""

import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from hpgan_core.trainable import EpochReport
from hpgan_core.windows import MotionData
from study.job import Job, train_job
from study.record import Trial
from study.sections import Resources
from study.stats import mean_interval

# Rounding in another order, and what a training makes of it. Single precision has seven digits.
RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 1e-4, 1e-6

Grade = Literal["A", "B", "C", "F"]
GRADES: dict[Grade, str] = {
    "A": "bit-identical",
    "B": f"within the tolerance of rounding ({RELATIVE_TOLERANCE:g} of each number)",
    "C": "other numbers, whose mean lies in the interval that the recorded members give",
    "F": "not reproduced",
}


@dataclass(frozen=True)
class Reproduction:
    """What came out.

    Attributes:
        trial: ``ARM/TRIAL``.
        grade: one of ``GRADES``.
        epochs: how many were compared.
        values: how many numbers were compared: every metric of every member in every epoch.
        first_difference: None when all are bit-identical.
    """

    trial: str
    grade: Grade
    epochs: int
    values: int
    first_difference: str | None


class _Enough(Exception):
    """All recorded epochs have been trained again; a pruned trial has fewer than its configuration says."""


def reproduce(
    trial: Trial, data: MotionData, resources: Resources, objective: str, progress: Callable[[int, int], None]
) -> Reproduction:
    """Train ``trial`` again from its recorded configuration and seeds, and compare every recorded epoch.

    Args:
        trial: a trial with at least one epoch.
        data: the data of the study; the caller has checked its digest.
        resources: threads and GPU to train with.
        objective: the metric that decides between grades C and F, in the last epoch.
        progress: called with epochs done and epochs recorded.
    """
    recorded = trial.epochs()
    again: list[dict[str, list[float]]] = []

    def take(report: EpochReport) -> None:
        again.append(report.members)
        progress(len(again), len(recorded))
        if len(again) == len(recorded):
            raise _Enough

    request = trial.request
    with tempfile.TemporaryDirectory(prefix="reproduce-") as folder:
        job = Job(
            trial.key,
            request.settings,
            tuple(request.seeds),
            folder,
            test=request.phase == "confirm",
            threads=resources.cpus_per_trial,
            gpu=resources.gpus_per_trial > 0,
        )
        with suppress(_Enough):
            train_job(job, data if job.test else data.sealed(), take)
    return Reproduction(
        trial.key,
        _grade([epoch["members"] for epoch in recorded], again, objective),
        len(again),
        sum(len(values) for epoch in again for values in epoch.values()),
        next((text for before, now in zip(recorded, again, strict=True) for text in _differences(before, now)), None),
    )


def _grade(recorded: list[dict[str, list[float]]], again: list[dict[str, list[float]]], objective: str) -> Grade:
    if any(before.keys() != now.keys() for before, now in zip(recorded, again, strict=True)):
        return "F"
    pairs = [
        (one, other)
        for before, now in zip(recorded, again, strict=True)
        for name in before
        for one, other in zip(before[name], now[name], strict=True)
    ]
    if all(_same(one, other) for one, other in pairs):
        return "A"
    if all(
        _same(one, other) or math.isclose(one, other, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)
        for one, other in pairs
    ):
        return "B"
    interval, now_mean = mean_interval(recorded[-1][objective]), mean_interval(again[-1][objective]).mean
    # Without an interval, of a single member, this is false.
    return "C" if interval.low <= now_mean <= interval.high else "F"


def _same(one: float, other: float) -> bool:
    """NaN equals NaN: a member that diverged must diverge again."""
    return one == other or (math.isnan(one) and math.isnan(other))


def _differences(recorded: dict[str, Any], again: dict[str, list[float]]) -> Iterator[str]:
    """Every number of an epoch that differs, in words."""
    if recorded["members"].keys() != again.keys():
        unmatched = ", ".join(sorted(recorded["members"].keys() ^ again.keys()))
        yield f"epoch {recorded['epoch']}: other metrics were recorded: {unmatched}"
        return
    for name, values in again.items():
        for member, (before, now) in enumerate(zip(recorded["members"][name], values, strict=True)):
            if not _same(before, now):
                yield f"epoch {recorded['epoch']}, {name}, member {member}: {before!r} recorded, {now!r} now"
