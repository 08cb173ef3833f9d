"""The synthetic data are yesterday's. When they are meant to change: ``python tests/golden/test_synthetic_data.py``."""

import json
from pathlib import Path

import numpy as np

from hpgan_core.data.synthetic import synthesise

GOLDEN = Path(__file__).with_name("synthetic_data.json")


def samples() -> dict[str, list[list[float]]]:
    """Every fifth joint in the first, middle and last frame of the clips of one noisy person, millimetres."""
    clips = synthesise(seed=1, people=1, clips_per_action=2, frames=90, noise_m=0.002).clips
    return {clip.name: np.round(1e3 * clip.positions[[0, 45, 89], ::5].reshape(-1, 3), 2).tolist() for clip in clips}


def test_synthetic_data_are_those_of_yesterday() -> None:
    golden = json.loads(GOLDEN.read_text())
    now = samples()
    assert now.keys() == golden.keys()
    assert len(now) == 10
    for name, positions_mm in golden.items():
        assert np.allclose(now[name], positions_mm, atol=0.1), name


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(samples(), indent=1) + "\n")
