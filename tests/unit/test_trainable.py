"""The one door: reports in order, exact resumption, and the test split opened once."""

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hpgan_core import groups, trainable
from hpgan_core.config import TrainingConfig
from hpgan_core.errors import BadInput, SealedTestSplit
from hpgan_core.evaluation import COLLAPSED_SHARE, evaluate_population, evaluation_windows
from hpgan_core.groups import Groups
from hpgan_core.metrics import BASELINES, METRICS
from hpgan_core.trainable import EpochReport, train
from hpgan_core.training import Population
from hpgan_core.windows import MotionData, build_motion_data

TRAINED_LOSSES = {"critic", "gradient_penalty", "discriminator", "adversarial", "gt", "consistency", "bone"}
EVALUATED = METRICS.keys()


class Stopped(Exception):
    """What a caller raises to end a training."""


@pytest.fixture
def checkpoint_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainable, "CHECKPOINT_INTERVAL_S", -1.0)


def stop_at(epoch: int, reports: list[EpochReport]) -> Callable[[EpochReport], None]:
    def report(epoch_report: EpochReport) -> None:
        reports.append(epoch_report)
        if epoch_report.epoch == epoch:
            raise Stopped

    return report


def ran(config: TrainingConfig, data: MotionData, seeds: list[int], **options: Any) -> tuple[Groups, list[EpochReport]]:
    reports: list[EpochReport] = []
    return train(config, data, seeds, reports.append, **options), reports


def numbers(reports: list[EpochReport]) -> list[dict[str, Any]]:
    """What reports say, but for how long it took and the pictures."""
    return [asdict(replace(report, seconds=0.0, motions=None)) for report in reports]


def assert_same_bits(one: Any, other: Any) -> None:
    """Equality of nested states, tensors bit by bit."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same_bits(one[key], other[key])
    elif isinstance(one, list):
        for ours, theirs in zip(one, other, strict=True):
            assert_same_bits(ours, theirs)
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other


def test_each_epoch_is_reported_once_with_every_number(tiny: TrainingConfig, motion: MotionData) -> None:
    population, reports = ran(tiny, motion, [4, 2])
    assert [report.epoch for report in reports] == [1, 2, 3]
    assert population.seeds == (4, 2)
    names = {f"val/{name}" for name in EVALUATED} | {f"train/{name}" for name in TRAINED_LOSSES}
    for report in reports:
        assert report.members.keys() == report.mean.keys() == report.spread.keys() == names
        assert all(len(values) == 2 for values in report.members.values())
        assert len(report.outcomes) == 2
        assert report.diverged == 0
        assert report.seconds > 0
        assert report.motions is not None
        assert report.motions.shape == (3, 4, 20, 25, 3)


def test_mean_and_spread_are_over_members(tiny: TrainingConfig, motion: MotionData) -> None:
    _, reports = ran(replace(tiny, epochs=1), motion, [0, 1, 2])
    for name, values in reports[0].members.items():
        assert reports[0].mean[name] == pytest.approx(np.mean(values))
        assert reports[0].spread[name] == pytest.approx(np.std(values, ddof=1))


def test_diverged_members_are_counted_and_left_out_of_mean_and_spread() -> None:
    members = [
        {"val/ade": 1.0, "val/apd": 4.0},
        {"val/ade": math.nan, "val/apd": 5.0},
        {"val/ade": 3.0, "val/apd": 8.0},
    ]
    report = EpochReport.summarise(7, members, seconds=1.0)
    assert (report.outcomes, report.diverged) == (["ok", "diverged", "ok"], 1)
    assert report.mean == {"val/ade": 2.0, "val/apd": 6.0}
    assert report.spread == pytest.approx({"val/ade": 2**0.5, "val/apd": 8**0.5})
    assert report.members["val/apd"] == [4.0, 5.0, 8.0]
    assert math.isnan(report.members["val/ade"][1])


def test_collapsed_members_are_counted_and_kept_in_mean_and_spread() -> None:
    movement = 3.0
    members = [
        {"val/ade": 1.0, "val/apd": 2 * COLLAPSED_SHARE * movement},
        {"val/ade": 3.0, "val/apd": COLLAPSED_SHARE * movement / 2},
        {"val/ade": math.nan, "val/apd": 0.0},
    ]
    report = EpochReport.summarise(7, members, seconds=1.0, movement=movement)
    assert report.outcomes == ["ok", "collapsed", "diverged"]
    assert (report.diverged, report.collapsed) == (1, 1)
    assert report.mean["val/ade"] == 2.0
    assert report.spread["val/ade"] == pytest.approx(2**0.5)


def test_one_healthy_member_has_no_spread_and_none_no_mean() -> None:
    healthy, sick = {"val/ade": 1.0}, {"val/ade": math.inf}
    alone = EpochReport.summarise(1, [healthy, sick], seconds=1.0)
    assert (alone.mean, alone.spread, alone.diverged) == ({"val/ade": 1.0}, {}, 1)
    nobody = EpochReport.summarise(1, [sick, sick], seconds=1.0)
    assert (nobody.mean, nobody.spread, nobody.diverged) == ({}, {}, 2)


def test_the_same_run_gives_the_same_bits(tiny: TrainingConfig, motion: MotionData) -> None:
    (first, reports), (again, same_reports) = (ran(tiny, motion, [0, 1], test=True) for _ in range(2))
    assert numbers(reports) == numbers(same_reports)
    assert_same_bits(first.state(), again.state())
    for one, other in zip(reports, same_reports, strict=True):
        assert one.motions is not None
        assert other.motions is not None
        assert np.array_equal(one.motions, other.motions)


def test_plain_values_are_a_configuration_too(tiny: TrainingConfig, motion: MotionData) -> None:
    first, second = (train(config, motion, [0], lambda _: None) for config in (tiny, tiny.to_mapping()))
    assert_same_bits(first.state(), second.state())


@pytest.mark.parametrize("stopped_at", [1, 2, 3])
@pytest.mark.parametrize("member_seeds", [[0], [5, 1]], ids=str)
@pytest.mark.usefixtures("checkpoint_every_epoch")
def test_interrupted_and_resumed_equals_uninterrupted(
    tiny: TrainingConfig, motion: MotionData, tmp_path: Path, stopped_at: int, member_seeds: list[int]
) -> None:
    whole, expected = ran(tiny, motion, member_seeds, test=True)
    heard: list[EpochReport] = []
    with pytest.raises(Stopped):
        train(tiny, motion, member_seeds, stop_at(stopped_at, heard), tmp_path, test=True)
    resumed, reports = ran(tiny, motion, member_seeds, resume_from=tmp_path, test=True)
    assert numbers(heard) == numbers(expected[:stopped_at])
    assert numbers(reports) == numbers(expected)
    assert [report.motions is None for report in reports] == [epoch <= stopped_at for epoch in (1, 2, 3)]
    assert_same_bits(resumed.state(), whole.state())


def test_a_run_stopped_before_its_first_checkpoint_starts_again(
    tiny: TrainingConfig, motion: MotionData, tmp_path: Path
) -> None:
    with pytest.raises(Stopped):
        train(tiny, motion, [0], stop_at(2, []), tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert numbers(ran(tiny, motion, [0], resume_from=tmp_path)[1]) == numbers(ran(tiny, motion, [0])[1])


def test_a_finished_run_is_told_again_without_training(
    tiny: TrainingConfig, motion: MotionData, tmp_path: Path
) -> None:
    first, expected = ran(tiny, motion, [0], resume_from=tmp_path)
    files = list(tmp_path.iterdir())
    again, reports = ran(tiny, motion, [0], resume_from=tmp_path)
    assert [asdict(report) for report in reports] == [asdict(replace(report, motions=None)) for report in expected]
    assert_same_bits(again.state(), first.state())
    assert list(tmp_path.iterdir()) == files


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
@pytest.mark.usefixtures("checkpoint_every_epoch")
def test_a_damaged_newest_checkpoint_costs_an_epoch_and_changes_nothing(
    tiny: TrainingConfig, motion: MotionData, tmp_path: Path, damage: str
) -> None:
    whole, expected = ran(tiny, motion, [0, 1])
    with pytest.raises(Stopped):
        train(tiny, motion, [0, 1], stop_at(2, []), tmp_path)
    newest = max(tmp_path.iterdir())
    data = bytearray(newest.read_bytes())
    if damage == "truncated":
        del data[len(data) // 2 :]
    else:
        data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    resumed, reports = ran(tiny, motion, [0, 1], resume_from=tmp_path)
    assert [report.motions is None for report in reports] == [True, False, False]
    assert numbers(reports) == numbers(expected)
    assert_same_bits(resumed.state(), whole.state())


def test_a_checkpoint_of_another_run_is_refused(
    tiny: TrainingConfig, motion: MotionData, recordings: Any, tmp_path: Path
) -> None:
    short = replace(tiny, epochs=1)
    train(short, motion, [0, 1], lambda _: None, tmp_path)
    for name, arguments, test in (
        ("config", (replace(short, gt_weight=2.0), motion, [0, 1]), False),
        ("seeds", (short, motion, [1, 0]), False),
        ("data", (short, build_motion_data(recordings, seed=1), [0, 1]), False),
        ("test", (short, motion, [0, 1]), True),
    ):
        with pytest.raises(BadInput, match=rf"checkpoint there is of another run \({name}\); name an empty folder"):
            train(*arguments, lambda _: None, tmp_path, test=test)


def test_the_test_split_is_opened_only_when_asked_and_only_at_the_end(tiny: TrainingConfig, motion: MotionData) -> None:
    _, closed = ran(tiny, motion, [0, 1])
    _, opened = ran(tiny, motion, [0, 1], test=True)
    test_names = [{name for name in report.members if name.startswith("test/")} for report in opened]
    assert test_names == [set(), set(), {f"test/{name}" for name in EVALUATED}]
    assert not any(name.startswith("test/") for report in closed for name in report.members)
    without_test = {name: values for name, values in opened[-1].members.items() if name not in test_names[-1]}
    assert without_test == closed[-1].members


def test_training_on_sealed_data_is_the_same_and_testing_on_it_is_refused_at_once(
    tiny: TrainingConfig, motion: MotionData
) -> None:
    _, reports = ran(tiny, motion.sealed(), [0])
    assert numbers(reports) == numbers(ran(tiny, motion, [0])[1])
    told: list[EpochReport] = []
    with pytest.raises(SealedTestSplit):
        train(tiny, motion.sealed(), [0], told.append, test=True)
    assert told == []


def test_an_unopened_test_split_is_never_read(tiny: TrainingConfig, motion: MotionData) -> None:
    unread = replace(motion.test, frames=np.full_like(motion.test.frames, np.nan))
    _, reports = ran(tiny, replace(motion, opened_test=unread), [0])
    assert numbers(reports) == numbers(ran(tiny, motion, [0])[1])


@pytest.mark.parametrize("seeds", [[], [1, 1], [0, -1]], ids=str)
def test_unusable_seeds_are_refused(tiny: TrainingConfig, motion: MotionData, seeds: list[int]) -> None:
    with pytest.raises(BadInput, match="seeds must be distinct integers of 0 or more"):
        train(tiny, motion, seeds, lambda _: None)


def test_an_unusable_configuration_is_refused(motion: MotionData) -> None:
    with pytest.raises(BadInput, match="setting 'epoch' is unknown; did you mean 'epochs'"):
        train({"epoch": 3}, motion, [0], lambda _: None)


def test_a_population_that_diverges_goes_on_to_its_end(tiny: TrainingConfig, motion: MotionData) -> None:
    _, reports = ran(replace(tiny, generator_learning_rate=1.0, gt_weight=1e6, residual=True), motion, [0, 1])
    assert [report.epoch for report in reports] == [1, 2, 3]
    hopeless = replace(motion, train=replace(motion.train, frames=motion.train.frames * np.float32(1e30)))
    _, reports = ran(replace(tiny, normalisation="none"), hopeless, [0, 1])
    assert [report.diverged for report in reports] == [2, 2, 2]
    assert [(report.mean, report.spread) for report in reports] == [({}, {})] * 3


class Poisoned(Population):
    """Its second member's generator breaks in the second epoch."""

    def train_epoch(self) -> dict[str, torch.Tensor]:
        if self.epochs_done == 1:
            with torch.no_grad():
                for weight in self.generator.parameters():
                    weight[1] = torch.nan
        return super().train_epoch()


@pytest.mark.usefixtures("checkpoint_every_epoch")
def test_a_diverged_member_leaves_the_reports_of_the_rest_bit_for_bit_as_they_were(
    tiny: TrainingConfig, motion: MotionData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, healthy = ran(tiny, motion, [0, 1, 2], test=True)
    monkeypatch.setattr(groups, "Population", Poisoned)
    _, sick = ran(tiny, motion, [0, 1, 2], resume_from=tmp_path, test=True)
    for ours, theirs in zip(healthy, sick, strict=True):
        for name, values in ours.members.items():
            assert values[::2] == theirs.members[name][::2], name
        assert ours.outcomes[::2] == theirs.outcomes[::2]
    assert [report.outcomes[1] == "diverged" for report in sick] == [False, True, True]
    assert [report.diverged for report in sick] == [0, 1, 1]
    assert math.isnan(sick[-1].members["test/mmade"][1])
    assert sick[-1].mean["test/ade"] == pytest.approx(np.mean(healthy[-1].members["test/ade"][::2]))
    _, told_again = ran(tiny, motion, [0, 1, 2], resume_from=tmp_path, test=True)
    assert repr(numbers(told_again)) == repr(numbers(sick)), "as text, in which NaN equals NaN"


def test_a_population_that_collapses_is_reported_and_goes_on(tiny: TrainingConfig, motion: MotionData) -> None:
    """Nothing but the true future to follow, and hardly any z: all futures of a past are one."""
    config = replace(tiny, losses=("gt",), z_distribution="uniform", generator_learning_rate=0.0)
    _, reports = ran(config, motion, [0, 1])
    for report in reports:
        assert report.outcomes == ["collapsed", "collapsed"]
        assert (report.collapsed, report.diverged) == (2, 0)
        assert report.mean.keys() == report.members.keys()
        assert all(0 < apd < 0.05 for apd in report.members["val/apd"])


def test_the_test_split_is_judged_by_the_best_of_fifty(tiny: TrainingConfig, motion: MotionData) -> None:
    assert TrainingConfig().final_samples == 50
    config = replace(tiny, epochs=1, final_samples=50)
    groups, (report,) = ran(config, motion, [0, 1], test=True)
    population = groups.first()
    windows = evaluation_windows(population, motion.test, config.final_windows)
    best_of_50, best_of_3 = (
        evaluate_population(population, windows, samples, trainable.TEST_Z)
        for samples in (50, config.evaluation_samples)
    )
    for member in range(2):
        assert {name: report.members[f"test/{name}"][member] for name in METRICS} == best_of_50[member]
        assert best_of_50[member]["ade"] < best_of_3[member]["ade"]


def test_the_showcase_shows_lively_validation_windows(motion: MotionData) -> None:
    past, future = trainable.showcase(motion)
    assert past.shape == (3, 10, 25, 3)
    assert future.shape == (3, 20, 25, 3)
    starts = motion.validation.strided_starts(10, 30).tolist()
    windows = [motion.validation.frames[start : start + 30] for start in starts]
    movement = [np.linalg.norm(window - window[9], axis=-1).mean() for window in windows]
    for shown in np.concatenate([past, future], axis=1):
        (place,) = [place for place, window in enumerate(windows) if np.array_equal(window, shown)]
        assert movement[place] >= np.median(movement)


def test_pictures_show_what_the_first_member_predicts(tiny: TrainingConfig, motion: MotionData) -> None:
    _, together = ran(tiny, motion, [3, 1])
    _, alone = ran(tiny, motion, [3])
    for ours, theirs in zip(together, alone, strict=True):
        assert ours.motions is not None
        assert theirs.motions is not None
        np.testing.assert_allclose(ours.motions, theirs.motions, atol=1e-4)


def test_motions_are_written_and_read(tmp_path: Path) -> None:
    motions = np.random.default_rng(0).standard_normal((2, 3, 4, 25, 3)).astype(np.float32)
    trainable.write_motions(tmp_path / "motions.npz", motions)
    with np.load(tmp_path / "motions.npz") as file:
        assert np.array_equal(file["predicted"], motions)


def test_baselines_on_test_are_judged_on_the_windows_of_the_test_split(
    tiny: TrainingConfig, motion: MotionData
) -> None:
    measured = trainable.baselines_on_test(motion, final_windows=tiny.final_windows)
    assert measured.keys() == BASELINES.keys()
    windows = evaluation_windows(Population(tiny, motion, [0]), motion.test, tiny.final_windows)
    assert measured["zero_velocity"]["ade"] == pytest.approx(windows.reference.zero_velocity_ade)


def test_training_processes_use_the_threads_they_are_given() -> None:
    before = torch.get_num_threads()
    try:
        trainable.configure_torch(threads=2)
        assert torch.get_num_threads() == 2
        assert (torch.tensor([1e-40]) + 0).item() == 0
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(False)
