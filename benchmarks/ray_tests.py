"""Two of Ray's own release tests, in the size of two processors, through the whole engine with record and MLflow.

Ray's run Tune alone. Each gives wall time over the time that trials alone would take; the start of Ray is not counted,
that of its training processes is.

Source:
    ``release/tune_tests/scalability_tests`` of Ray: ``test_bookkeeping_overhead`` (10,000 trials of a second on 16
    processors: 800 s where 625 are ideal) and ``test_result_throughput_cluster`` (1,000 trials with a result every two
    seconds, 500 a second in all: 130 s where 100 are ideal, without loggers).
"""

from collections.abc import Iterator

from benchmarks.no_op import small_motion, train_at_a_pace, train_for_a_second
from benchmarks.trials import SLOTS, ours_s
from study import execution
from study.execution import Resources

# As Ray's ask of theirs.
BOOKKEEPING_LIMIT, THROUGHPUT_LIMIT = 1.28, 1.3
TRIALS = 120
# Four of them at a time, each five times a second for 100 s.
CHATTY_TRIALS, EPOCHS, RESULTS_PER_S = 4, 500, 20.0
CHATTY = Resources(SLOTS / CHATTY_TRIALS, 0, None)


def measurements() -> Iterator[tuple[str, float]]:
    """``ray_tests.NAME.vs_ideal`` of ``bookkeeping`` and ``throughput``, each with the ``.limit`` to stay below."""
    data = small_motion()
    with execution.cluster(None):
        seconds = ours_s(data, TRIALS, 1, train_for_a_second)
        yield "ray_tests.bookkeeping.vs_ideal", seconds / (TRIALS / SLOTS)
        yield "ray_tests.bookkeeping.vs_ideal.limit", BOOKKEEPING_LIMIT
        seconds = ours_s(data, CHATTY_TRIALS, EPOCHS, train_at_a_pace, CHATTY)
        yield "ray_tests.throughput.vs_ideal", seconds / (CHATTY_TRIALS * EPOCHS / RESULTS_PER_S)
        yield "ray_tests.throughput.vs_ideal.limit", THROUGHPUT_LIMIT
