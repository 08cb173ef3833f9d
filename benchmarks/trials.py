"""What a trial costs beside its training: no-op trials through the whole engine, and through Ray Tune's stock parts.

Ours: search phase, execution, record, Optuna's tables and MLflow. Stock: ``OptunaSearch`` on a SQLite database and
``MLflowLoggerCallback``, as their documentation combines them, with the same two trials at a time, the same settings of
Ray and reused processes, which are not Ray's default. Both write MLflow into SQLite.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.no_op import score, small_motion, train_nothing
from benchmarks.timing import interleaved_medians, peak_mb
from hpgan_core.windows import MotionData
from study import execution
from study.driver import create
from study.execution import Resources
from study.execution.worker import Train
from study.paths import StudyPaths
from study.phases import SearchPhase
from study.record import Record
from study.study_file import StudyFile
from study.tracking import Publisher, Tracker

# isort: split
import optuna
from ray import tune
from ray.tune.logger.mlflow import MLflowLoggerCallback
from ray.tune.search.optuna import OptunaSearch

SIZES = (10, 100, 1000, 5000)
# So many that the start of its process, some seconds, is a small part of the run.
EPOCHS = 2000
SLOTS = 2
ROUNDS = 3
# Stock trials grow dearer with their number; a run of them is measured as far as it comes in this time.
STOCK_LIMIT_S = 75.0
ONE_CPU_EACH = Resources(1, 0, SLOTS)
PARAMETERS: dict[str, Any] = {
    "gt_weight": {"type": "float", "min": 0.01, "max": 10.0, "log": True, "default": 1.0},
    "generator_learning_rate": {"type": "float", "min": 1e-5, "max": 1e-2, "log": True, "default": 1e-3},
    "hidden_size": {"type": "int", "min": 8, "max": 64, "default": 16},
}


def measurements(sizes: Sequence[int] = SIZES, epochs: int = EPOCHS) -> Iterator[tuple[str, float]]:
    """Milliseconds of wall time a trial by the number of trials, and epoch reports a second of one that runs alone.

    The start of Ray is not counted, that of its training processes is: it is most of the smallest study, for which both
    take turns. ``driver_growth_mb`` is by how much the driver's peak of memory has risen over all larger ones of ours.
    """
    data, (smallest, *larger) = small_motion(), sizes
    with execution.cluster(None):
        contenders = {"": lambda: ours_s(data, smallest, epochs=1), ".stock": lambda: _stock_s(smallest, epochs=1)[0]}
        for whose, seconds in interleaved_medians(contenders, ROUNDS).items():
            yield f"trial_overhead_ms.{smallest}{whose}", 1000 * seconds / smallest
        before_mb = peak_mb()
        for size in larger:
            yield f"trial_overhead_ms.{size}", 1000 * ours_s(data, size, epochs=1) / size
        yield "results_per_s", epochs / ours_s(data, 1, epochs)
        yield "driver_growth_mb", peak_mb() - before_mb
        for size in larger:
            seconds, ended = _stock_s(size, epochs=1)
            yield f"trial_overhead_ms.{size}.stock", 1000 * seconds / ended
        seconds, _ = _stock_s(1, epochs, limit_s=None)
        yield "results_per_s.stock", epochs / seconds


def ours_s(
    data: MotionData, trials: int, epochs: int, train: Train = train_nothing, resources: Resources = ONE_CPU_EACH
) -> float:
    """Seconds that a study of so many trials takes."""
    with TemporaryDirectory() as folder:
        study_file = StudyFile.model_validate(
            {
                "name": "benchmark",
                "arms": {"gt": ["gt"]},
                "reference": "gt",
                "parameters": PARAMETERS,
                "search": {
                    "trials_per_arm": trials, "members": 1, "epochs": epochs, "pruner": {"name": "none"},
                },
                "confirm": None,
                # Stock parts leave an address of theirs behind.
                "tracking": {"uri": f"sqlite:///{folder}/mlflow.db"},
            }
        )  # fmt: skip
        record = Record(StudyPaths(Path(folder), study_file.name))
        with record.driving():
            create(record, study_file, "name: benchmark\n", data, lessons=[])
            publisher = Publisher(Tracker(record, study_file), print)
            started = time.perf_counter()
            phase = SearchPhase(record, [publisher])
            execution.run(phase, data, resources, record.paths.ray, train)
            publisher.close()
            seconds = time.perf_counter() - started
            complete = sum(trial.state == "complete" for trial in record.trials())
    if complete != trials:
        raise RuntimeError(f"only {complete} of {trials} trials are complete")
    return seconds


def _stock_s(trials: int, epochs: int, limit_s: float | None = STOCK_LIMIT_S) -> tuple[float, int]:
    """Seconds, and how many trials ended in them."""

    def train(config: dict[str, Any]) -> None:
        for epoch in range(1, epochs + 1):
            tune.report({"score": score(config["gt_weight"], epoch)})

    space = {
        "gt_weight": optuna.distributions.FloatDistribution(0.01, 10.0, log=True),
        "generator_learning_rate": optuna.distributions.FloatDistribution(1e-5, 1e-2, log=True),
        "hidden_size": optuna.distributions.IntDistribution(8, 64),
    }
    with TemporaryDirectory() as folder, _quiet_optuna():
        started = time.perf_counter()
        storage = optuna.storages.RDBStorage(f"sqlite:///{folder}/optuna.db")
        tuner = tune.Tuner(
            tune.with_resources(train, {"cpu": 1}),
            tune_config=tune.TuneConfig(
                search_alg=OptunaSearch(space, metric="score", mode="min", storage=storage),
                num_samples=trials,
                max_concurrent_trials=SLOTS,
                reuse_actors=True,
                time_budget_s=limit_s,
            ),
            run_config=tune.RunConfig(
                storage_path=folder,
                verbose=0,
                callbacks=[MLflowLoggerCallback(f"sqlite:///{folder}/mlflow.db", experiment_name="benchmark")],
            ),
        )
        results = tuner.fit()
        seconds = time.perf_counter() - started
    return seconds, sum(result.metrics is not None and result.metrics.get("done", False) for result in results)


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
