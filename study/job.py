"""One trial as a worker process sees it: a configuration, seeds, a folder."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from hpgan_core.trainable import EpochReport, configure_torch, train, write_motions
from hpgan_core.windows import MotionData
from study.paths import TrialPaths


@dataclass(frozen=True)
class Job:
    """One trial to train.

    Attributes:
        key: ``ARM/TRIAL``.
        settings: for ``TrainingConfig.from_mapping``.
        seeds: one member each.
        folder: the trial's folder, on a file system that workers share with the driver.
        test: whether the test split is opened after the last epoch.
        threads: processor threads of the training process.
        gpu: whether it trains on a GPU, where it finds one.
    """

    key: str
    settings: dict[str, Any]
    seeds: tuple[int, ...]
    folder: str
    test: bool
    threads: int = 1
    gpu: bool = False


def train_job(job: Job, data: MotionData, report: Callable[[EpochReport], None]) -> None:
    """Train, resuming from the job's own folder, and keep the newest predicted motions there for the pictures.

    Reports go on without the motions: they are for the record, not for the wire.
    """
    configure_torch(job.threads)
    paths = TrialPaths(Path(job.folder))

    def keep_motions_and_report(epoch_report: EpochReport) -> None:
        if epoch_report.motions is not None:
            write_motions(paths.motions, epoch_report.motions)
        report(replace(epoch_report, motions=None))

    device = "cuda" if job.gpu and torch.cuda.is_available() else "cpu"
    train(job.settings, data, job.seeds, keep_motions_and_report, paths.checkpoints, test=job.test, device=device)
