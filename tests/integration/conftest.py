"""Studies that are trained for real, in this process: everything but Ray."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hpgan_core.trainable import EpochReport, baselines_on_test, showcase
from hpgan_core.windows import MotionData
from study.job import train_job
from study.motion import split_sizes
from study.paths import StudyPaths
from study.phases import ConfirmPhase, Listener, SearchPhase, ShortlistPhase
from study.record import Record, References
from study.study_file import StudyFile

PLAN: dict[str, Any] = {
    "name": "small",
    "arms": {"none": [], "gt": ["gt"]},
    "reference": "none",
    "training": {
        "critic_size": 12,
        "z_size": 4,
        "batch_size": 4,
        "evaluation_windows": 4,
        "evaluation_samples": 2,
        "final_samples": 3,
    },
    "parameters": {
        "hidden_size": {"type": "categorical", "values": [8, 12], "default": 8},
        "gt_weight": {"type": "float", "min": 0.01, "max": 10.0, "log": True, "default": 1.0},
    },
    "search": {
        "trials_per_arm": 2,
        "members": 2,
        "epochs": 3,
        "sampler": {"name": "random", "seed": 5},
        "pruner": {"name": "successive_halving", "grace_epochs": 1, "reduction_factor": 2},
    },
    "confirm": {"members": 3, "epochs": 2, "shortlist": None},
    # Seconds each: only where a test looks at them.
    "tracking": {"models": False},
}

MakeRecord = Callable[..., Record]
Drive = Callable[..., None]


class _StoppedError(Exception):
    """Ends a training as the executor does."""


@pytest.fixture(scope="session")
def make_record(motion: MotionData) -> MakeRecord:
    """The record of a new study on the small motion data, without a trial."""

    def make(studies: Path, **sections: Any) -> Record:
        study_file = StudyFile.model_validate(PLAN | sections)
        record = Record(StudyPaths(studies, study_file.name))
        with record.driving():
            record.write_references(
                References(*showcase(motion), skeleton=motion.skeleton.name, frame_rate_hz=motion.frame_rate_hz)
            )
            record.create(study_file, "name: small\n", motion.digest, {}, split_sizes(motion))
        return record

    return make


@pytest.fixture(scope="session")
def drive(motion: MotionData) -> Drive:
    """Run all phases to their end, one trial after the other, as the executor would."""

    def run(record: Record, *listeners: Listener) -> None:
        for build in (SearchPhase, ShortlistPhase, ConfirmPhase) if record.study_file.confirm else (SearchPhase,):
            phase = build(record, list(listeners))
            data = motion if build is ConfirmPhase else motion.sealed()
            while (job := phase.next_job()) is not None:

                def report(
                    epoch: EpochReport, phase: SearchPhase | ShortlistPhase | ConfirmPhase = phase, key: str = job.key
                ) -> None:
                    if phase.on_epoch(key, epoch):
                        raise _StoppedError

                phase.on_start(job.key, "here")
                with suppress(_StoppedError):
                    train_job(job, data, report)
                phase.on_end(job.key, None)
        record.write_baselines(baselines_on_test(motion, 4))
        record.conclude("finished", None)

    return run
