"""What runs in a training process."""

import ctypes
import gc
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from hpgan_core.trainable import EpochReport
from hpgan_core.windows import MotionData
from study.execution.failures import NO_SPACE, failure_in_training
from study.execution.kernel import memory_kills
from study.job import Job
from study.log import write_log
from study.paths import TrialPaths
from study.provenance import training_environment

Train = Callable[[Job, MotionData, Callable[[EpochReport], None]], None]


class _Wire:
    """The way to the driver. Tune ends a stopped training by an exit out of its next message."""

    def __init__(self) -> None:
        self.stopped = False

    def send(self, **message: Any) -> None:
        if self.stopped:
            raise SystemExit(0)
        try:
            tune.report(message)
        except SystemExit:
            self.stopped = True
            raise

    def send_report(self, report: EpochReport) -> None:
        self.send(report=_checked(report))


def work(config: dict[str, Any], data: MotionData, train: Train, gpus: float) -> None:
    """The trainable of Tune: train one job, and say so when it fails.

    An exception would fail again and again; it is told, not raised. What dies without a word, Ray tells the driver.
    """
    _give_memory_back()
    job, wire = Job(**config["job"]), _Wire()
    log = TrialPaths(Path(job.folder)).log
    # As a tuple: Tune would flatten a dictionary.
    environment = tuple(training_environment(job.threads, job.gpu).items())
    wire.send(node=ray.get_runtime_context().get_node_id(), memory_kills=memory_kills(), environment=environment)
    try:
        if 0 < gpus < 1 and torch.cuda.is_available():
            torch.cuda.set_per_process_memory_fraction(gpus)
        train(job, data, wire.send_report)
    except (Exception, SystemExit) as error:
        if wire.stopped:
            raise SystemExit(0) from error
        write_log(log, traceback.format_exc().rstrip())
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            wire.send(unwritable=str(error))
            return
        failure = failure_in_training(error)
        wire.send(failure=failure)
        if failure.kind == "out_of_memory":
            # What the allocator holds goes with the process: Tune reuses none that has raised.
            raise


def _give_memory_back() -> None:
    """Free what the trial before has left in this process: populations in reference cycles, and what malloc keeps.

    Each trial runs in a thread of its own, and malloc gives each thread a pool of its own: without this a process
    grows with every trial, to several times what one of them needs.
    """
    gc.collect()
    _spare_imports()
    # Linux's C library has it, others do not.
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


@cache
def _spare_imports() -> None:
    """What is imported stays: no later collection needs to go through it. Once a process."""
    gc.freeze()


def _checked(report: Any) -> EpochReport:
    """``report``, which everything behind it may compute with.

    Raises:
        TypeError, ValueError: it is none, or its means are not finite numbers.
    """
    if not isinstance(report, EpochReport):
        raise TypeError(f"a report must be an EpochReport, found {type(report).__name__}")
    means: dict[str, Any] = report.mean
    for name, value in means.items():
        if not isinstance(value, (int, float)) or not isfinite(value):
            raise ValueError(f"the mean of {name} must be a finite number, found {value!r}")
    return report
