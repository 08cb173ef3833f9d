"""How long a study will take here, from a few steps trained for real."""

import time
from dataclasses import dataclass

from hpgan_core.config import TrainingConfig
from hpgan_core.evaluation import evaluate_population, evaluation_windows
from hpgan_core.trainable import configure_torch
from hpgan_core.training import Population
from hpgan_core.windows import MotionData
from study.space import configuration, default_values
from study.study_file import StudyFile

MEASURED_STEPS = 3
# Starting Ray, its workers and MLflow's tables.
START_S = 20.0


@dataclass(frozen=True)
class Estimate:
    """Seconds of one member's epoch with every parameter at its default, and what follows for the study at most.

    Pruning saves a part.
    """

    member_epoch_s: float
    search_s: float
    confirm_s: float

    @property
    def total_s(self) -> float:
        return START_S + self.search_s + self.confirm_s


def estimate(study_file: StudyFile, data: MotionData, slots: int) -> Estimate:
    """Train a few steps of the arm with the most losses and scale up to ``slots`` trials at a time."""
    arm = max(study_file.arms, key=lambda name: len(study_file.arms[name]))
    settings = configuration(study_file, arm, default_values(study_file, arm), study_file.search.epochs)
    configure_torch(study_file.resources.cpus_per_trial)
    population = Population(TrainingConfig.from_mapping(settings), data, seeds=[0])
    population.train_steps(epoch=1, steps=1)
    started = time.perf_counter()
    population.train_steps(epoch=1, steps=MEASURED_STEPS)
    step_s = (time.perf_counter() - started) / min(MEASURED_STEPS, population.steps_per_epoch)
    windows = evaluation_windows(population, data.validation, population.config.evaluation_windows)
    started = time.perf_counter()
    evaluate_population(population, windows, population.config.evaluation_samples, epoch=0)
    member_epoch_s = step_s * population.steps_per_epoch + time.perf_counter() - started
    rounds = -(-len(study_file.arms) // slots) if study_file.confirm else 0
    confirm_members = study_file.confirm.members if study_file.confirm else 0
    return Estimate(
        member_epoch_s,
        search_s=study_file.search_member_epochs() * member_epoch_s / slots,
        confirm_s=rounds * confirm_members * study_file.confirm_epochs() * member_epoch_s,
    )
