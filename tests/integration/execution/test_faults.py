"""Trainings that fail in every way, in real processes: each fails by itself, tells why, and is tried again by cause."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray import cloudpickle
from ray.cluster_utils import Cluster

from hpgan_core.windows import MotionData
from study import execution
from study.execution import Resources
from tests.integration.execution import crew as crew_module
from tests.integration.execution.crew import Crew, misbehave

CRASHED = "the training process died: it was killed, or crashed"


@pytest.fixture(scope="module", autouse=True)
def ray_cluster() -> Iterator[None]:
    """Two processors, and what Ray takes for two GPUs: a trial on one has a process of its own."""
    cloudpickle.register_pickle_by_value(crew_module)
    machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 2, "include_dashboard": False})
    try:
        with execution.cluster(machines.address):
            yield
    finally:
        machines.shutdown()


@pytest.fixture
def run(motion: MotionData, make_job: Any, tmp_path: Path) -> Any:
    def run_all(*keys: str, gpus: float = 0, **options: Any) -> Crew:
        crew = Crew([make_job(key) for key in keys], **options)
        execution.run(crew, motion, Resources(1, gpus, None), tmp_path / "ray", misbehave)
        assert sorted(crew.failures) == sorted(keys)
        assert not (tmp_path / "ray").exists()
        return crew

    return run_all


def attempts(tmp_path: Path, key: str) -> list[int]:
    """How often its members had been halved, in each attempt."""
    return [int(halvings) for halvings in (tmp_path / key / "attempts").read_text().split()]


def test_exceptions_fail_at_once_and_leave_their_traceback(run: Any, tmp_path: Path) -> None:
    crew = run("bug", "good-0", "input", "iteration", "good-1")
    assert crew.failures["bug"] == crew_module.Failure("bug", "KeyError: 'no such key'")
    assert crew.failures["input"].cause == "BadInput: hidden_size = 0 is outside 1 to 8192"
    assert [crew.story(key) for key in ("bug", "input", "iteration")] == [["bug"], ["bad_input"], ["bug"]]
    assert [crew.epochs(key) for key in ("bug", "good-0", "good-1")] == [[1], [1, 2], [1, 2]]
    log = (tmp_path / "bug" / "log.txt").read_text()
    assert "Traceback (most recent call last)" in log
    assert re.search(r"crew.py.*misbehave", log)
    assert "KeyError: 'no such key'" in log


def test_odd_reports_fail_their_trial_alone(run: Any) -> None:
    odd = ("nan", "inf", "none", "text", "nothing")
    crew = run("good-0", *odd, "good-1")
    assert [crew.story(key) for key in odd] == [["bug"]] * 5
    assert crew.failures["nan"].cause == "ValueError: the mean of val/score must be a finite number, found nan"
    assert crew.failures["nothing"].cause == "TypeError: a report must be an EpochReport, found NoneType"
    assert [crew.epochs(key) for key in ("good-0", "good-1")] == [[1, 2]] * 2


def test_what_dies_without_a_word_is_tried_three_times(run: Any, capfd: pytest.CaptureFixture[str]) -> None:
    crew = run("kill-2", "kill", "os_exit-1", "segfault-1", "exit", "exit0-1", "good")
    assert crew.story("kill-2") == ["crashed", "crashed", "ended"]
    assert crew.story("kill") == ["crashed"] * 3
    assert crew.failures["kill"].cause == CRASHED
    assert [crew.story(key) for key in ("os_exit-1", "segfault-1", "exit0-1")] == [["crashed", "ended"]] * 3
    assert crew.story("exit") == ["crashed"] * 3
    assert crew.failures["exit"].cause == "the training called for an exit, with code 3"
    assert crew.epochs("good") == [1, 2]
    assert len(set(crew.processes["kill"])) == 3
    assert capfd.readouterr() == ("", "")


def test_what_runs_out_of_memory_is_never_tried_at_the_same_size(run: Any, tmp_path: Path) -> None:
    crew = run("memory", "memory-1", "good")
    assert crew.story("memory") == ["out_of_memory", "out_of_memory"]
    assert crew.failures["memory"].cause.startswith("MemoryError: ")
    assert attempts(tmp_path, "memory") == [0, 1]
    assert crew.story("memory-1") == ["out_of_memory", "ended"]
    assert attempts(tmp_path, "memory-1") == [0, 1]
    # A process that has run out is not used again.
    assert len({*crew.processes["memory"], crew.processes["memory-1"][0]}) == 3
    assert crew.epochs("good") == [1, 2]


@pytest.mark.parametrize("gpus", [0, 1], ids=["processes used again", "a process each"])
def test_a_slow_or_failing_clean_up_of_a_stopped_trial_hurts_no_other(run: Any, gpus: float) -> None:
    crew = run("slow", "unclean", "good-0", "good-1", gpus=gpus, stop_at={"slow": 2, "unclean": 2})
    assert crew.failures == dict.fromkeys(("slow", "unclean", "good-0", "good-1"))
    assert crew.epochs("good-0") == crew.epochs("good-1") == [1, 2]


def test_a_stopped_trial_that_never_ends_costs_the_next_one_an_attempt(run: Any) -> None:
    keys = ("lingering", "good-0", "good-1", "good-2")
    crew = run(*keys, stop_at={"lingering": 2})
    assert crew.failures == dict.fromkeys(keys)
    assert [crew.epochs(key) for key in keys[1:]] == [[1, 2]] * 3


def test_faults_in_a_process_each_are_told_apart_too(run: Any) -> None:
    crew = run("bug", "kill-1", gpus=0.5)
    assert crew.story("bug") == ["bug"]
    assert crew.story("kill-1") == ["crashed", "ended"]
    assert len({*crew.processes["bug"], *crew.processes["kill-1"]}) == 3
