"""Failures by their cause: what each is taken for, and how often it is tried again."""

from dataclasses import replace

import pytest
import torch
from ray.exceptions import ActorDiedError, OutOfMemoryError

from hpgan_core.errors import BadInput, MalformedRecording
from hpgan_core.windows import MotionData
from study.execution.failures import failure_in_training, failure_of_process, killed_for_memory, next_attempt
from study.job import Job, members_at_once
from study.record import Failure, FailureKind

JOB = Job("gt/t00", settings={}, seeds=(0, 1, 2, 3, 4), folder="", test=False)
# As Ray 2.60 words it.
MONITOR = """1 worker(s) were killed due to the node running low on memory. Memory on the node was 3.93GB used / 23.54GB
Considered workers: [
Selected to kill: (Actor(3b63): job ID=01000000, task name=ImplicitFunc.__init__, pid=20623, actual memory used=1.60GB)
Not selected: (Actor(3b64): job ID=01000000, task name=ImplicitFunc.__init__, pid=20624, actual memory used=1.60GB)
]"""


def failures(*kinds: FailureKind) -> list[Failure]:
    return [Failure(kind, "") for kind in kinds]


@pytest.mark.parametrize(
    ("error", "kind", "cause"),
    [
        (KeyError("name"), "bug", "KeyError: 'name'"),
        (RuntimeError("first\nlast\n"), "bug", "RuntimeError: last"),
        (ValueError(), "bug", "ValueError: "),
        (BadInput("epochs = 0"), "bad_input", "BadInput: epochs = 0"),
        (MalformedRecording("a", "b", "c"), "bad_input", "MalformedRecording: a: expected b, found c"),
        (MemoryError("too much"), "out_of_memory", "MemoryError: too much"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory", "OutOfMemoryError: CUDA out of memory"),
        (SystemExit(3), "crashed", "the training called for an exit, with code 3"),
        (RuntimeError("x" * 1000), "bug", f"RuntimeError: {'x' * 486}"),
    ],
)
def test_an_exception_says_what_kind_it_is(error: BaseException, kind: FailureKind, cause: str) -> None:
    assert failure_in_training(error) == Failure(kind, cause)


def test_an_allocation_that_fails_on_a_processor_is_one_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert failure_in_training(caught.value).kind == "out_of_memory"


@pytest.mark.parametrize(
    ("error", "node_is_alive", "kind"),
    [
        (None, True, "crashed"),
        (ActorDiedError(), True, "crashed"),
        (ActorDiedError(), False, "lost_node"),
        (OutOfMemoryError(MONITOR), True, "out_of_memory"),
        (RuntimeError(f"Caught unexpected exception: {MONITOR}"), True, "out_of_memory"),
        (ConnectionError("gone"), True, "bug"),
    ],
)
def test_a_process_without_a_last_word_is_judged_by_what_ray_says(
    error: BaseException | None, node_is_alive: bool, kind: FailureKind
) -> None:
    assert failure_of_process(error, node_is_alive=node_is_alive).kind == kind


def test_the_memory_monitor_names_whom_it_has_ended() -> None:
    assert killed_for_memory(OutOfMemoryError(MONITOR)) == {20623}
    assert killed_for_memory(ActorDiedError()) == set()


@pytest.mark.parametrize("kind", ["bug", "bad_input", "diverged"])
def test_what_would_fail_again_is_given_up_at_once(kind: FailureKind) -> None:
    assert next_attempt(JOB, failures(kind)) is None


def test_a_crash_is_tried_three_times_whatever_else_happens() -> None:
    assert next_attempt(JOB, failures("crashed", "lost_node", "crashed")) == JOB
    assert next_attempt(JOB, failures("crashed", "lost_node", "crashed", "lost_node")) == JOB
    assert next_attempt(JOB, failures("crashed", "lost_node", "crashed", "crashed")) is None


def test_a_lost_node_is_tried_ten_times() -> None:
    assert next_attempt(JOB, failures(*["lost_node"] * 9)) == JOB
    assert next_attempt(JOB, failures(*["lost_node"] * 10)) is None


def test_memory_halves_the_members_until_there_is_one(motion: MotionData) -> None:
    job: Job | None = JOB
    sizes = []
    while job is not None:
        sizes.append(members_at_once(job, motion, "cpu"))
        job = next_attempt(job, failures("out_of_memory"))
    assert sizes == [5, 2, 1]


def test_a_job_whose_single_members_did_not_fit_is_not_trained(motion: MotionData) -> None:
    with pytest.raises(MemoryError, match="not even one member"):
        members_at_once(replace(JOB, halvings=3), motion, "cpu")
