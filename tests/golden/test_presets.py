"""Presets are yesterday's: settings, losses, predictions. When they are meant to change, and the diff has been read:
``python tests/golden/test_presets.py``.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hpgan_core.data.synthetic import synthesise
from hpgan_core.presets import PRESETS
from hpgan_core.streams import streams
from hpgan_core.training import Population
from hpgan_core.windows import MotionData, build_motion_data, gather

GOLDEN = Path(__file__).with_name("presets.json")
SEEDS, EPOCHS = (0, 1), 2
JOINTS = (0, 3, 11)


def trained(preset: str, data: MotionData) -> dict[str, Any]:
    """Losses after a few epochs of one step each, and three joints in the first and the last predicted frame."""
    config = PRESETS[preset]
    if preset == "original":  # at its own width a step takes seconds
        config = replace(config, hidden_size=64)
    population = Population(config, data, SEEDS, dtype=torch.float64)
    losses = [population.train_epoch() for _ in range(EPOCHS)][-1]
    starts = data.test.strided_starts(data.past_frames, data.window, most=1)
    past = gather(torch.tensor(data.test.frames).double(), starts, data.window)[:, : data.past_frames]
    z = population.sample_z(streams(SEEDS, "evaluation"), 1, 1, config.z_size)
    predicted = population.predict(past, z)[:, 0, 0][:, [0, -1]][:, :, JOINTS]
    return {
        "losses": {name: values.tolist() for name, values in losses.items()},
        "predicted_m": predicted.flatten().tolist(),
    }


def everything() -> dict[str, dict[str, Any]]:
    data = build_motion_data(synthesise(seed=1, people=5, clips_per_action=1, frames=40, noise_m=0.003))
    return {name: {"settings": preset.to_mapping()} | trained(name, data) for name, preset in PRESETS.items()}


def test_presets_are_those_of_yesterday() -> None:
    golden, now = json.loads(GOLDEN.read_text()), everything()
    assert now.keys() == golden.keys() == {"original", "report", "recommended"}
    for name, expected in golden.items():
        assert now[name]["settings"] == expected["settings"], name
        assert now[name]["losses"].keys() == expected["losses"].keys()
        for loss, values in expected["losses"].items():
            assert now[name]["losses"][loss] == pytest.approx(values, rel=1e-5, abs=1e-8), f"{name}: {loss}"
        assert len(expected["predicted_m"]) == len(SEEDS) * 2 * len(JOINTS) * 3
        assert now[name]["predicted_m"] == pytest.approx(expected["predicted_m"], rel=1e-5, abs=1e-8), name


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(everything(), indent=1) + "\n")
