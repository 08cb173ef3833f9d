"""Members in groups: the same numbers whatever the groups are, also when they change half-way."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hpgan_core import trainable
from hpgan_core.config import TrainingConfig
from hpgan_core.groups import Groups
from hpgan_core.memory import members_that_fit
from hpgan_core.trainable import EpochReport, train
from hpgan_core.windows import MotionData

SEEDS = [3, 1, 4]
GIB = 2**30


class StoppedError(Exception):
    """What a caller raises to end a training."""


def ran(
    config: TrainingConfig, data: MotionData, at_once: int | None, **options: Any
) -> tuple[Groups, list[EpochReport]]:
    reports: list[EpochReport] = []
    return train(config, data, SEEDS, reports.append, members_at_once=at_once, **options), reports


def assert_near(one: Any, other: Any) -> None:
    """Equality of nested numbers to float32: stacks of other heights add up in another order, epoch after epoch."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_near(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for ours, theirs in zip(one, other, strict=True):
            assert_near(ours, theirs)
    elif isinstance(one, torch.Tensor):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-6)
    else:
        assert one == other


def numbers(reports: list[EpochReport]) -> list[dict[str, Any]]:
    return [asdict(replace(report, seconds=0.0, motions=None)) for report in reports]


@pytest.mark.parametrize("at_once", [1, 2])
def test_members_in_groups_give_the_numbers_of_all_at_once(
    tiny: TrainingConfig, motion: MotionData, at_once: int
) -> None:
    together, expected = ran(tiny, motion, None, test=True)
    grouped, reports = ran(tiny, motion, at_once, test=True)
    assert_near(numbers(reports), numbers(expected))
    assert_near(grouped.state(), together.state())
    for report, other in zip(reports, expected, strict=True):
        assert report.motions is not None
        assert report.motions == pytest.approx(other.motions, rel=1e-5, abs=1e-6)


def test_a_group_of_one_gives_the_bits_of_one_alone(tiny: TrainingConfig, motion: MotionData) -> None:
    _, grouped = ran(tiny, motion, 1)
    alone: list[EpochReport] = []
    train(tiny, motion, SEEDS[1:2], alone.append)
    assert [{name: values[1:2] for name, values in report.members.items()} for report in grouped] == [
        report.members for report in alone
    ]


@pytest.mark.parametrize(("before", "after"), [(None, 1), (2, 1), (1, 2), (2, None)])
def test_a_run_goes_on_in_other_groups_than_it_began(
    tiny: TrainingConfig,
    motion: MotionData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: int | None,
    after: int | None,
) -> None:
    monkeypatch.setattr(trainable, "CHECKPOINT_INTERVAL_S", -1.0)
    together, expected = ran(tiny, motion, None)

    def stop_after_two(report: EpochReport) -> None:
        if report.epoch == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(tiny, motion, SEEDS, stop_after_two, tmp_path, members_at_once=before)
    resumed, reports = ran(tiny, motion, after, resume_from=tmp_path)
    assert [report.motions is None for report in reports] == [True, True, False]
    assert_near(numbers(reports), numbers(expected))
    assert_near(resumed.state(), together.state())


def test_a_run_that_is_asked_to_stop_writes_a_checkpoint_at_once(
    tiny: TrainingConfig, motion: MotionData, tmp_path: Path
) -> None:
    whole, expected = ran(tiny, motion, 2)
    epochs: list[EpochReport] = []
    stopped, reports = ran(
        tiny, motion, 2, resume_from=tmp_path, stop=lambda: bool(epochs.append(expected[0])) or len(epochs) == 2
    )
    assert [report.epoch for report in reports] == [1, 2]
    assert stopped.epochs_done == 2
    resumed, reports = ran(tiny, motion, 2, resume_from=tmp_path)
    assert numbers(reports) == numbers(expected)
    assert torch.equal(
        torch.cat([value.flatten() for value in resumed.state()["generator"].values()]),
        torch.cat([value.flatten() for value in whole.state()["generator"].values()]),
    )


def test_as_many_members_fit_as_the_memory_holds() -> None:
    assert members_that_fit(one=3 * GIB, two=5 * GIB, available=10 * GIB) == 4
    assert members_that_fit(one=3 * GIB, two=5 * GIB, available=9 * GIB) == 4
    assert members_that_fit(one=3 * GIB, two=5 * GIB, available=9 * GIB - 1) == 3


def test_one_member_is_always_tried() -> None:
    assert members_that_fit(one=3 * GIB, two=5 * GIB, available=GIB) == 1


def test_members_that_take_nothing_all_fit() -> None:
    assert members_that_fit(one=3 * GIB, two=3 * GIB, available=4 * GIB) > 1024
