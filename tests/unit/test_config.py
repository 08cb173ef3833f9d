"""Settings: every problem at once, nothing converted that would change its meaning."""

import math
from dataclasses import fields
from typing import Any

import pytest

from hpgan_core.config import CHOICES, RANGES, SETTINGS, TrainingConfig, convert_setting
from hpgan_core.errors import BadInput
from hpgan_core.presets import PRESETS


def test_all_problems_are_told_at_once() -> None:
    settings = {
        "preset": "recomended",
        "hiden_size": 64,
        "epochs": "many",
        "residual": 1,
        "lambda_gp": -1.0,
        "batch_size": 0,
        "losses": ["gt", "bones"],
        "normalisation": "root",
    }
    with pytest.raises(BadInput) as caught:
        TrainingConfig.from_mapping(settings)
    message = str(caught.value)
    for part in (
        "preset 'recomended' is unknown; did you mean 'recommended'?",
        "setting 'hiden_size' is unknown; did you mean 'hidden_size'?",
        "epochs must be int, found 'many'",
        "residual must be bool, found 1",
        "lambda_gp = -1.0 is outside 0.0 to 1000000.0",
        "batch_size = 0 is outside 1 to 65536",
        "loss 'bones' is unknown; did you mean 'bone'?",
        "normalisation 'root' is unknown",
    ):
        assert part in message
    assert message.count(";") == 7 + message.count("; did you mean")


def test_a_loss_named_twice_is_refused() -> None:
    with pytest.raises(BadInput, match=r"losses = \['gt', 'gt'\] names a loss twice"):
        TrainingConfig(losses=("gt", "gt"))


@pytest.mark.parametrize("name", RANGES)
def test_bounds_are_inclusive_and_beyond_them_is_refused(name: str) -> None:
    kind = SETTINGS[name]
    for bound, beyond in zip(RANGES[name], (-1, 1), strict=True):
        assert getattr(TrainingConfig.from_mapping({name: kind(bound)}), name) == bound
        with pytest.raises(BadInput, match=f"{name} = .* is outside"):
            TrainingConfig.from_mapping({name: kind(bound + beyond)})
        for value in (beyond * math.inf, math.nan):
            with pytest.raises(BadInput, match=f"{name} (must be int|= .* is outside)"):
                TrainingConfig.from_mapping({name: value})


@pytest.mark.parametrize("name", CHOICES)
def test_each_choice_is_accepted_and_no_other_word(name: str) -> None:
    for word in CHOICES[name]:
        assert getattr(TrainingConfig.from_mapping({name: word}), name) == word
    with pytest.raises(BadInput, match=f"{name} 'other' is unknown .known: {', '.join(CHOICES[name])}"):
        TrainingConfig.from_mapping({name: "other"})


def test_every_setting_has_a_type_and_a_range_or_choices_or_is_a_flag() -> None:
    assert list(SETTINGS) == [field.name for field in fields(TrainingConfig)]
    free = SETTINGS.keys() - RANGES.keys() - CHOICES.keys()
    assert free == {"losses", "residual", "resample_z", "reshuffle", "drop_last"}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_documented(name: str) -> None:
    assert f"\n        {name}: " in str(TrainingConfig.__doc__)


@pytest.mark.parametrize(
    ("name", "value", "converted"),
    [
        ("lambda_gp", 1, 1.0),
        ("epochs", 3.0, 3),
        ("epochs", 3.5, None),
        ("epochs", math.inf, None),
        ("epochs", True, None),
        ("lambda_gp", False, None),
        ("lambda_gp", "1e-4", None),
        ("residual", True, True),
        ("residual", 0, None),
        ("losses", ["gt"], ("gt",)),
        ("losses", "gt", None),
        ("losses", [1], None),
        ("z_distribution", "normal", "normal"),
        ("z_distribution", None, None),
    ],
)
def test_values_are_converted_only_where_their_meaning_stays(name: str, value: Any, converted: Any) -> None:
    found = convert_setting(name, value)
    assert found == converted
    assert type(found) is type(converted)


def test_given_settings_win_over_the_preset() -> None:
    config = TrainingConfig.from_mapping({"preset": "original", "hidden_size": 7})
    assert config.hidden_size == 7
    assert config.critic_size == PRESETS["original"].critic_size
