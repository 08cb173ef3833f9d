"""What the folder of one trial says after crashes: its epochs, its outcome, its executions, its motions."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpgan_core import durable
from study import trial_record
from study.errors import DamagedRecord
from study.record import Attempt, Outcome, Record, Trial

NewRecord = Callable[..., Record]
AddTrial = Callable[..., Trial]


def epoch(number: int) -> dict[str, Any]:
    members = {"val/score": [0.1, 0.1]}
    averages = {"mean": {"val/score": 0.1}, "spread": {"val/score": 0.0}, "diverged": 0}
    return {"epoch": number, "members": members, **averages, "seconds": 0.5, "time": 0.0}


def sha256(trial: Trial) -> str:
    return hashlib.sha256(trial.paths.epochs.read_bytes()).hexdigest()


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
    trial.append_epoch(epoch(2) | {"members": {"val/ade": [float("nan"), float("inf")]}, "mean": {}, "spread": {}})
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
    assert outcome == Outcome("failed", 3, None, "the process ended", 100.0, "crashed", 1.5, sha256(trial))
    assert trial.outcome is outcome
    assert Trial(trial.paths).outcome == outcome


def test_a_trial_that_ended_before_it_trained_has_no_epochs(trial: Trial) -> None:
    assert trial.last_epoch() == 0
    outcome = trial.close("failed", None, "the node is gone", "lost_node")
    nothing = hashlib.sha256(b"").hexdigest()
    assert outcome == Outcome("failed", 0, None, "the node is gone", 100.0, "lost_node", 0.0, nothing)
    assert Trial(trial.paths).epochs() == []


def without_digest(trial: Trial) -> None:
    """As an earlier version has written it."""
    outcome = json.loads(trial.paths.outcome.read_text())
    del outcome["epochs_sha256"]
    trial.paths.outcome.write_text(json.dumps(outcome))


@pytest.mark.parametrize("older", [True, False])
@pytest.mark.parametrize("left", [None, 0, 2])
def test_epochs_that_an_ended_trial_has_lost_are_missed(trial: Trial, older: bool, left: int | None) -> None:
    for number in (1, 2, 3):
        trial.append_epoch(epoch(number))
    trial.close("complete", 0.1)
    if older:
        without_digest(trial)
    assert len(Trial(trial.paths).epochs()) == 3
    lines = trial.paths.epochs.read_text().splitlines(keepends=True)
    trial.paths.epochs.unlink()
    if left is not None:
        trial.paths.epochs.write_text("".join(lines[:left]))
    with pytest.raises(DamagedRecord, match=rf"epochs\.jsonl is damaged: it holds {left or 0} epochs, .* epoch 3"):
        Trial(trial.paths).epochs()


def test_a_digit_that_has_changed_since_a_trial_ended_is_noticed(trial: Trial) -> None:
    trial.append_epoch(epoch(1))
    trial.close("complete", 0.1)
    trial.paths.epochs.write_text(trial.paths.epochs.read_text().replace('"seconds": 0.5', '"seconds": 0.7'))
    with pytest.raises(DamagedRecord, match=r"epochs\.jsonl is damaged: it has been changed since the trial ended"):
        Trial(trial.paths).epochs()
    without_digest(trial)
    assert Trial(trial.paths).epochs()[0]["seconds"] == 0.7


def test_the_digest_is_of_whole_lines(trial: Trial) -> None:
    """A crash may leave a part of one in front of the outcome."""
    trial.append_epoch(epoch(1))
    whole = sha256(trial)
    with trial.paths.epochs.open("a") as file:
        file.write('{"epoch": 2, "mem')
    assert trial.close("failed", None, "killed", "crashed").epochs_sha256 == whole
    assert len(Trial(trial.paths).epochs()) == 1


def test_epochs_and_their_digest_come_of_one_reading(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is checked must be what is returned, and a report of thousands of trials reads every file."""
    trial.append_epoch(epoch(1))
    trial.close("complete", 0.1)
    read: list[Path] = []
    monkeypatch.setattr(trial_record, "read_lines", lambda path: read.append(path) or durable.read_lines(path))
    assert len(Trial(trial.paths).epochs()) == 1
    assert read == [trial.paths.epochs]


def test_an_epoch_that_an_open_trial_has_lost_is_missed(trial: Trial) -> None:
    for number in (1, 3):
        trial.append_epoch(epoch(number))
    with pytest.raises(DamagedRecord, match=r"epochs\.jsonl is damaged: it does not hold epoch after epoch"):
        trial.epochs()


@pytest.mark.parametrize("key", [*epoch(1), "val/score"])
def test_a_flipped_bit_in_any_key_of_an_epoch_is_noticed(trial: Trial, key: str) -> None:
    text = json.dumps(epoch(1))
    flipped = key[:-1] + chr(ord(key[-1]) ^ 1)
    for place in range(text.count(f'"{key}"')):
        parts = text.split(f'"{key}"')
        changed = f'"{key}"'.join(parts[: place + 1]) + f'"{flipped}"' + f'"{key}"'.join(parts[place + 1 :])
        trial.paths.epochs.write_text(changed + "\n")
        with pytest.raises(DamagedRecord, match=r"epochs\.jsonl is damaged: line 1 holds something else"):
            trial.epochs()


OTHER_REQUESTS = (
    {"phase": "serch"}, {"number": 1}, {"number": "0"}, {"arm": "paper"}, {"trial": "t01"}, {"seeds": ["a"]},
    {"settings": {}}, {"settings": None},
)  # fmt: skip


@pytest.mark.parametrize("change", OTHER_REQUESTS)
def test_a_request_that_is_not_the_folders_own_is_named(trial: Trial, change: dict[str, Any]) -> None:
    trial.paths.request.write_text(json.dumps(json.loads(trial.paths.request.read_text()) | change))
    with pytest.raises(DamagedRecord, match=r"gt/t00/trial\.json is damaged: "):
        _ = Trial(trial.paths).request


@pytest.mark.parametrize("change", [{"state": "complets"}, {"epochs": "4"}, {"kind": "bugs"}, {"objective": "low"}])
def test_an_outcome_that_says_what_none_can_is_named(trial: Trial, change: dict[str, Any]) -> None:
    trial.close("failed", None, "it broke", "bug")
    trial.paths.outcome.write_text(json.dumps(json.loads(trial.paths.outcome.read_text()) | change))
    with pytest.raises(DamagedRecord, match=r"gt/t00/outcome\.json is damaged: "):
        _ = Trial(trial.paths).outcome


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
