"""A training that does nothing but report, for a process that has loaded what a real one loads."""

import time
from collections.abc import Callable

from hpgan_core.data.synthetic import synthesise
from hpgan_core.trainable import EpochReport
from hpgan_core.windows import MotionData, build_motion_data
from study.job import Job


def small_motion() -> MotionData:
    """Enough for a study to be made; nobody trains on it."""
    return build_motion_data(synthesise(people=5, clips_per_action=1, frames=44))


def score(gt_weight: float, epoch: int) -> float:
    return gt_weight + 1 / epoch


def train_nothing(job: Job, data: MotionData, report: Callable[[EpochReport], None]) -> None:
    """Report every epoch of a job at once."""
    for epoch in range(1, job.settings["epochs"] + 1):
        value = score(job.settings["gt_weight"], epoch)
        report(EpochReport.summarise(epoch, [{"val/score": value} for _ in job.seeds], seconds=0.0))


def train_for_a_second(job: Job, data: MotionData, report: Callable[[EpochReport], None]) -> None:
    """Take a second, whatever the epochs, and report once."""
    time.sleep(1.0)
    train_nothing(job, data, report)


def train_at_a_pace(job: Job, data: MotionData, report: Callable[[EpochReport], None]) -> None:
    """Report five times a second."""

    def report_in_time(epoch: EpochReport) -> None:
        time.sleep(0.2)
        report(epoch)

    train_nothing(job, data, report_in_time)
