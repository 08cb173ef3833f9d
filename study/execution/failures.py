"""Why a training process failed, and whether it is tried again."""

import errno
import re
from collections import Counter
from dataclasses import replace

import torch
from ray.exceptions import RayActorError

from hpgan_core.errors import BadInput
from study.job import Job
from study.record import Failure, FailureKind

# Executions of one trial that may end so, the last one included; what is not here is given up at once.
MAX_ATTEMPTS: dict[FailureKind, int] = {"crashed": 3, "lost_node": 10}
# Not the trial's fault: the study stops, and goes on once there is space again.
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
# How torch words it on a CPU, where it raises no error of its own.
_NO_MEMORY = "can't allocate memory"
_LONGEST_CAUSE = 500
# Faster than Ray's monitor looks, and Ray takes it for a crash.
ENDED_BY_KERNEL = Failure("out_of_memory", "its machine ran out of memory, and the kernel ended the training process")


def failure_in_training(error: BaseException) -> Failure:
    """What an exception out of the training says, as the process itself sees it."""
    text = f"{type(error).__name__}: {_last_line(str(error))}"[:_LONGEST_CAUSE]
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or _NO_MEMORY in text:
        return Failure("out_of_memory", text)
    if isinstance(error, SystemExit):
        return Failure("crashed", f"the training called for an exit, with code {error.code}")
    return Failure("bad_input" if isinstance(error, BadInput) else "bug", text)


def failure_of_process(error: BaseException | None, *, node_is_alive: bool) -> Failure:
    """What is known of a process that ended without a word, from what Ray says about it."""
    if not node_is_alive or "its node has died" in str(error):
        return Failure("lost_node", "the node that trained it is gone")
    if error is not None and killed_for_memory(error):
        return Failure("out_of_memory", "its machine ran out of memory, and Ray ended the training process")
    if error is None or isinstance(error, RayActorError):
        return Failure("crashed", "the training process died: it was killed, or crashed")
    cause = getattr(error, "cause", None)
    while isinstance(cause, BaseException) and cause is not error:
        error, cause = cause, getattr(cause, "cause", None)
    return failure_in_training(error)


def killed_for_memory(error: BaseException) -> set[int]:
    """The processes that Ray's memory monitor says it has ended."""
    return {int(process) for process in re.findall(r"Selected to kill: .*?\bpid=(\d+)", str(error))}


def next_attempt(job: Job, failures: list[Failure]) -> Job | None:
    """The job as it is to be tried again after all these failures, the last one just now; None to give it up.

    What ran out of memory is never tried at the same size.
    """
    kind = failures[-1].kind
    if kind == "out_of_memory":
        halvings = job.halvings + 1
        return replace(job, halvings=halvings) if len(job.seeds) >> halvings else None
    times = Counter(failure.kind for failure in failures)[kind]
    return job if times < MAX_ATTEMPTS.get(kind, 1) else None


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")
