"""Studies of thousands of trials on up to a thousand workers: the real searcher, record, publisher and report.

Only the training is made up, and its time: an epoch takes a minute at simulated time, and none in truth. The driver is
one process that deals with its workers one after the other. What it takes for that in truth, and what Ray takes for a
report (``results_per_s``, measured by ``python -m benchmarks trials``), passes at simulated time too: so workers wait
for a driver that is too slow. Every case has a process of its own, so that its memory is its own.

``python -m benchmarks.scale TRIALS WORKERS`` runs one case.
"""

import json
import math
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import LATEST
from benchmarks.no_op import small_motion
from benchmarks.timing import peak_mb
from hpgan_core.trainable import EpochReport
from study.budget import Pace
from study.driver import create
from study.job import Job
from study.paths import StudyPaths
from study.phases import ConfirmPhase, SearchPhase, ShortlistPhase
from study.reading import read_study_file
from study.record import Record, Request
from study.report import write_report
from study.simulation import Workshop
from study.study_file import StudyFile
from study.tracking import Publisher, Tracker

CASES = ((100, 4), (100, 100), (1000, 4), (1000, 100), (1000, 1000), (10_000, 1000))
EPOCHS = 10
EPOCH_S = 60.0
METRICS = ("val/ade", "val/fde", "val/apd", "val/jerk_ratio", "val/bone_error", "train/critic", "train/generator")
SHIPPED = Path(__file__).parents[1] / "search_spaces" / "gt_loss.yaml"


def measurements(cases: Sequence[tuple[int, int]] = CASES) -> Iterator[tuple[str, float]]:
    """For every case, as ``scale.TRIALSxWORKERS``:

    ``driver_ms``: of the driver, each time that it deals with a worker; ``busy``: share of the workers' time, until
    there was no more to begin, that they did not wait for the driver; ``memory_mb``: by which the driver grew;
    ``record_kb_per_trial``; ``publish_s``: until MLflow had everything, after the last trial; ``report_s`` and
    ``report_mb``: of the report.
    """
    for trials, workers in cases:
        command = [sys.executable, "-m", "benchmarks.scale", str(trials), str(workers)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        for name, value in json.loads(done.stdout).items():
            yield f"scale.{trials}x{workers}.{name}", value


class LearningCurves:
    """Trials that learn: better ones and worse ones, by their configuration and a little luck."""

    def curve(self, request: Request, job: Job) -> Iterator[EpochReport]:
        """Errors that fall with the epochs towards what the configuration deserves."""
        luck = random.Random(f"{request.key} {request.seeds}")  # noqa: S311 - nobody is to be kept from guessing
        depth = sum(math.log10(value) ** 2 for value in request.parameters.values() if isinstance(value, float))
        floors = [0.3 + 0.1 * depth + luck.gauss(0.0, 0.05) for _ in job.seeds]
        metrics = METRICS if not job.test else (*METRICS, *(name.replace("val/", "test/") for name in METRICS[:5]))
        for epoch in range(1, job.settings["epochs"] + 1):
            errors = [floor + 1 / epoch + luck.gauss(0.0, 0.01) for floor in floors]
            by_member = [dict.fromkeys(metrics, 1.0 + abs(error)) | {"val/score": error} for error in errors]
            yield EpochReport.summarise(epoch, by_member, EPOCH_S * luck.uniform(0.8, 1.2))


def measure(trials: int, workers: int) -> dict[str, float]:
    """One case, in this process."""
    ray_s = 1 / json.loads(LATEST.read_text())["results_per_s"]
    with TemporaryDirectory() as folder:
        record = Record(StudyPaths(Path(folder), "scale"))
        with record.driving():
            create(record, _study_file(trials), "name: scale\n", small_motion(), lessons=[])
            before_mb = peak_mb()
            tracker = Tracker(record, record.study_file)
            publisher = Publisher(tracker, lambda text: print(text, file=sys.stderr))
            workshop = Workshop(LearningCurves(), record, workers, lambda seconds: seconds + ray_s)
            pace = Pace(workshop.elapsed_s, workers)
            workshop.run(SearchPhase(record, [publisher], pace=pace))
            busy = workshop.busy_s / (workshop.busy_s + workshop.waited_s)
            workshop.run(ShortlistPhase(record, [publisher]))
            workshop.run(ConfirmPhase(record, [publisher]))
            record.conclude("finished", None)
            ended = time.perf_counter()
            publisher.close()
            publish_s = time.perf_counter() - ended
        memory_mb = peak_mb() - before_mb
        began = time.perf_counter()
        page = write_report(record, "en", Path(folder) / "report")
        return {
            "driver_ms": 1000 * workshop.dealt_s / workshop.dealings,
            "busy": busy,
            "memory_mb": memory_mb,
            "record_kb_per_trial": _size(record.paths.folder) / 1024 / trials,
            "publish_s": publish_s,
            "report_s": time.perf_counter() - began,
            "report_mb": page.stat().st_size / 1e6,
        }


def _study_file(trials: int) -> StudyFile:
    """gt_loss.yaml with as many search trials, nearly enough: arms get equal numbers."""
    plan: dict[str, Any] = read_study_file(SHIPPED).canonical()
    plan["search"] |= {
        "trials_per_arm": max(1, round(trials / len(plan["arms"]))),
        "epochs": EPOCHS,
        "pruner": {"name": "successive_halving", "grace_epochs": 3},
    }
    plan["confirm"] |= {"epochs": EPOCHS}
    return StudyFile.from_canonical(plan | {"name": "scale", "tracking": {"models": False}})


def _size(folder: Path) -> int:
    """Bytes on the disk, which counts in blocks."""
    return sum(512 * path.stat().st_blocks for path in folder.rglob("*"))


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
