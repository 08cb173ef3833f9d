"""Populations and baselines on held-out windows: in parts as at once, within bounds, each member for itself."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hpgan_core.config import TrainingConfig
from hpgan_core.evaluation import (
    COLLAPSED_SHARE,
    EVALUATION_ROWS,
    EvaluationWindows,
    Outcome,
    evaluate_baselines,
    evaluate_population,
    evaluation_windows,
    held_out_windows,
    outcome,
)
from hpgan_core.metrics import METRICS
from hpgan_core.training import Population
from hpgan_core.windows import MotionData


class Observed(Population):
    """A population that remembers what it was asked, and whose listed members do not listen to z."""

    def __init__(self, *arguments: Any, deaf: tuple[int, ...] = (), **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.deaf = list(deaf)
        self.asked: list[Tensor] = []

    def predict(self, past: Tensor, z: Tensor) -> Tensor:
        self.asked.append(z)
        heard = z.clone()
        heard[self.deaf] = 0
        return super().predict(past, heard)


def trained(config: TrainingConfig, data: MotionData, seeds: tuple[int, ...] = (0, 1), **options: Any) -> Observed:
    """A population after two epochs."""
    population = Observed(config, data, list(seeds), **options)
    for _ in range(2):
        population.train_epoch()
    return population


def test_evaluation_in_small_parts_is_evaluation_at_once(
    tiny: TrainingConfig, motion: MotionData, monkeypatch: pytest.MonkeyPatch
) -> None:
    population = trained(tiny, motion, dtype=torch.float64)
    windows = evaluation_windows(population, motion.validation, None)
    whole = evaluate_population(population, windows, samples=3, epoch=0)
    assert len(population.asked) == 1
    for rows in (1, 13):
        monkeypatch.setattr("hpgan_core.evaluation.EVALUATION_ROWS", rows)
        for ours, parts in zip(whole, evaluate_population(population, windows, samples=3, epoch=0), strict=True):
            assert parts == pytest.approx(ours, rel=1e-9)
            assert parts.keys() == METRICS.keys()
            assert 0 < parts["discriminator_probability"] < 1
    assert len(population.asked) > 3


def test_no_more_futures_are_held_at_once_than_the_bound_says(tiny: TrainingConfig, motion: MotionData) -> None:
    population = Observed(tiny, motion, [0, 1, 2])
    windows = evaluation_windows(population, motion.validation, None)
    evaluate_population(population, windows, samples=150, epoch=0)
    held = [z.shape[:3].numel() for z in population.asked]
    assert sum(held) == 3 * len(windows) * 150
    assert len(held) > 2
    assert max(held) <= EVALUATION_ROWS


def test_futures_of_one_window_may_exceed_the_bound(tiny: TrainingConfig, motion: MotionData) -> None:
    population = Observed(tiny, motion, [0, 1, 2])
    windows = evaluation_windows(population, motion.validation, 2)
    evaluate_population(population, windows, samples=400, epoch=0)
    assert [z.shape[:3] for z in population.asked] == [(3, 1, 400), (3, 1, 400)]


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_z_of_a_window_do_not_depend_on_how_many_are_evaluated_at_once(
    tiny: TrainingConfig, motion: MotionData, monkeypatch: pytest.MonkeyPatch, distribution: Any
) -> None:
    population = Observed(replace(tiny, z_distribution=distribution), motion, [4, 2])
    windows = evaluation_windows(population, motion.validation, 4)
    evaluate_population(population, windows, samples=3, epoch=0)
    (whole,) = population.asked
    monkeypatch.setattr("hpgan_core.evaluation.EVALUATION_ROWS", 6)
    evaluate_population(population, windows, samples=3, epoch=0)
    assert torch.equal(torch.cat(population.asked[1:], dim=1), whole)
    assert len(whole.unique()) == whole.numel()


def test_the_same_seeds_give_the_same_bits(tiny: TrainingConfig, motion: MotionData) -> None:
    first, again = (trained(tiny, motion) for _ in range(2))
    windows = evaluation_windows(first, motion.validation, 4)
    assert evaluate_population(first, windows, 3, epoch=0) == evaluate_population(again, windows, 3, epoch=0)


def test_a_members_numbers_do_not_depend_on_its_neighbours(tiny: TrainingConfig, motion: MotionData) -> None:
    together = trained(tiny, motion, (3, 1, 2), dtype=torch.float64)
    windows = evaluation_windows(together, motion.validation, None)
    evaluated = evaluate_population(together, windows, samples=3, epoch=0)
    for seed, metrics in zip(together.seeds, evaluated, strict=True):
        (alone,) = evaluate_population(trained(tiny, motion, (seed,), dtype=torch.float64), windows, 3, epoch=0)
        assert metrics == pytest.approx(alone, rel=1e-6)


def test_evaluation_draws_the_same_z_every_epoch_and_another_for_another_split(
    tiny: TrainingConfig, motion: MotionData
) -> None:
    population = trained(tiny, motion)
    windows = evaluation_windows(population, motion.validation, 4)
    first, again, other = (evaluate_population(population, windows, samples=3, epoch=number) for number in (0, 0, 1))
    assert first == again
    assert first[0]["ade"] != first[1]["ade"]
    assert first[0]["ade"] != other[0]["ade"]


def test_windows_know_what_is_done_in_them_and_which_resemble_each_other(motion: MotionData) -> None:
    windows = held_out_windows(motion, motion.test, None)
    starts = motion.test.strided_starts(motion.past_frames, motion.window)
    names = motion.test.actions_at(starts)
    assert [sorted(set(names))[action] for action in windows.actions.tolist()] == names.tolist()
    assert len(set(names)) > 1
    first_frames = motion.test.frames[starts.numpy()]
    assert np.array_equal(windows.past[:, 0].numpy(), first_frames)
    assert windows.past.shape[1:] == (10, 25, 3)
    assert windows.truth.shape[1:] == (20, 25, 3)
    for window, similar in enumerate(windows.neighbours):
        assert window in similar
        assert all(window in windows.neighbours[other] for other in similar)
    assert max(len(similar) for similar in windows.neighbours) > 1


def test_movement_is_the_distance_of_the_true_future_from_standing_still(motion: MotionData) -> None:
    windows = held_out_windows(motion, motion.validation, 3, dtype=torch.float64)
    distances = []
    for past, truth in zip(windows.past.numpy(), windows.truth.numpy(), strict=True):
        stands, goes = past[-1, 1:] - past[-1, :1], truth[:, 1:] - truth[:, :1]
        distances.append(np.sqrt(((goes - stands) ** 2).sum()))
    assert windows.reference.movement == pytest.approx(np.mean(distances))


def test_baselines_in_parts_are_baselines_at_once(motion: MotionData, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = held_out_windows(motion, motion.test, None, dtype=torch.float64)
    whole = evaluate_baselines(windows)
    monkeypatch.setattr("hpgan_core.evaluation.EVALUATION_ROWS", 4)
    for name, metrics in evaluate_baselines(windows).items():
        assert metrics == pytest.approx(whole[name], rel=1e-9)
    assert whole["zero_velocity"]["ade"] == pytest.approx(windows.reference.zero_velocity_ade)


def outcomes_of(population: Population, windows: EvaluationWindows) -> tuple[list[dict[str, float]], list[Outcome]]:
    evaluated = evaluate_population(population, windows, samples=3, epoch=0)
    return evaluated, [outcome(metrics, metrics["apd"], windows.reference.movement) for metrics in evaluated]


def test_a_member_that_ignores_z_has_collapsed_and_its_neighbours_have_not(
    tiny: TrainingConfig, motion: MotionData
) -> None:
    config = replace(tiny, z_distribution="normal", generator_learning_rate=0.01)
    healthy, collapsed = (trained(config, motion, (0, 1, 2), deaf=deaf) for deaf in ((), (1,)))
    windows = evaluation_windows(healthy, motion.validation, 4)
    ours, their_outcomes = outcomes_of(healthy, windows)
    assert their_outcomes == ["ok", "ok", "ok"]
    theirs, their_outcomes = outcomes_of(collapsed, windows)
    assert their_outcomes == ["ok", "collapsed", "ok"]
    assert theirs[1]["apd"] == 0
    assert (ours[0], ours[2]) == (theirs[0], theirs[2])


@pytest.mark.parametrize("network", ["averaged", "discriminator"])
def test_a_member_whose_weights_are_no_numbers_has_diverged_and_its_neighbours_have_not(
    tiny: TrainingConfig, motion: MotionData, network: str
) -> None:
    config = replace(tiny, z_distribution="normal", generator_learning_rate=0.01)
    healthy, sick = (trained(config, motion, (0, 1, 2)) for _ in range(2))
    with torch.no_grad():
        for weight in getattr(sick, network).parameters():
            weight[1] = math.nan
    windows = evaluation_windows(healthy, motion.validation, 4)
    ours, _ = outcomes_of(healthy, windows)
    theirs, their_outcomes = outcomes_of(sick, windows)
    assert their_outcomes == ["ok", "diverged", "ok"]
    assert (ours[0], ours[2]) == (theirs[0], theirs[2])
    finite = {name for name, value in theirs[1].items() if math.isfinite(value)}
    of_motions = {name for name, row in METRICS.items() if not row.needs_discriminator}
    assert finite == (set() if network == "averaged" else of_motions)


def test_collapse_is_a_share_of_how_far_people_move_and_never_hides_a_divergence() -> None:
    assert outcome({"val/ade": 1.0}, apd=0.99 * COLLAPSED_SHARE * 3, movement=3.0) == "collapsed"
    assert outcome({"val/ade": 1.0}, apd=1.01 * COLLAPSED_SHARE * 3, movement=3.0) == "ok"
    assert outcome({"train/critic": math.inf}, apd=0.0, movement=3.0) == "diverged"
    assert outcome({"val/ade": 1.0}, apd=0.0, movement=0.0) == "ok"
