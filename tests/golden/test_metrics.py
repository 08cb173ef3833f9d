"""Metrics are yesterday's. When they are meant to change: ``python tests/golden/test_metrics.py``."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hpgan_core.data.synthetic import synthesise
from hpgan_core.evaluation import EvaluationWindows, evaluate_baselines, measure
from hpgan_core.skeleton import KINECT_V2

GOLDEN = Path(__file__).with_name("metrics.json")


def measurements() -> dict[str, dict[str, float]]:
    """Every metric of the baselines, of the truth and of three noisy futures, on the clips of one person."""
    clips = synthesise(seed=1, people=1, clips_per_action=1, frames=30, noise_m=0.002).clips
    motions = np.stack([clip.positions for clip in clips]).astype(np.float64)
    noise = 0.02 * np.random.default_rng(0).standard_normal((len(motions), 3, 20, 25, 3))
    past, truth = torch.from_numpy(motions[:, :10]), torch.from_numpy(motions[:, 10:])
    actions = np.array([clip.action for clip in clips])
    # At the usual threshold no two of these few windows are similar.
    windows = EvaluationWindows.of(past, truth, actions, KINECT_V2, 30.0, multimodal_threshold_m=2.0)
    futures = {"truth": truth.unsqueeze(1), "noisy": truth.unsqueeze(1) + torch.from_numpy(noise)}
    return evaluate_baselines(windows) | {
        name: measure(windows, lambda some, its=predicted: (its[None, some], {}), at_once=len(windows))[0]
        for name, predicted in futures.items()
    }


def test_metrics_are_those_of_yesterday() -> None:
    golden = json.loads(GOLDEN.read_text())
    now = measurements()
    assert now.keys() == golden.keys() == {"zero_velocity", "constant_velocity", "truth", "noisy"}
    for name, metrics in golden.items():
        assert now[name] == pytest.approx(metrics, rel=1e-5, abs=1e-9), name


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(measurements(), indent=1) + "\n")
