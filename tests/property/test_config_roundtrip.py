"""A configuration survives being written down, and whatever a person writes is accepted or refused in words."""

import json
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hpgan_core.config import CHOICES, LOSS_NAMES, RANGES, SETTINGS, TrainingConfig
from hpgan_core.errors import BadInput
from hpgan_core.presets import PRESETS


def values_of(name: str) -> st.SearchStrategy[Any]:
    if name == "losses":
        return st.permutations(LOSS_NAMES).flatmap(lambda order: st.sampled_from([order[:n] for n in range(4)]))
    if name in CHOICES:
        return st.sampled_from(CHOICES[name])
    if name not in RANGES:
        return st.booleans()
    low, high = RANGES[name]
    return st.integers(int(low), int(high)) if SETTINGS[name] is int else st.floats(low, high)


SOME_SETTINGS = st.fixed_dictionaries({}, optional={name: values_of(name) for name in SETTINGS})
ANYTHING = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats() | st.text(max_size=5)


@given(st.sampled_from(list(PRESETS)), SOME_SETTINGS)
def test_from_mapping_undoes_to_mapping(preset: str, settings: dict[str, Any]) -> None:
    config = TrainingConfig.from_mapping({"preset": preset} | settings)
    written = json.loads(json.dumps(config.to_mapping()))
    assert TrainingConfig.from_mapping(written) == config
    assert written == json.loads(json.dumps(PRESETS[preset].to_mapping() | settings))


@given(st.dictionaries(st.sampled_from(["preset", "other", *SETTINGS]), ANYTHING | st.lists(ANYTHING, max_size=2)))
def test_whatever_is_written_is_accepted_or_refused_in_words(settings: dict[str, Any]) -> None:
    with suppress(BadInput):
        assert isinstance(TrainingConfig.from_mapping(settings), TrainingConfig)
