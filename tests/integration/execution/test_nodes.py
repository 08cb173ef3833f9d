"""Several nodes, of one machine: what is lost with one goes on elsewhere, and one that joins is used."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from ray import cloudpickle
from ray.cluster_utils import Cluster

from hpgan_core.trainable import EpochReport
from hpgan_core.windows import MotionData
from study import execution
from study.errors import StudyError
from study.execution import Resources
from study.execution.cluster import memory_kills_on
from study.execution.kernel import memory_kills
from study.job import train_job
from study.record import Failure
from tests.integration.execution import crew as crew_module
from tests.integration.execution.crew import Crew, train_carefully

ONE_CPU = Resources(1, 0, None)
NODE = {"num_cpus": 1, "include_dashboard": False}


@pytest.fixture
def machines() -> Iterator[Cluster]:
    """A head where nothing trains, and one node with a processor."""
    cloudpickle.register_pickle_by_value(crew_module)
    machines = Cluster(initialize_head=True, head_node_args=NODE | {"num_cpus": 0, "num_gpus": 2})
    try:
        machines.add_node(**NODE)
        with execution.cluster(machines.address):
            yield machines
    finally:
        machines.shutdown()


def test_a_lost_node_costs_its_trial_nothing_that_a_checkpoint_holds(
    machines: Cluster, motion: MotionData, make_job: Any, tmp_path: Any
) -> None:
    class Killer(Crew):
        first_life = 0

        def on_epoch(self, key: str, report: EpochReport) -> bool:
            super().on_epoch(key, report)
            if report.epoch == 5 and not self.retries:
                os.kill(node.all_processes["raylet"][0].process.pid, signal.SIGKILL)
            return bool(self.retries) and report.epoch == self.first_life + 5

        def on_retry(self, key: str, failure: Failure) -> None:
            super().on_retry(key, failure)
            self.first_life = len(self.reports[key])
            machines.add_node(**NODE)

    (node,) = machines.worker_nodes
    crew = Killer([make_job("a", epochs=5000)])
    execution.run(crew, motion, ONE_CPU, tmp_path / "ray", train_carefully)
    assert crew.story("a") == ["lost_node", "ended"]
    assert crew.retries["a"] == [Failure("lost_node", "the node that trained it is gone")]
    first, second = crew.reports["a"][: crew.first_life], crew.reports["a"][crew.first_life :]
    assert [report.epoch for report in second] == list(range(1, crew.first_life + 6))
    # What the checkpoint holds is told again with the times of its first training; the last epoch may not have arrived.
    assert [report.seconds for report in second[: len(first)]] == [report.seconds for report in first]
    alone: list[EpochReport] = []
    train_job(make_job("b", epochs=12), motion, alone.append)
    assert [report.members for report in second[:12]] == [report.members for report in alone]


def test_a_study_without_any_node_says_so_and_waits_for_one(
    machines: Cluster, motion: MotionData, make_job: Any, tmp_path: Any
) -> None:
    class Killer(Crew):
        def on_epoch(self, key: str, report: EpochReport) -> bool:
            super().on_epoch(key, report)
            if report.epoch == 2 and not self.retries:
                os.kill(node.all_processes["raylet"][0].process.pid, signal.SIGKILL)
            return bool(self.retries)

    def tell(text: str) -> None:
        told.append(text)
        if len(told) == 1:
            machines.add_node(**NODE)

    (node,) = machines.worker_nodes
    told: list[str] = []
    crew = Killer([make_job("a", epochs=5000)])
    execution.run(crew, motion, ONE_CPU, tmp_path / "ray", train_carefully, tell)
    assert crew.story("a") == ["lost_node", "ended"]
    assert told == [
        "No node of this Ray cluster has 1 CPUs and 0 GPUs for a trial any more; waiting for one to join "
        "(`study stop --now` ends that)",
        "A node has joined; the study goes on",
    ]


def test_a_node_that_joins_is_used(machines: Cluster, motion: MotionData, make_job: Any, tmp_path: Any) -> None:
    class Growing(Crew):
        def on_epoch(self, key: str, report: EpochReport) -> bool:
            if report.epoch == 1 and key == "a":
                machines.add_node(**NODE)
            super().on_epoch(key, report)
            return key == "a" and "b" in self.failures

    crew = Growing([make_job("a", epochs=5000), make_job("b")])
    execution.run(crew, motion, ONE_CPU, tmp_path / "ray")
    assert crew.events == [("start", "a"), ("start", "b"), ("end", "b"), ("end", "a")]


def test_a_part_of_a_gpu_is_of_one_gpu(machines: Cluster) -> None:
    slots = {gpus: execution.slots(Resources(0, gpus, None)) for gpus in (1, 2, 0.5, 0.4, 0.1)}
    assert slots == {1: 2, 2: 1, 0.5: 4, 0.4: 4, 0.1: 20}


def test_a_node_is_asked_what_its_kernel_did_and_one_that_is_gone_says_nothing(machines: Cluster) -> None:
    (node,) = machines.worker_nodes
    assert memory_kills_on(node.node_id) == memory_kills()
    machines.remove_node(node)
    assert memory_kills_on(node.node_id) == 0


def test_nodes_that_join_late_are_waited_for(machines: Cluster) -> None:
    def join(text: str) -> None:
        told.append(text)
        machines.add_node(**NODE)

    machines.remove_node(*machines.worker_nodes)
    told: list[str] = []
    assert execution.slots_once_joined(ONE_CPU, join) == 1
    assert len(told) == 1
    assert "nodes to join: a trial needs 1 CPUs" in told[0]


def test_nodes_that_never_join_are_not_waited_for_forever(machines: Cluster) -> None:
    with pytest.raises(StudyError, match="a trial needs 512 CPUs and 0 GPUs on one node, but"):
        execution.slots_once_joined(Resources(512, 0, None), lambda _: None, patience_s=2.0)
