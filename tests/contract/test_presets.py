"""Every preset is a whole, valid configuration that survives being written down."""

import json

import pytest

from hpgan_core.config import SETTINGS, TrainingConfig
from hpgan_core.presets import PRESETS


def test_the_recommended_preset_is_there_for_settings_that_name_none() -> None:
    assert TrainingConfig.from_mapping({}) == PRESETS["recommended"]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json(name: str) -> None:
    settings = json.loads(json.dumps(PRESETS[name].to_mapping()))
    assert settings.keys() == SETTINGS.keys()
    assert TrainingConfig.from_mapping(settings) == PRESETS[name]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_gives_what_is_not_set(name: str) -> None:
    config = TrainingConfig.from_mapping({"preset": name, "epochs": 3, "losses": ["gt"]})
    assert config.to_mapping() == PRESETS[name].to_mapping() | {"epochs": 3, "losses": ["gt"]}
