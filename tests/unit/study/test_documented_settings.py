"""The page on study files has everything that a study file can hold."""

from dataclasses import fields

import pytest
from ruamel.yaml import YAML

from docs.hooks import settings_table, study_file_reference
from hpgan_core.config import TrainingConfig
from hpgan_core.presets import PRESETS
from study.schema import json_schema
from study.space import NOT_SEARCHED


@pytest.mark.parametrize("name", [field.name for field in fields(TrainingConfig)])
def test_every_setting_is_there_with_its_values_in_all_presets(name: str) -> None:
    rows = [line.split(" | ") for line in settings_table().splitlines() if line.startswith(f"| `{name}` | ")]
    # An arm names its losses, a phase its epochs.
    assert len(rows) == (name not in ("losses", "epochs"))
    for row in rows:
        values = [YAML(typ="safe", pure=True).load(cell.strip("`")) for cell in row[2 : 2 + len(PRESETS)]]
        assert values == [getattr(preset, name) for preset in PRESETS.values()]
        assert len(row[-1]) > len("x |")
        assert ("Not searched" in row[-1]) == (name in NOT_SEARCHED)


def test_every_section_has_a_table() -> None:
    page = study_file_reference()
    assert all(f"\n## `{name}`\n" in page for name in json_schema()["$defs"])
