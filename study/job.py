"""One trial as a worker process sees it: a configuration, seeds, a folder."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from hpgan_core.config import TrainingConfig
from hpgan_core.memory import measure_members_that_fit
from hpgan_core.trainable import EpochReport, configure_torch, train, write_motions
from hpgan_core.windows import MotionData
from study.log import write_log
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
        stop_file: training ends with the next epoch, and a checkpoint, once there is such a file.
        threads: processor threads of the training process.
        gpu: whether it trains on a GPU, where it finds one.
        halvings: how often it has run out of memory; each time half as many members train at once.
    """

    key: str
    settings: dict[str, Any]
    seeds: tuple[int, ...]
    folder: str
    test: bool
    stop_file: str | None = None
    threads: int = 1
    gpu: bool = False
    halvings: int = 0


def train_job(job: Job, data: MotionData, report: Callable[[EpochReport], None]) -> None:
    """Train, resuming from the job's own folder, and keep the newest predicted motions there for the pictures.

    Reports go on without the motions: they are for the record, not for the wire.
    """
    configure_torch(job.threads)
    paths = TrialPaths(Path(job.folder))

    def stop() -> bool:
        return job.stop_file is not None and Path(job.stop_file).exists()

    def keep_motions_and_report(epoch_report: EpochReport) -> None:
        if epoch_report.motions is not None:
            write_motions(paths.motions, epoch_report.motions)
            write_log(
                paths.log, f"epoch {epoch_report.epoch} of {job.settings['epochs']}, {epoch_report.seconds:.3g} s"
            )
        report(replace(epoch_report, motions=None))

    if stop():
        return
    device = "cuda" if job.gpu and torch.cuda.is_available() else "cpu"
    at_once = members_at_once(job, data, device)
    write_log(
        paths.log,
        f"training {at_once} of {len(job.seeds)} members at a time on {socket.gethostname()}, process {os.getpid()}, "
        f"{device}, {job.threads} threads",
    )
    trained = train(
        job.settings,
        data,
        job.seeds,
        keep_motions_and_report,
        paths.checkpoints,
        test=job.test,
        device=device,
        members_at_once=at_once,
        stop=stop,
    )
    write_log(paths.log, f"ended after epoch {trained.epochs_done}")


def members_at_once(job: Job, data: MotionData, device: str) -> int:
    """How many members of a job train together: all of them, or what fits on its GPU; fewer after it ran out of memory.

    Raises:
        MemoryError: it has run out with a single one.
    """
    at_once = len(job.seeds)
    if device != "cpu" and at_once > 1:
        config = TrainingConfig.from_mapping(job.settings)
        at_once = min(at_once, measure_members_that_fit(config, data, device))
    at_once >>= job.halvings
    if at_once == 0:
        raise MemoryError("not even one member at a time fits into the memory there is")
    return at_once
