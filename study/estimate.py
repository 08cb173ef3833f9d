"""What a study will take here, from a few steps trained for real."""

import io
import json
import time
from dataclasses import asdict, dataclass

import torch

from hpgan_core.config import TrainingConfig
from hpgan_core.evaluation import evaluate_population, evaluation_windows
from hpgan_core.trainable import EpochReport, configure_torch
from hpgan_core.training import Population
from hpgan_core.windows import MotionData
from study.space import configuration, default_values
from study.study_file import StudyFile

MEASURED_STEPS = 3
# Starting Ray, its workers and MLflow's tables.
START_S = 20.0
# Newest checkpoints that a trial keeps.
KEPT_CHECKPOINTS = 2
# Of a trial: three animations, motions and small files; in MLflow the same animations, and stills.
TRIAL_BYTES, RUN_BYTES = 1_400_000, 1_700_000
# MLflow's row of one point, with its index.
POINT_BYTES = 250


@dataclass(frozen=True)
class Calibration:
    """What one member costs here with every parameter at its default, in the arm with the most losses.

    Attributes:
        epoch_s: seconds of an epoch, with its evaluation.
        checkpoint_bytes: weights and optimizer states.
        record_bytes: of an epoch in the record.
        n_metrics: numbers of an epoch.
    """

    epoch_s: float
    checkpoint_bytes: int
    record_bytes: int
    n_metrics: int


@dataclass(frozen=True)
class Estimate:
    """A study with ``slots`` trials at a time, if nothing is pruned.

    Attributes:
        slots: trials at a time.
        search_s, shortlist_s, confirm_s: of the phases.
        device_hours: training time of all trials, on the devices of one.
        disk_bytes: of record and MLflow in the end, and of the checkpoints that there are at most at a time.
    """

    slots: int
    search_s: float
    shortlist_s: float
    confirm_s: float
    device_hours: float
    disk_bytes: float

    @property
    def total_s(self) -> float:
        return START_S + self.search_s + self.shortlist_s + self.confirm_s


def calibrate(study_file: StudyFile, data: MotionData) -> Calibration:
    """Train a few steps of one member, evaluate it once, and look how much there is to keep."""
    arm = max(study_file.arms, key=lambda name: len(study_file.arms[name]))
    settings = configuration(study_file, arm, default_values(study_file, arm), study_file.search.epochs)
    configure_torch(study_file.resources.cpus_per_trial)
    population = Population(TrainingConfig.from_mapping(settings), data, seeds=[0])
    losses = population.train_steps(epoch=1, steps=1)
    started = time.perf_counter()
    population.train_steps(epoch=1, steps=MEASURED_STEPS)
    step_s = (time.perf_counter() - started) / min(MEASURED_STEPS, population.steps_per_epoch)
    windows = evaluation_windows(population, data.validation, population.config.evaluation_windows)
    started = time.perf_counter()
    (metrics,) = evaluate_population(population, windows, population.config.evaluation_samples, epoch=0)
    epoch_s = step_s * population.steps_per_epoch + time.perf_counter() - started
    checkpoint = io.BytesIO()
    torch.save(population.state(), checkpoint)
    numbers = metrics | {name: float(values) for name, values in losses.items()}
    line = json.dumps(asdict(EpochReport.summarise(1, [numbers], epoch_s)))
    return Calibration(epoch_s, checkpoint.tell(), len(line), len(numbers))


def estimate(study_file: StudyFile, calibration: Calibration, slots: int) -> Estimate:
    """Scale a calibration up to the whole study, with ``slots`` trials at a time."""
    arms, confirm, resources = len(study_file.arms), study_file.confirm, study_file.resources
    rounds = -(-arms // slots) if confirm else 0
    members = confirm.members if confirm else 0
    confirm_member_epochs = arms * members * study_file.confirm_epochs()
    shortlisted, shortlist = study_file.n_shortlisted(), study_file.shortlist()
    shortlist_s = 0.0
    if shortlist is not None:
        shortlist_s = -(-shortlisted // slots) * shortlist.members * study_file.confirm_epochs() * calibration.epoch_s
    member_epochs = study_file.search_member_epochs() + study_file.shortlist_member_epochs() + confirm_member_epochs
    repeats = shortlisted + (arms if confirm else 0)
    trials = study_file.n_trials() + repeats
    run_epochs = study_file.n_trials() * study_file.search.epochs + repeats * study_file.confirm_epochs()
    # Of the search only what is in training has checkpoints; those of the confirmed winners stay.
    at_once = max(min(slots, study_file.n_trials()) * study_file.search.members, arms * members)
    return Estimate(
        slots,
        search_s=study_file.search_member_epochs() * calibration.epoch_s / slots,
        shortlist_s=shortlist_s,
        confirm_s=rounds * members * study_file.confirm_epochs() * calibration.epoch_s,
        device_hours=member_epochs
        * calibration.epoch_s
        * (resources.gpus_per_trial or resources.cpus_per_trial)
        / 3600,
        disk_bytes=trials * (TRIAL_BYTES + RUN_BYTES)
        + member_epochs * calibration.record_bytes
        # Means, and the spread of about half of them.
        + run_epochs * 1.5 * calibration.n_metrics * POINT_BYTES
        + at_once * KEPT_CHECKPOINTS * calibration.checkpoint_bytes,
    )
