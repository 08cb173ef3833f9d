"""Reproduction of trials that were trained for real, here."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from hpgan_core import groups
from hpgan_core.config import TrainingConfig
from hpgan_core.presets import PRESETS
from hpgan_core.trainable import EpochReport
from hpgan_core.training import Population
from hpgan_core.windows import MotionData
from study.commands.reproduce import run
from study.errors import BadStudyInput
from study.job import Job, train_job
from study.record import Phase, Record, Request, Trial
from study.reproduce import Reproduction, reproduce
from study.study_file import Resources

NewRecord = Callable[..., Record]
HERE = Resources()


@pytest.mark.parametrize(
    ("options", "named"),
    [({"name": "small", "trial_name": "gt/t00"}, "gt/t00"), ({"name": None, "from_mlflow": "abc"}, "abc")],
)
def test_an_arm_beside_a_trial_is_refused(tmp_path: Path, options: dict[str, Any], named: str) -> None:
    with pytest.raises(BadStudyInput, match=f"--arm paper: '{named}' names a trial already"):
        run(
            **{"trial_name": None, "from_mlflow": None, "threads": None, "as_json": False} | options,
            arm="paper",
            studies=tmp_path,
            console=Console(quiet=True),
        )


class _PrunedError(Exception):
    """Ends a training as a pruner does."""


def trained(record: Record, data: MotionData, settings: dict[str, Any], phase: Phase, epochs: int) -> Trial:
    """A trial whose first ``epochs`` epochs have been trained and recorded."""
    request = Request("gt", "confirm" if phase == "confirm" else "t00", phase, 0, {}, settings, [3, 5], 0.0)
    trial = record.start(request)

    def write(report: EpochReport) -> None:
        line = asdict(replace(report, motions=None)) | {"time": 0.0}
        del line["motions"]
        trial.append_epoch(line)
        if report.epoch == epochs:
            raise _PrunedError

    job = Job(trial.key, settings, (3, 5), str(trial.paths.folder), test=phase == "confirm")
    with pytest.raises(_PrunedError):
        train_job(job, data, write)
    return trial


def edit(trial: Trial, epoch: int, change: Callable[[dict[str, Any]], None]) -> None:
    lines = trial.epochs()
    change(lines[epoch - 1])
    trial.paths.epochs.write_text("".join(json.dumps(line) + "\n" for line in lines))


def again(trial: Trial, data: MotionData, resources: Resources = HERE) -> Reproduction:
    return reproduce(trial, data, resources, "val/score", lambda done, of: None)


def small(preset: TrainingConfig) -> dict[str, Any]:
    """A preset, as small as its shape allows."""
    narrow = replace(
        preset, hidden_size=8, z_size=4, critic_size=12, critic_iterations=2, batch_size=4, epochs=2,
        evaluation_samples=3, evaluation_windows=4, final_samples=4,
    )  # fmt: skip
    return narrow.to_mapping()


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_reproduced_bit_for_bit(new_record: NewRecord, motion: MotionData, preset: str) -> None:
    trial = trained(new_record(), motion, small(PRESETS[preset]), "search", 2)
    result = again(trial, motion)
    assert (result.grade, result.first_difference) == ("A", None)


@pytest.mark.parametrize(("phase", "epochs"), [("search", 3), ("search", 1), ("confirm", 3)])
def test_whole_pruned_and_confirmed_trials_are_bit_identical(
    new_record: NewRecord, motion: MotionData, tiny: TrainingConfig, phase: Phase, epochs: int
) -> None:
    trial = trained(new_record(), motion, tiny.to_mapping(), phase, epochs)
    steps: list[tuple[int, int]] = []
    result = reproduce(trial, motion, HERE, "val/score", lambda done, of: steps.append((done, of)))
    assert result.grade == "A", result.first_difference
    assert result.epochs == epochs
    assert result.values == sum(len(values) for epoch in trial.epochs() for values in epoch["members"].values())
    assert any(name.startswith("test/") for name in trial.epochs()[-1]["members"]) == (phase == "confirm")
    assert steps == [(done, epochs) for done in range(1, epochs + 1)]


def test_one_changed_bit_is_found_and_named(new_record: NewRecord, motion: MotionData, tiny: TrainingConfig) -> None:
    trial = trained(new_record(), motion, tiny.to_mapping(), "search", 2)
    recorded = trial.epochs()[1]["members"]["val/fde"][1]

    def change(line: dict[str, Any]) -> None:
        line["members"]["val/fde"][1] = math.nextafter(recorded, math.inf)

    edit(trial, 2, change)
    result = again(trial, motion)
    assert result.grade == "B"
    assert result.first_difference == (
        f"epoch 2, val/fde, member 1: {math.nextafter(recorded, math.inf)!r} recorded, {recorded!r} now"
    )


@pytest.mark.parametrize(("shift", "grade"), [(0.5, "C"), (50.0, "F")])
def test_other_numbers_are_judged_by_the_interval_of_the_members(
    new_record: NewRecord, motion: MotionData, tiny: TrainingConfig, shift: float, grade: str
) -> None:
    """Two members, a quarter of whose distance is half of the standard error of their mean."""
    trial = trained(new_record(), motion, tiny.to_mapping(), "search", 2)
    one, other = trial.epochs()[-1]["members"]["val/score"]
    moved = [value + shift * abs(one - other) for value in (one, other)]
    edit(trial, 2, lambda line: line["members"].update({"val/score": moved}))
    assert again(trial, motion).grade == grade


def test_a_single_member_has_no_interval_to_lie_in(
    new_record: NewRecord, motion: MotionData, tiny: TrainingConfig
) -> None:
    trial = trained(new_record(), motion, tiny.to_mapping(), "search", 1)
    edit(trial, 1, lambda line: line["members"].update({"val/score": [1.0, math.nan]}))
    assert again(trial, motion).grade == "F"


def test_metrics_that_one_side_lacks_are_named(new_record: NewRecord, motion: MotionData, tiny: TrainingConfig) -> None:
    trial = trained(new_record(), motion, tiny.to_mapping(), "search", 1)

    def rename(line: dict[str, Any]) -> None:
        for values in (line["members"], line["mean"], line["spread"]):
            values["val/other"] = values.pop("val/ade")

    edit(trial, 1, rename)
    result = again(trial, motion)
    assert (result.grade, result.first_difference) == ("F", "epoch 1: other metrics were recorded: val/ade, val/other")


def test_a_member_that_diverged_must_diverge_again(
    new_record: NewRecord, motion: MotionData, tiny: TrainingConfig
) -> None:
    trial = trained(new_record(), motion, tiny.to_mapping(), "search", 2)
    edit(trial, 2, lambda line: line["members"].update({"val/ade": [math.nan, math.nan]}))
    result = again(trial, motion)
    assert result.grade != "A"
    assert result.first_difference is not None
    assert result.first_difference.startswith("epoch 2, val/ade, member 0: nan recorded, ")


class Poisoned(Population):
    """Its second member's generator breaks in the second epoch."""

    def train_epoch(self) -> dict[str, torch.Tensor]:
        if self.epochs_done == 1:
            with torch.no_grad():
                for weight in self.generator.parameters():
                    weight[1] = torch.nan
        return super().train_epoch()


def test_members_that_diverged_both_times_are_equal(
    new_record: NewRecord, motion: MotionData, tiny: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "Population", Poisoned)
    trial = trained(new_record(), motion, tiny.to_mapping(), "search", 2)
    assert [math.isnan(value) for value in trial.epochs()[-1]["members"]["val/ade"]] == [False, True]
    result = again(trial, motion)
    assert result.grade == "A", result.first_difference
