"""The phases as foremen, without Ray: what they ask for, what they write, what they stop."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from optuna.trial import TrialState

from hpgan_core.trainable import EpochReport
from study.phases import FIRST_CONFIRM_SEED, ConfirmPhase, SearchPhase
from study.record import Outcome, Record, Trial

NewRecord = Callable[..., Record]
Score = float | list[float]


@dataclass
class Heard:
    """A listener that remembers."""

    started: list[str] = field(default_factory=list)
    epochs: list[tuple[str, int]] = field(default_factory=list)
    ended: list[tuple[str, str]] = field(default_factory=list)

    def trial_started(self, trial: Trial, place: str) -> None:
        self.started.append(trial.key)

    def epoch_reported(self, trial: Trial, epoch: dict[str, Any]) -> None:
        self.epochs.append((trial.key, epoch["epoch"]))

    def trial_ended(self, trial: Trial, outcome: Outcome) -> None:
        self.ended.append((trial.key, outcome.state))


def report(epoch: int, score: Score) -> EpochReport:
    scores = score if isinstance(score, list) else [score, score]
    return EpochReport.summarise(epoch, [{"val/score": value} for value in scores], 0.5)


def train(phase: SearchPhase | ConfirmPhase, key: str, scores: list[Score]) -> bool:
    """Report epoch after epoch until the foreman stops the trial, and tell that it ended; whether it was stopped."""
    stopped = any(phase.on_epoch(key, report(epoch, score)) for epoch, score in enumerate(scores, start=1))
    phase.on_end(key, None)
    return stopped


def run_search(record: Record, scores: Callable[[str], list[Score]], **options: Any) -> SearchPhase:
    phase = SearchPhase(record, [], **options)
    while (job := phase.next_job()) is not None:
        train(phase, job.key, scores(job.key))
    return phase


def optuna_states(phase: SearchPhase, arm: str) -> list[TrialState]:
    return [trial.state for trial in phase.arms[arm].study.trials]


def test_arms_take_turns_and_get_equal_budgets(new_record: NewRecord) -> None:
    record = new_record()
    phase = SearchPhase(record, [])
    keys = []
    while (job := phase.next_job()) is not None:
        keys.append(job.key)
        train(phase, job.key, [0.5] * 4)
    assert keys == [f"{arm}/t{number:02d}" for number in range(4) for arm in ("none", "gt", "paper")]
    assert phase.next_job() is None
    assert not phase.out_of_time


def test_an_arm_without_a_share_of_the_trials_is_impossible(new_record: NewRecord) -> None:
    record = new_record(budget={"trials": 8})
    run_search(record, lambda key: [0.5] * 4)
    assert [len(record.trials(arm)) for arm in ("none", "gt", "paper")] == [2, 2, 2]


def test_failed_trials_count_against_the_budget(new_record: NewRecord) -> None:
    record = new_record()
    phase = SearchPhase(record, [])
    while (job := phase.next_job()) is not None:
        if job.key == "gt/t01":
            phase.on_epoch(job.key, report(1, 0.4))
            phase.on_end(job.key, "RuntimeError: out of luck")
        else:
            train(phase, job.key, [0.5] * 4)
    assert len(record.trials("gt")) == 4
    outcome = record.trial("gt", "t01").outcome
    assert outcome is not None
    assert (outcome.state, outcome.cause, outcome.epochs) == ("failed", "RuntimeError: out of luck", 1)
    assert optuna_states(phase, "gt")[1] == TrialState.FAIL
    assert phase.arms["gt"].study.trials[1].user_attrs["cause"] == "RuntimeError: out of luck"


def test_a_trial_that_ends_early_without_an_error_has_failed(new_record: NewRecord) -> None:
    record = new_record()
    phase = SearchPhase(record, [])
    job = phase.next_job()
    assert job is not None
    train(phase, job.key, [0.5, 0.4])
    outcome = record.trial("none", "t00").outcome
    assert outcome is not None
    assert outcome.cause == "stopped after epoch 2 of 4"


def test_an_epoch_that_is_told_again_is_written_once(new_record: NewRecord) -> None:
    record, heard = new_record(), Heard()
    phase = SearchPhase(record, [heard])
    job = phase.next_job()
    assert job is not None
    phase.on_start(job.key, "here")
    for epoch in (1, 2):
        phase.on_epoch(job.key, report(epoch, 0.5))
    phase.on_start(job.key, "there")
    for epoch in (1, 2, 3, 4):
        phase.on_epoch(job.key, report(epoch, 0.5))
    phase.on_end(job.key, None)
    assert [epoch["epoch"] for epoch in record.trial("none", "t00").epochs()] == [1, 2, 3, 4]
    assert heard.epochs == [("none/t00", epoch) for epoch in (1, 2, 3, 4)]
    assert heard.started == ["none/t00"] * 2
    assert heard.ended == [("none/t00", "complete")]


def test_an_error_after_the_last_epoch_does_not_undo_it(new_record: NewRecord) -> None:
    record = new_record()
    phase = SearchPhase(record, [])
    job = phase.next_job()
    assert job is not None
    for epoch in range(1, 5):
        assert not phase.on_epoch(job.key, report(epoch, 0.5))
    phase.on_end(job.key, "the process died")
    outcome = record.trial("none", "t00").outcome
    assert outcome is not None
    assert (outcome.state, outcome.cause) == ("complete", None)


def test_one_diverged_member_fails_a_search_trial(new_record: NewRecord) -> None:
    record = new_record()
    phase = SearchPhase(record, [])
    job = phase.next_job()
    assert job is not None
    assert train(phase, job.key, [0.5, [0.4, math.nan]])
    outcome = record.trial("none", "t00").outcome
    assert outcome is not None
    assert (outcome.state, outcome.objective) == ("failed", None)
    assert outcome.cause == "1 of 2 members diverged at epoch 2"
    assert optuna_states(phase, "none") == [TrialState.FAIL]


def test_a_pruned_trial_has_its_last_epoch_and_value(new_record: NewRecord) -> None:
    pruner = {"name": "successive_halving", "grace_epochs": 1, "reduction_factor": 2}
    record = new_record(search={"trials_per_arm": 4, "epochs": 4, "pruner": pruner})
    phase = run_search(record, lambda key: [0.9 if key.endswith("t01") else 0.1] * 4)
    for arm in ("none", "gt", "paper"):
        outcome = record.trial(arm, "t01").outcome
        assert outcome is not None
        assert (outcome.state, outcome.epochs, outcome.objective, outcome.cause) == ("pruned", 1, 0.9, None)
        pruned = phase.arms[arm].study.trials[1]
        assert (pruned.state, pruned.value, pruned.last_step) == (TrialState.PRUNED, 0.9, 1)


@pytest.mark.parametrize("written", [True, False])
def test_a_verdict_that_a_driver_died_over_stands(new_record: NewRecord, written: bool) -> None:
    """Its process is stopped later than the pruner has spoken, and may never be."""
    pruner = {"name": "successive_halving", "grace_epochs": 1, "reduction_factor": 2}
    record = new_record(search={"trials_per_arm": 2, "epochs": 4, "pruner": pruner})
    phase = SearchPhase(record, [])
    for _ in range(3):
        job = phase.next_job()
        assert job is not None
        train(phase, job.key, [0.1] * 4)
    job = phase.next_job()
    assert job is not None
    assert phase.on_epoch(job.key, report(1, 0.9))
    if not written:
        # It died between the pruner's word and the record's.
        record.trial("none", "t01").paths.outcome.unlink()
    resumed = SearchPhase(record, [])
    assert record.trial("none", "t01").state == "pruned"
    assert optuna_states(resumed, "none") == [TrialState.COMPLETE, TrialState.PRUNED]


def test_an_epoch_that_only_the_record_knows_is_judged_on_resumption(new_record: NewRecord) -> None:
    record = new_record()
    phase = SearchPhase(record, [])
    jobs = [phase.next_job() for _ in range(3)]
    assert jobs[0] is not None
    trial = record.trial("none", "t00")
    for epoch in range(1, 5):
        line = {"epoch": epoch, "mean": {"val/score": 1 / epoch}, "diverged": 0, "members": {}, "time": float(epoch)}
        trial.append_epoch(line)
    record.trial("gt", "t00").append_epoch({"epoch": 1, "mean": {}, "diverged": 2, "members": {}, "time": 5.0})
    resumed = SearchPhase(record, [])
    assert [record.trial(arm, "t00").state for arm in ("none", "gt", "paper")] == ["complete", "failed", "running"]
    complete = resumed.arms["none"].study.trials[0]
    assert (complete.state, complete.value) == (TrialState.COMPLETE, 0.25)
    assert complete.intermediate_values == {epoch: 1 / epoch for epoch in range(1, 5)}
    assert optuna_states(resumed, "gt") == [TrialState.FAIL]
    job = resumed.next_job()
    assert job is not None
    assert job.key == "paper/t00"


def test_a_search_resumed_after_every_trial_runs_the_same_trials(new_record: NewRecord) -> None:
    record = new_record()

    def scores(trial: Trial) -> list[Score]:
        return [trial.request.parameters["lambda_gp"] / epoch for epoch in range(1, 5)]

    phase = SearchPhase(record, [])
    while (job := phase.next_job()) is not None:
        train(phase, job.key, scores(record.trial(*job.key.split("/"))))
    at_once = {trial.key: trial.request.parameters for trial in record.trials()}

    record.paths.folder.rename(record.paths.studies / "at-once")
    record = new_record()
    while (job := SearchPhase(record, []).next_job()) is not None:
        phase = SearchPhase(record, [])
        again = phase.next_job()
        assert again is not None
        assert again.key == job.key
        train(phase, again.key, scores(record.trial(*again.key.split("/"))))
    assert {trial.key: trial.request.parameters for trial in record.trials()} == at_once


def test_after_the_deadline_no_new_round_begins(new_record: NewRecord) -> None:
    record = new_record()
    phase = SearchPhase(record, [], deadline=time.monotonic() + 3600)
    job = phase.next_job()
    assert job is not None
    phase.deadline = time.monotonic() - 1
    keys = [job.key]
    while (job := phase.next_job()) is not None:
        keys.append(job.key)
    assert keys == ["none/t00", "gt/t00", "paper/t00"]
    assert phase.out_of_time


def test_a_job_carries_what_a_worker_needs(new_record: NewRecord) -> None:
    record = new_record(resources={"cpus_per_trial": 2, "gpus_per_trial": 0.5})
    phase = SearchPhase(record, [])
    job = phase.next_job()
    assert job is not None
    assert (job.threads, job.gpu, job.test, job.seeds) == (2, True, False, (0, 1))
    assert job.settings["epochs"] == 4
    assert job.folder == str(record.paths.trial("none", "t00").folder)


def confirmable(new_record: NewRecord) -> Record:
    record = new_record()
    run_search(record, lambda key: [0.5 if key.endswith("t02") else 0.6] * 4 if "paper" not in key else [math.nan])
    return record


def test_winners_are_confirmed_on_fresh_seeds_the_same_in_every_arm(new_record: NewRecord) -> None:
    record = confirmable(new_record)
    phase = ConfirmPhase(record, [])
    seeds = tuple(range(FIRST_CONFIRM_SEED, FIRST_CONFIRM_SEED + 3))
    for arm in ("none", "gt"):
        job = phase.next_job()
        assert job is not None
        assert (job.key, job.test, job.seeds) == (f"{arm}/confirm", True, seeds)
        assert job.settings == record.trial(arm, "t02").request.settings
        train(phase, job.key, [0.5] * 4)
    assert phase.next_job() is None
    assert record.confirmation("gt") is not None
    assert record.confirmation("paper") is None


def test_a_confirmation_survives_some_diverged_members_and_not_all(new_record: NewRecord) -> None:
    record = confirmable(new_record)
    phase = ConfirmPhase(record, [])
    some, every = phase.next_job(), phase.next_job()
    assert some is not None
    assert every is not None
    assert not train(phase, some.key, [0.5, [0.5, math.nan, 0.7], [0.5, math.nan, 0.7], [0.5, math.nan, 0.7]])
    assert train(phase, every.key, [0.5, [math.nan] * 3])
    survived, failed = record.trial("none", "confirm").outcome, record.trial("gt", "confirm").outcome
    assert survived is not None
    assert failed is not None
    assert (survived.state, survived.objective) == ("complete", 0.6)
    assert (failed.state, failed.cause) == ("failed", "every member diverged by epoch 2")


def test_an_interrupted_confirmation_goes_on_and_a_finished_one_is_left_alone(new_record: NewRecord) -> None:
    record = confirmable(new_record)
    phase = ConfirmPhase(record, [])
    first, second = phase.next_job(), phase.next_job()
    assert first is not None
    assert second is not None
    train(phase, first.key, [0.5] * 4)
    phase.on_epoch(second.key, report(1, 0.5))
    resumed = ConfirmPhase(record, [])
    job = resumed.next_job()
    assert job is not None
    assert job.key == "gt/confirm"
    assert resumed.next_job() is None
    train(resumed, job.key, [0.5] * 4)
    assert [epoch["epoch"] for epoch in record.trial("gt", "confirm").epochs()] == [1, 2, 3, 4]
