from typing import Any

import pytest
import torch

from hpgan_core.config import TrainingConfig
from hpgan_core.evaluation import evaluate_population, evaluation_windows
from hpgan_core.metrics import METRICS
from hpgan_core.training import Population
from hpgan_core.windows import MotionData


def trained(config: TrainingConfig, data: MotionData, **options: Any) -> Population:
    """Two members after two epochs."""
    population = Population(config, data, [0, 1], **options)
    for _ in range(2):
        population.train_epoch()
    return population


def test_evaluation_in_small_parts_is_evaluation_at_once(
    tiny: TrainingConfig, motion: MotionData, monkeypatch: pytest.MonkeyPatch
) -> None:
    population = trained(tiny, motion, dtype=torch.float64)
    windows = evaluation_windows(population, motion.validation, None)
    whole = evaluate_population(population, windows, samples=3, epoch=0)
    monkeypatch.setattr("hpgan_core.evaluation.EVALUATION_ROWS", 13)
    for ours, parts in zip(whole, evaluate_population(population, windows, samples=3, epoch=0), strict=True):
        assert parts == pytest.approx(ours, rel=1e-9)
        assert parts.keys() == METRICS.keys() | {"discriminator_probability"}
        assert 0 < parts["discriminator_probability"] < 1


def test_evaluation_draws_the_same_z_every_epoch_and_another_for_another_split(
    tiny: TrainingConfig, motion: MotionData
) -> None:
    population = trained(tiny, motion)
    windows = evaluation_windows(population, motion.validation, 4)
    first, again, other = (evaluate_population(population, windows, samples=3, epoch=number) for number in (0, 0, 1))
    assert first == again
    assert first[0]["ade"] != first[1]["ade"]
    assert first[0]["ade"] != other[0]["ade"]
