"""A training that does nothing but report, for a process that has loaded what a real one loads."""

import time
from collections.abc import Callable
from pathlib import Path

import torch

from hpgan_core.checkpoint import write_checkpoint
from hpgan_core.data.synthetic import synthesise
from hpgan_core.trainable import EpochReport
from hpgan_core.windows import MotionData, build_motion_data
from study.job import Job
from study.paths import TrialPaths


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


def train_at_a_pace(
    job: Job, data: MotionData, report: Callable[[EpochReport], None], seconds: float, checkpoint_mb: int
) -> None:
    """Report every so many seconds, after a checkpoint of that size."""
    content = {"weights": torch.zeros(checkpoint_mb * 10**6, dtype=torch.uint8)}

    def report_in_time(epoch: EpochReport) -> None:
        time.sleep(seconds)
        if checkpoint_mb:
            write_checkpoint(TrialPaths(Path(job.folder)).checkpoints, epoch.epoch, content)
        report(epoch)

    train_nothing(job, data, report_in_time)
