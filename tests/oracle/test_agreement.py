"""The fast training of a population agrees with the naive one of each member: weights and losses, in float64.

Twenty steps agree at narrow widths and on windows of seven frames; at a preset's own widths, and on windows of thirty
frames, one step each does, which the naive training can afford.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product
from typing import Any

import pytest
import torch
from torch import Tensor

from hpgan_core.config import CHOICES, LOSS_NAMES, TrainingConfig
from hpgan_core.presets import PRESETS
from hpgan_core.training import Population
from hpgan_core.windows import MotionData
from tests.oracle.naive import NaiveTraining
from tests.oracle.populations import CRITIC_EMBEDDING, Observed, narrow

NETWORKS = ("generator", "critic", "discriminator", "averaged")
COMBINATIONS = [names for size in range(4) for names in combinations(LOSS_NAMES, size)]
SEEDS = (3, 8)
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def brief(motion: MotionData) -> MotionData:
    """Fifteen training clips, cut into windows of seven frames."""
    return replace(motion, past_frames=3, future_frames=4)


def weight_pairs(naive: NaiveTraining, population: Population, member: int) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Every weight of a member by name: the naive training's, and the population's in the naive one's shape."""
    for part in NETWORKS:
        stacked = dict(getattr(population, part).named_parameters())
        for name, weight in getattr(naive, part).named_parameters():
            theirs = stacked.pop(name_in_population(name))[member].detach()
            yield f"{part}.{name}", weight, theirs[0] if weight.ndim == 1 else theirs.T
        assert not stacked


def name_in_population(name: str) -> str:
    sides = {"ih": "inputs", "hh": "hidden"}
    if unit := re.fullmatch(r"encoder\.(weight|bias)_(ih|hh)_l(\d)", name):
        return f"encoder.{sides[unit[2]]}.{unit[3]}.{unit[1]}"
    if cell := re.fullmatch(r"cells\.(\d)\.(weight|bias)_(ih|hh)", name):
        return f"decoder.cells.{sides[cell[3]]}.{cell[1]}.{cell[2]}"
    return name if re.match("embed|layers", name) else f"decoder.{name}"


def assert_agreement(config: TrainingConfig, data: MotionData, steps: int, seeds: tuple[int, ...] = SEEDS) -> None:
    """Train both from the same start on the same batches, z and interpolation factors, in whole epochs."""
    population = Observed(config, data, seeds, dtype=torch.float64)
    oracle = [NaiveTraining(config, data) for _ in seeds]
    for member, naive in enumerate(oracle):
        for _, weight, theirs in weight_pairs(naive, population, member):
            weight.data.copy_(theirs)

    while len(population.seen) < steps:
        before = len(population.seen)
        reported = population.train_epoch()
        for member, naive in enumerate(oracle):
            losses = [naive.step(*(part[member] for part in given)) for given in population.seen[before:]]
            assert reported.keys() == losses[0].keys()
            for name, values in reported.items():
                expected = torch.stack([step[name] for step in losses]).mean()
                torch.testing.assert_close(values[member], expected, rtol=TOLERANCE, atol=TOLERANCE, msg=name)

    for member, naive in enumerate(oracle):
        for name, weight, theirs in weight_pairs(naive, population, member):
            network = name.split(".")[0].replace("averaged", "generator")
            # A weight that Adam moves little must agree all the better.
            tolerance = min(TOLERANCE, 1e-3 * getattr(config, f"{network}_learning_rate"))
            torch.testing.assert_close(theirs, weight.detach(), rtol=0, atol=tolerance, msg=name)


@pytest.mark.parametrize("losses", COMBINATIONS, ids="+".join)
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_with_every_combination_of_losses(brief: MotionData, preset: str, losses: tuple[str, ...]) -> None:
    assert_agreement(narrow(preset, losses=losses), brief, steps=20)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_at_its_own_widths(brief: MotionData, preset: str) -> None:
    assert_agreement(replace(PRESETS[preset], batch_size=8), brief, steps=1, seeds=(0,))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_on_windows_of_thirty_frames(motion: MotionData, preset: str) -> None:
    assert_agreement(narrow(preset), motion, steps=1, seeds=(0,))


# Weights of about one, so that each loss shows in each weight.
VARIED = narrow("recommended", losses=LOSS_NAMES, consistency_weight=0.5, bone_weight=2.0, critic_iterations=2)
VARIANTS: list[dict[str, Any]] = [
    *({"decoder": decoder, "residual": residual} for decoder, residual in product(CHOICES["decoder"], (True, False))),
    *(
        {"gp_alpha": alpha, "gp_norm": norm, "critic_embedding_size": width}
        for alpha, norm, width in product(CHOICES["gp_alpha"], CHOICES["gp_norm"], (0, CRITIC_EMBEDDING))
    ),
    *(
        {"resample_z": resample, "generator_iterations": iterations}
        for resample, iterations in product((True, False), (1, 2, 3))
    ),
    *({"bone_form": form, "bone_space": space} for form, space in product(CHOICES["bone_form"], CHOICES["bone_space"])),
    *({"normalisation": kind} for kind in CHOICES["normalisation"]),
    {"initialisation": "torch"},
    {"initialisation": "original", "residual": False, "consistency_form": "literal"},
    *({"generator_layers": layers} for layers in (1, 3)),
    *({"critic_layers": layers, "critic_slope": 0.3} for layers in (1, 2, 4)),
    {"consistency_form": "literal", "consistency_weight": 50.0},
    {"critic_slope": 0.0},
    {"weight_decay": 0.1},
    {"weight_decay": 0.1, "critic_embedding_size": CRITIC_EMBEDDING},
    {"discriminator_loss": "mean"},
    {"z_distribution": "uniform"},
    {"drop_last": False},
    {"drop_last": False, "gp_alpha": "batch", "consistency_form": "literal"},
    {"crop": "centre", "reshuffle": False},
    {"averaging": 0.0},
    {"adam_beta1": 0.9, "adam_beta2": 0.999},
]


@pytest.mark.parametrize("settings", VARIANTS, ids=str)
def test_every_setting_of_the_step(brief: MotionData, settings: dict[str, Any]) -> None:
    assert_agreement(replace(VARIED, **settings), brief, steps=3)


def test_a_consistency_loss_at_its_floor(brief: MotionData) -> None:
    still = replace(VARIED, losses=("consistency",), consistency_form="literal", initialisation="original")
    reported = Population(still, brief, SEEDS).train_steps(epoch=1, steps=1)["consistency"]
    assert reported.tolist() == pytest.approx([1e-4, 1e-4])
    assert_agreement(still, brief, steps=3)
