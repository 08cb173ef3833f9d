"""The record: what a folder says after crashes, ties and second processes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.errors import BadStudyInput, DamagedRecord
from study.paths import StudyPaths
from study.record import Record, Trial
from study.study_file import StudyFile

NewRecord = Callable[..., Record]
AddTrial = Callable[..., Trial]


def epoch(number: int) -> dict[str, Any]:
    return {"epoch": number, "mean": {"val/score": 0.1}, "seconds": 0.5}


@pytest.mark.parametrize("cut", [1, 2, 10, 30])
def test_a_line_that_a_crash_cut_short_is_left_out_and_replaced(
    new_record: NewRecord, add_trial: AddTrial, cut: int
) -> None:
    trial = add_trial(new_record(), "gt", "t00", [0.5, 0.4, 0.3], state=None)
    content = trial.paths.epochs.read_bytes()
    trial.paths.epochs.write_bytes(content[:-cut])
    assert [line["epoch"] for line in trial.epochs()] == [1, 2]
    assert trial.last_epoch() == 2
    trial.append_epoch(epoch(3))
    assert [line["epoch"] for line in trial.epochs()] == [1, 2, 3]
    assert len(trial.paths.epochs.read_text().splitlines()) == 3


def test_a_first_line_that_was_cut_short_leaves_no_epoch(new_record: NewRecord, add_trial: AddTrial) -> None:
    trial = add_trial(new_record(), "gt", "t00", [0.5], state=None)
    trial.paths.epochs.write_bytes(trial.paths.epochs.read_bytes()[:7])
    assert trial.epochs() == []
    trial.append_epoch(epoch(1))
    assert trial.last_epoch() == 1


def test_metrics_that_are_not_numbers_come_back(new_record: NewRecord, add_trial: AddTrial) -> None:
    trial = add_trial(new_record(), "gt", "t00", [0.5], state=None)
    trial.append_epoch(epoch(2) | {"members": {"val/ade": [float("nan"), float("inf")]}})
    assert np.isnan(trial.epochs()[-1]["members"]["val/ade"][0])
    assert np.isposinf(trial.epochs()[-1]["members"]["val/ade"][1])


def test_the_first_outcome_stands(new_record: NewRecord, add_trial: AddTrial) -> None:
    trial = add_trial(new_record(), "gt", "t00", [0.5], state="pruned")
    first = trial.outcome
    assert trial.close("failed", None, "too late") == first
    assert trial.outcome == first
    assert trial.state == "pruned"


def test_a_trial_that_is_started_again_keeps_its_first_request(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    trial = add_trial(record, "gt", "t00", [0.5], state=None)
    again = add_trial(record, "gt", "t00", [], state=None)
    assert again.request == trial.request
    assert trial.state == "running"


def test_trials_come_in_the_order_of_arms_and_numbers(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    for arm, name in (("paper", "t00"), ("none", "t100"), ("none", "confirm"), ("none", "t11"), ("gt", "t01")):
        add_trial(record, arm, name, [0.5])
    keys = ["none/t11", "none/t100", "none/confirm", "gt/t01", "paper/t00"]
    assert [trial.key for trial in record.trials()] == keys
    assert [trial.key for trial in record.trials("none", "search")] == keys[:2]
    assert [trial.key for trial in record.trials(phase="confirm")] == ["none/confirm"]


@pytest.mark.parametrize(("goal", "winner"), [("minimize", "t02"), ("maximize", "t00")])
def test_the_winner_is_the_best_complete_trial(
    new_record: NewRecord, add_trial: AddTrial, goal: str, winner: str
) -> None:
    record = new_record(objective={"metric": "val/score", "goal": goal})
    add_trial(record, "gt", "t00", [0.5, 0.9])
    add_trial(record, "gt", "t01", [0.5, 0.3])
    add_trial(record, "gt", "t02", [0.5, 0.2])
    add_trial(record, "gt", "t03", [-9.0], state="pruned")
    add_trial(record, "gt", "t04", [99.0], state="pruned")
    add_trial(record, "gt", "t05", [-9.0], state="failed")
    add_trial(record, "gt", "t06", [-9.0], state=None)
    found = record.winner("gt")
    assert found is not None
    assert found.request.trial == winner


def test_the_first_of_equal_trials_wins(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    for number in (0, 1, 2, 10):
        add_trial(record, "gt", f"t{number:02d}", [0.5 if number == 0 else 0.25])
    winner, best = record.winner("gt"), record.best()
    assert winner is not None
    assert best is not None
    assert winner.request.trial == best.request.trial == "t01"


def test_the_best_trial_is_the_best_of_all_arms(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    add_trial(record, "none", "t00", [0.5])
    add_trial(record, "paper", "t00", [0.3])
    add_trial(record, "gt", "t00", [0.4])
    add_trial(record, "gt", "confirm", [0.1])
    best = record.best()
    assert best is not None
    assert best.key == "paper/t00"


def test_without_a_complete_trial_nobody_wins(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    add_trial(record, "gt", "t00", [0.5], state="pruned")
    assert record.winner("gt") is None
    assert record.winner("none") is None
    assert record.best() is None


def test_only_a_complete_confirmation_counts(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    add_trial(record, "gt", "t00", [0.5])
    assert record.confirmation("gt") is None
    confirmation = add_trial(record, "gt", "confirm", [0.5], state=None)
    assert record.confirmation("gt") is None
    confirmation.close("complete", 0.5)
    assert record.confirmation("gt") is not None


def test_an_unknown_study_is_answered_with_those_there_are(tmp_path: Path, new_record: NewRecord) -> None:
    with pytest.raises(BadStudyInput, match="holds no study yet"):
        Record.open(tmp_path, "small")
    new_record()
    with pytest.raises(BadStudyInput, match="there are: small"):
        Record.open(tmp_path, "other")
    assert Record.open(tmp_path, "small").study_file.name == "small"


def test_the_plan_comes_back_as_it_was_locked(tmp_path: Path, new_record: NewRecord) -> None:
    made = new_record()
    opened = Record.open(tmp_path, "small")
    assert opened.study_file == made.study_file
    assert opened.plan["data_digest"] == "0" * 64
    assert opened.references().past.shape == (1, 10, 25, 3)
    assert opened.references().frame_rate_hz == 30.0


def test_a_study_is_running_interrupted_finished(tmp_path: Path, new_record: NewRecord) -> None:
    record = new_record()
    assert record.state() == "interrupted"
    with record.driving():
        assert Record.open(tmp_path, "small").state() == "running"
    assert record.state() == "interrupted"
    record.conclude("finished", None)
    assert record.state() == "finished"


@pytest.mark.parametrize("name", ["plan.json", "amendments.jsonl", "conclusion.json", "baselines.json"])
@pytest.mark.parametrize("damage", ["cut short", "not ours"])
def test_a_damaged_file_of_the_study_is_named(new_record: NewRecord, name: str, damage: str) -> None:
    record = new_record()
    record.conclude("finished", None)
    record.write_baselines({"zero_velocity": {"ade": 1.0}})
    record.amend("add_trials", trials=1)
    path = record.paths.folder / name
    content = path.read_text()
    path.write_text(content[: len(content) // 2] + "\n" if damage == "cut short" else "[1, 2]\n")
    record = Record(record.paths)
    with pytest.raises(DamagedRecord, match=rf"{name} is damaged: "):
        _ = (record.study_file, record.conclusion(), record.baselines())


@pytest.mark.parametrize("name", ["trial.json", "outcome.json", "attempts.jsonl", "epochs.jsonl"])
def test_a_damaged_file_of_a_trial_is_named(new_record: NewRecord, add_trial: AddTrial, name: str) -> None:
    trial = add_trial(new_record(), "gt", "t00", [0.5] * 4)
    trial.begin_attempt("here")
    path = trial.paths.folder / name
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    again = Trial(trial.paths)
    with pytest.raises(DamagedRecord, match=rf"gt/t00/{name} is damaged: "):
        _ = (again.request, again.outcome, again.attempts(), again.epochs())


def test_what_is_not_locked_can_be_amended_and_the_last_word_counts(new_record: NewRecord, study_with: Any) -> None:
    record = new_record()
    record.amend_operations(study_with(resources={"max_concurrent": 3}, budget={"device_hours": 2.0}))
    record.amend_operations(study_with(resources={"max_concurrent": 1}, budget={"device_hours": 2.0}))
    again = Record(record.paths)
    assert again.study_file == study_with(resources={"max_concurrent": 1}, budget={"device_hours": 2.0})
    assert StudyFile.from_canonical(again.plan["file"]) == study_with()
    kinds = [json.loads(line)["kind"] for line in record.paths.amendments.read_text().splitlines()]
    assert kinds == ["resources", "budget", "resources"]


def test_amendments_add_up(new_record: NewRecord) -> None:
    record = new_record()
    record.amend("add_trials", trials=2)
    record.amend("more_seeds", members=1)
    record.amend("add_trials", trials=3)
    record.amend("retry_failed", trials=["gt/t00"])
    record.amend("retry_failed", trials=["gt/t03", "none/t01"])
    amendments = Record(record.paths).amendments
    assert (amendments.trials, amendments.members) == (5, 1)
    assert amendments.retried == {"gt/t00", "gt/t03", "none/t01"}


def test_requests_and_outcomes_are_read_once(new_record: NewRecord, add_trial: AddTrial) -> None:
    """A study of thousands of trials asks for them all the time."""
    record = new_record()
    add_trial(record, "gt", "t00", [0.5])
    record = Record(record.paths)
    first = record.winner("gt")
    (record.paths.trials / "gt" / "t00" / "outcome.json").write_text("never read again")
    assert record.winner("gt") is first


def test_a_study_set_aside_takes_the_next_free_name(tmp_path: Path, new_record: NewRecord, add_trial: AddTrial) -> None:
    add_trial(new_record(), "gt", "t00", [0.5])
    assert Record.open(tmp_path, "small").set_aside() == "small.1"
    new_record()
    assert Record.open(tmp_path, "small").set_aside() == "small.2"
    assert not StudyPaths(tmp_path, "small").folder.exists()
    assert [trial.key for trial in Record(StudyPaths(tmp_path, "small.1")).trials()] == ["gt/t00"]


def test_a_plan_that_was_changed_after_it_was_locked_is_noticed(new_record: NewRecord) -> None:
    record = new_record()
    assert record.plan_digest() == record.plan["digest"]
    plan = json.loads(record.paths.plan.read_text())
    plan["file"]["claims"][0]["alpha"] = 0.2
    record.paths.plan.write_text(json.dumps(plan))
    with pytest.raises(DamagedRecord, match="it has been changed since it was locked"):
        Record(record.paths).plan_digest()
