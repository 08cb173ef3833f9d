"""Ray's own release tests, in the size of two processors, through the whole engine with record, Optuna and MLflow.

Ray's run Tune alone. Each gives wall time over the time that trials alone would take; the start of Ray is not counted,
that of its training processes is.

Source:
    ``release/tune_tests`` of Ray, with the limit of each in seconds beside the ideal in ``TESTS``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from benchmarks.no_op import small_motion, train_at_a_pace
from benchmarks.trials import SLOTS, ours_s
from study import execution
from study.execution import Resources

# isort: split
from ray.cluster_utils import Cluster


@dataclass(frozen=True)
class RayTest:
    """So many trials, all or ``SLOTS`` at a time, that report every so many seconds.

    Attributes:
        checkpoint_mb: written by each trial before each report.
        nodes: with a processor each, of one machine; 0 is a local Ray.
        limit: wall time over ideal time, as Ray asks of itself.
    """

    trials: int
    at_once: int
    epochs: int
    epoch_s: float
    limit: float
    checkpoint_mb: int = 0
    nodes: int = 0

    @property
    def ideal_s(self) -> float:
        return self.trials / self.at_once * self.epochs * self.epoch_s


TESTS = {
    # 10,000 trials of a second on 16 processors.
    "bookkeeping": RayTest(trials=120, at_once=SLOTS, epochs=1, epoch_s=1.0, limit=800 / 625),
    # 1,000 trials with a result every two seconds, 500 a second in all, on 16 machines.
    "throughput": RayTest(trials=4, at_once=4, epochs=500, epoch_s=0.2, limit=130 / 100),
    # 96 trials with 50 results a second each, on a machine of 96 processors, without loggers.
    "single_node": RayTest(trials=SLOTS, at_once=SLOTS, epochs=5000, epoch_s=0.02, limit=120 / 100),
    # 16 trials that write 10 MB every 10 seconds.
    "durable": RayTest(trials=SLOTS, at_once=SLOTS, epochs=30, epoch_s=2.0, limit=500 / 300, checkpoint_mb=10),
    # 16 trials that write 0.75 GB every quarter of an hour.
    "large": RayTest(trials=1, at_once=1, epochs=2, epoch_s=90.0, limit=90_000 / 86_400, checkpoint_mb=750),
    # A trial on each of 100 machines.
    "network": RayTest(trials=4, at_once=4, epochs=15, epoch_s=2.0, limit=1000 / 300, nodes=4),
}


def measurements() -> Iterator[tuple[str, float]]:
    """``ray_tests.NAME.vs_ideal``, and its ``.limit`` to stay below."""
    data = small_motion()
    for name, test in TESTS.items():
        train = partial(train_at_a_pace, seconds=test.epoch_s, checkpoint_mb=test.checkpoint_mb)
        each = Resources((test.nodes or SLOTS) / test.at_once, 0, None)
        with _nodes(test.nodes) if test.nodes else execution.cluster(None):
            seconds = ours_s(data, test.trials, test.epochs, train, each)
        yield f"ray_tests.{name}.vs_ideal", seconds / test.ideal_s
        yield f"ray_tests.{name}.vs_ideal.limit", test.limit


@contextmanager
def _nodes(number: int) -> Iterator[None]:
    """Nodes with a processor each, beside a head that trains nothing."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(number):
            cluster.add_node(num_cpus=1)
        with execution.cluster(cluster.address):
            yield
    finally:
        cluster.shutdown()
