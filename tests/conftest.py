"""What tests of several folders share: one thread, no deadlines, and small motion data that is made once."""

import signal
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

from hpgan_core.config import TrainingConfig
from hpgan_core.data.recordings import Recordings
from hpgan_core.data.synthetic import synthesise
from hpgan_core.windows import MotionData, build_motion_data

# A shell starts what runs in the background with Ctrl-C ignored, and commands that tests interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(1)
# A machine that is busy elsewhere must not fail a property.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
# For figures that anyone can repeat: the same examples each time, and few of them.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None, max_examples=20)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Archives that a study makes of folders go, from the commands that tests run too."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HPGAN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def denormal_numbers() -> Iterator[None]:
    """A training process flushes them to zero, for good; the next test is none."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def recordings() -> Recordings:
    """Five people, five clips each, seen by a noisy sensor."""
    return synthesise(people=5, clips_per_action=1, frames=44, noise_m=0.003)


@pytest.fixture(scope="session")
def motion(recordings: Recordings) -> MotionData:
    """Three people to train on, one to validate and one to test."""
    return build_motion_data(recordings)


@pytest.fixture(scope="session")
def tiny() -> TrainingConfig:
    """Every part of training, as small as it can be."""
    return TrainingConfig(
        losses=("gt", "consistency", "bone"),
        critic_iterations=2,
        hidden_size=8,
        z_size=4,
        residual=True,
        critic_size=12,
        batch_size=4,
        generator_learning_rate=1e-3,
        critic_learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
        averaging=0.5,
        epochs=3,
        evaluation_samples=3,
        evaluation_windows=4,
        final_samples=4,
    )
