"""Publishing to MLflow against one call a metric, both into SQLite."""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from study.paths import StudyPaths
from study.record import Record, References, Request
from study.study_file import StudyFile
from study.tracking import Tracker

TRIALS = 1000
EPOCHS = 100
METRICS = 20
STOCK_METRICS = 300
STARTED_AT = 1_700_000_000.0


def measurements() -> Iterator[tuple[str, float]]:
    """Metrics a second of `study publish` and of a plain ``log_metric``; seconds for a study of 1,000 trials.

    The study is a record that nothing of has been published: every run is made, filled and ended.
    """
    with TemporaryDirectory() as folder:
        record = _record(Path(folder))
        tracker = Tracker(record, record.study_file)
        stock = _stock_metrics_per_s(tracker)
        started = time.perf_counter()
        points = tracker.publish().points
        seconds = time.perf_counter() - started
    if points < TRIALS * EPOCHS * METRICS:
        raise RuntimeError(f"only {points} points were published")
    yield "publish_metrics_per_s", points / seconds
    yield "publish_metrics_per_s.stock", stock
    yield f"publish_{TRIALS}x{EPOCHS}x{METRICS}_s", seconds


def _stock_metrics_per_s(tracker: Tracker) -> float:
    """One call a metric, as MLflow's examples and Ray's callback log it."""
    run = tracker.client.create_run(tracker.experiment_id)
    started = time.perf_counter()
    for number in range(STOCK_METRICS):
        tracker.client.log_metric(run.info.run_id, f"val/metric{number % METRICS}", 0.5, step=number // METRICS)
    return STOCK_METRICS / (time.perf_counter() - started)


def _record(studies: Path) -> Record:
    """A finished search of one arm; only its size matters."""
    arms = {"arms": {"gt": ["gt"]}, "reference": "gt", "confirm": None}
    study_file = StudyFile.model_validate({"name": "benchmark", **arms})
    record = Record(StudyPaths(studies, study_file.name))
    values = np.random.default_rng(0).random((TRIALS, EPOCHS, METRICS))
    no_windows = np.zeros((0, 1, 25, 3))
    with record.driving():
        record.write_references(References(no_windows, no_windows, "kinect_v2", 30.0))
        record.create(study_file, "name: benchmark\n", "0" * 64, {})
        for number in range(TRIALS):
            request = Request(
                "gt", f"t{number:02d}", "search", number, {}, {"losses": ["gt"], "epochs": EPOCHS}, [0], STARTED_AT
            )
            trial = record.start(request)
            for epoch in range(1, EPOCHS + 1):
                means = {f"val/metric{index}": value for index, value in enumerate(values[number, epoch - 1])}
                trial.append_epoch(
                    {"epoch": epoch, "members": {}, "mean": means, "spread": {}, "diverged": 0, "seconds": 1.0}
                    | {"time": STARTED_AT + epoch}
                )
            trial.close("complete", 0.5)
    return record
