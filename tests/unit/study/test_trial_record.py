"""What the folder of one trial says after crashes: its epochs, its outcome, its executions, its motions."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest

from study.record import Attempt, Outcome, Record, Trial

NewRecord = Callable[..., Record]
AddTrial = Callable[..., Trial]


def epoch(number: int) -> dict[str, Any]:
    return {"epoch": number, "mean": {"val/score": 0.1}, "seconds": 0.5}


@pytest.fixture
def trial(new_record: NewRecord, add_trial: AddTrial) -> Trial:
    """One that has not begun to train, at 100 s, 101 s, ..."""
    seconds = count(100)
    return Trial(add_trial(new_record(), "gt", "t00", [], state=None).paths, lambda: float(next(seconds)))


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


def test_an_outcome_sums_up_what_the_epochs_say(trial: Trial) -> None:
    for number in (1, 2, 3):
        trial.append_epoch(epoch(number))
    outcome = trial.close("failed", None, "the process ended", "crashed")
    assert outcome == Outcome("failed", 3, None, "the process ended", 100.0, "crashed", 1.5)
    assert trial.outcome is outcome
    assert Trial(trial.paths).outcome == outcome


def test_a_trial_that_ended_before_it_trained_has_no_epochs(trial: Trial) -> None:
    assert trial.last_epoch() == 0
    assert trial.close("failed", None, "the node is gone", "lost_node") == Outcome(
        "failed", 0, None, "the node is gone", 100.0, "lost_node", 0.0
    )


def test_executions_are_numbered_and_the_last_line_on_each_counts(trial: Trial) -> None:
    first = trial.begin_attempt("here")
    assert trial.end_attempt(first, "crashed", "the process ended").ended_at == 101.0
    second = trial.begin_attempt("10.0.0.7")
    trial.write_attempt(replace(second, process=42, environment={"python": "3"}))
    assert Trial(trial.paths).attempts() == [
        Attempt(1, "here", None, 100.0, 101.0, "crashed", "the process ended"),
        Attempt(2, "10.0.0.7", 42, 102.0, environment={"python": "3"}),
    ]


def test_motions_come_back_and_are_none_before_there_are_any(trial: Trial) -> None:
    assert trial.motions() is None
    predicted = np.arange(12.0).reshape(1, 1, 2, 2, 3)
    np.savez_compressed(trial.paths.motions, predicted=predicted)
    np.testing.assert_array_equal(trial.motions(), predicted)


def test_motions_that_would_run_code_when_they_are_read_are_refused(trial: Trial) -> None:
    np.savez_compressed(trial.paths.motions, predicted=np.array([trial.paths], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        trial.motions()
