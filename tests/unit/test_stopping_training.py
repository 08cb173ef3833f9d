"""A training that is asked to stop ends with a checkpoint, from which it goes on as if it had never stopped."""

from pathlib import Path

import pytest

from hpgan_core.checkpoint import read_newest_checkpoint
from hpgan_core.config import TrainingConfig
from hpgan_core.trainable import EpochReport, train
from hpgan_core.windows import MotionData


def numbers(reports: list[EpochReport]) -> list[tuple[int, dict[str, list[float]]]]:
    return [(report.epoch, report.members) for report in reports]


@pytest.mark.parametrize("stop_at", [1, 2, 3])
def test_a_stopped_training_goes_on_bit_for_bit(
    tmp_path: Path, motion: MotionData, tiny: TrainingConfig, stop_at: int
) -> None:
    whole: list[EpochReport] = []
    train(tiny, motion, [0, 1], whole.append)
    stopped: list[EpochReport] = []
    asked: list[int] = []

    def stop() -> bool:
        asked.append(len(stopped) + 1)
        return len(asked) == stop_at

    population = train(tiny, motion, [0, 1], stopped.append, tmp_path, stop=stop)
    assert asked == list(range(1, stop_at + 1))
    assert population.epochs_done == stop_at
    assert numbers(stopped) == numbers(whole)[:stop_at]
    checkpoint = read_newest_checkpoint(tmp_path)
    assert checkpoint is not None
    assert len(checkpoint["reports"]) == stop_at
    again: list[EpochReport] = []
    train(tiny, motion, [0, 1], again.append, tmp_path)
    assert numbers(again) == numbers(whole)
