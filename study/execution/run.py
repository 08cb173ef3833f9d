"""One run of Tune: from the foreman's first job to the last."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import tune

from hpgan_core.windows import MotionData
from study.errors import StudyError
from study.execution.adapter import Adapter, Foreman, Scheduler
from study.execution.cluster import Resources, Slots, is_gone
from study.execution.worker import Train, work
from study.job import train_job

MOST_PENDING = 10**6


def run(
    foreman: Foreman,
    data: MotionData,
    resources: Resources,
    scratch: Path,
    train: Train = train_job,
    tell: Callable[[str], None] = print,
) -> None:
    """Train what the foreman asks for, in parallel, until there is no more and all is trained.

    Args:
        foreman: decides.
        data: what all jobs train on.
        resources: what each of them occupies; they are waited for where no node has it.
        scratch: a folder for Tune, which is removed in the end; on a cluster, one that all machines share.
        train: what a training process does with a job; importable, or defined where the driver was started.
        tell: is told when no node is left that could train.

    Raises:
        StudyError: a trial cannot write to its folder, or Ray is gone.
        Exception: whatever the foreman raised; Tune is brought down first.
    """
    # How many may wait for a process is the adapter's business.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(MOST_PENDING)
    adapter = Adapter(foreman, Slots(resources, tell))
    trainable = tune.with_resources(
        tune.with_parameters(work, data=data, train=train, gpus=resources.gpus),
        {"cpu": resources.cpus, "gpu": resources.gpus},
    )
    while not (adapter.is_done or adapter.broken):
        try:
            # A process that has used a GPU holds memory there as long as it lives.
            _fit(trainable, adapter, scratch, reuse_actors=resources.gpus == 0)
        except Exception as error:
            if is_gone():
                # No trial's fault: those in training stay open.
                raise StudyError("Ray is gone, or another Ray is in its place") from error
            if not adapter.start_again(error):
                raise StudyError(f"Ray Tune failed with no trial in training: {error}") from error
    if adapter.broken is not None:
        raise adapter.broken


def _fit(trainable: Any, adapter: Adapter, scratch: Path, *, reuse_actors: bool) -> None:
    """One life of Tune, until the adapter has nothing to suggest."""
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=adapter,
            scheduler=Scheduler(adapter),
            num_samples=-1,
            reuse_actors=reuse_actors,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(scratch.resolve()),
            verbose=0,
            # Tune would try anything again; what is tried again is decided by its cause.
            failure_config=tune.FailureConfig(max_failures=0),
        ),
    )
    try:
        tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
