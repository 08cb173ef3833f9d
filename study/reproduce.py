"""Train a recorded trial again and hold every number against the record."""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hpgan_core.trainable import EpochReport
from hpgan_core.windows import MotionData
from study.job import Job, train_job
from study.record import Trial
from study.study_file import Resources


@dataclass(frozen=True)
class Reproduction:
    """What came out.

    Attributes:
        trial: ``ARM/TRIAL``.
        epochs: how many were compared.
        values: how many numbers were compared: every metric of every member in every epoch.
        first_difference: None when all are bit-identical.
    """

    trial: str
    epochs: int
    values: int
    first_difference: str | None

    @property
    def identical(self) -> bool:
        return self.first_difference is None


class _Enough(Exception):
    """All recorded epochs have been trained again; a pruned trial has fewer than its configuration says."""


def reproduce(
    trial: Trial, data: MotionData, resources: Resources, progress: Callable[[int, int], None]
) -> Reproduction:
    """Train ``trial`` again from its recorded configuration and seeds, and compare every recorded epoch bit for bit.

    Args:
        trial: a trial with at least one epoch.
        data: the data of the study; the caller has checked its digest.
        resources: as when it was recorded.
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
            train_job(job, data, take)
    difference = next(
        (text for before, now in zip(recorded, again, strict=True) if (text := _difference(before, now))), None
    )
    return Reproduction(
        trial.key, len(again), sum(len(values) for epoch in again for values in epoch.values()), difference
    )


def _difference(recorded: dict[str, Any], again: dict[str, list[float]]) -> str | None:
    """The first metric of an epoch that differs. NaN equals NaN: a member that diverged must diverge again."""
    if recorded["members"].keys() != again.keys():
        unmatched = ", ".join(sorted(recorded["members"].keys() ^ again.keys()))
        return f"epoch {recorded['epoch']}: other metrics were recorded: {unmatched}"
    for name, values in again.items():
        for member, (before, now) in enumerate(zip(recorded["members"][name], values, strict=True)):
            if before != now and not (before != before and now != now):
                return f"epoch {recorded['epoch']}, {name}, member {member}: {before!r} recorded, {now!r} now"
    return None
