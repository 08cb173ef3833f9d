"""Every preset is a whole, valid configuration that survives being written down, and has the size its source gives."""

import json
from dataclasses import fields

import pytest
from torch import nn

from hpgan_core.config import SETTINGS, TrainingConfig
from hpgan_core.presets import PRESETS, TABLE
from hpgan_core.training import Population
from hpgan_core.windows import MotionData


def test_the_recommended_preset_is_there_for_settings_that_name_none() -> None:
    assert TrainingConfig.from_mapping({}) == TrainingConfig() == PRESETS["recommended"]


def test_a_preset_leaves_nothing_to_defaults_but_how_much_is_evaluated() -> None:
    left = {"evaluation_samples", "evaluation_windows", "final_samples", "final_windows"}
    assert list(TABLE) == [field.name for field in fields(TrainingConfig) if field.name not in left]
    assert list(PRESETS) == ["original", "report", "recommended"]
    assert all(len(row) == len(PRESETS) for row in TABLE.values())


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json(name: str) -> None:
    settings = json.loads(json.dumps(PRESETS[name].to_mapping()))
    assert settings.keys() == SETTINGS.keys()
    assert TrainingConfig.from_mapping(settings) == PRESETS[name]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_gives_what_is_not_set(name: str) -> None:
    config = TrainingConfig.from_mapping({"preset": name, "epochs": 3, "losses": ["gt"]})
    assert config.to_mapping() == PRESETS[name].to_mapping() | {"epochs": 3, "losses": ["gt"]}


@pytest.mark.parametrize(
    ("name", "generator", "critic"),
    # torch's GRU has a second bias, 3 x 1024 in each of the original's four layers.
    [("original", 20_150_000, 2_500_000), ("report", 275_000, 305_000)],
)
def test_networks_have_the_size_of_their_source(motion: MotionData, name: str, generator: int, critic: int) -> None:
    population = Population(PRESETS[name], motion, [0], device="meta")

    def size(network: nn.Module) -> int:
        return sum(weight.numel() for weight in network.parameters())

    assert size(population.generator) == pytest.approx(generator, rel=1e-3)
    assert size(population.critic) == size(population.discriminator) == pytest.approx(critic, rel=1e-3)
