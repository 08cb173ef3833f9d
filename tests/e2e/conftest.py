"""The `study` command as a person runs it, and one small study that many tests look at."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import STUDY, environment

# Three epochs before anybody is stopped; one trial at a time, so that what a sampler sees has one order.
SMALL = """\
name: small
question: Does the ground truth help?
data: {dataset: synthetic, people: 5, clips_per_action: 1, frames: 40}
arms: {none: [], gt: [gt], paper: [consistency, bone]}
reference: paper
training: {critic_size: 16, z_size: 8, batch_size: 4, evaluation_windows: 8, evaluation_samples: 2, final_samples: 2}
parameters:
  critic_iterations: {type: int, min: 1, max: 3, default: 2}
  hidden_size: {type: categorical, values: [8, 16], default: 16}
  gt_weight: {type: float, min: 0.01, max: 10.0, log: true, default: 1.0}
search:
  trials_per_arm: 3
  members: 2
  epochs: 12
  sampler: {name: tpe, seed: 3}
  pruner: {name: successive_halving, grace_epochs: 3, reduction_factor: 2}
confirm: {members: 3, epochs: 3, shortlist: null}
resources: {max_concurrent: 1}
tracking: {models: false}
claims:
  - {name: gt replaces both, candidate: gt, metrics: [ade]}
"""

RunStudy = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def run_study() -> RunStudy:
    """Run the command to its end in a folder."""

    def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [STUDY, *arguments]
        settings = environment() | variables
        return subprocess.run(
            command, cwd=folder, env=settings, capture_output=True, text=True, check=False, timeout=550
        )

    return run


@dataclass(frozen=True)
class Launched:
    """A folder in which `study launch small.yaml` has been run."""

    folder: Path
    run: subprocess.CompletedProcess[str]

    @property
    def study(self) -> Path:
        return self.folder / "studies" / "small"


@pytest.fixture(scope="session")
def launched(tmp_path_factory: pytest.TempPathFactory, run_study: RunStudy) -> Launched:
    """The small study, run without disturbance."""
    folder = tmp_path_factory.mktemp("launched")
    (folder / "small.yaml").write_text(SMALL)
    return Launched(folder, run_study(folder, "launch", "small.yaml"))


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    """The file of the small study in a folder of its own."""
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    return file
