"""The record: what a folder says after crashes, ties and second processes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.errors import BadStudyInput, StudyError
from study.paths import StudyPaths
from study.record import Record, Trial

NewRecord = Callable[..., Record]
AddTrial = Callable[..., Trial]


def epoch(number: int) -> dict[str, Any]:
    return {"epoch": number, "mean": {"val/score": 0.1}}


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


def test_a_second_process_is_refused_and_told_who_drives(tmp_path: Path, new_record: NewRecord) -> None:
    new_record()
    program = """
import sys, pathlib
from study.record import Record
with Record.open(pathlib.Path(sys.argv[1]), "small").driving():
    print("driving", flush=True)
    sys.stdin.read()
"""
    record = Record.open(tmp_path, "small")
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "driving\n"
        assert record.state() == "running"
        with pytest.raises(StudyError, match=f"run by process {other.pid} on "), record.driving():
            pass
        other.kill()
    with record.driving():
        assert json.loads(record.paths.holder.read_text())["process"] != other.pid


def test_asking_who_drives_does_not_drive_anyone_away(new_record: NewRecord) -> None:
    record = new_record()
    program = """
import sys, pathlib, time
from study.record import Record
record = Record.open(pathlib.Path(sys.argv[1]), "small")
print("asking", flush=True)
end = time.monotonic() + 3
while time.monotonic() < end:
    record.state()
"""
    command = [sys.executable, "-c", program, str(record.paths.studies)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        asking.stdout.readline()
        for _ in range(20):
            with record.driving():
                pass
        asking.kill()


def test_a_study_set_aside_takes_the_next_free_name(tmp_path: Path, new_record: NewRecord, add_trial: AddTrial) -> None:
    add_trial(new_record(), "gt", "t00", [0.5])
    assert Record.open(tmp_path, "small").set_aside() == "small.1"
    new_record()
    assert Record.open(tmp_path, "small").set_aside() == "small.2"
    assert not StudyPaths(tmp_path, "small").folder.exists()
    assert [trial.key for trial in Record(StudyPaths(tmp_path, "small.1")).trials()] == ["gt/t00"]
