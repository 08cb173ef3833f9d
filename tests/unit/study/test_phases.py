"""The phases as foremen, without Ray: what they ask for, what they write, what they stop."""

import math
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from optuna.trial import TrialState

from hpgan_core.trainable import EpochReport
from study.agenda import FIRST_CONFIRM_SEED, retriable
from study.budget import Pace
from study.comparison import compare
from study.errors import DamagedRecord
from study.phases import ConfirmPhase, SearchPhase
from study.record import Failure, FailureKind, Outcome, Record, Trial

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


def line_of(told: EpochReport) -> dict[str, Any]:
    """A report as the record has it."""
    return {name: value for name, value in vars(told).items() if name != "motions"} | {"time": float(told.epoch)}


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
    assert phase.budget_spent is None


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
            phase.on_end(job.key, Failure("bug", "RuntimeError: out of luck"))
        else:
            train(phase, job.key, [0.5] * 4)
    assert len(record.trials("gt")) == 4
    outcome = record.trial("gt", "t01").outcome
    assert outcome is not None
    assert (outcome.state, outcome.kind, outcome.cause) == ("failed", "bug", "RuntimeError: out of luck")
    assert (outcome.epochs, outcome.seconds, outcome.objective) == (1, 0.5, None)
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
    assert (outcome.kind, outcome.cause) == ("bug", "the training ended by itself after epoch 2 of 4")


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
    phase.on_end(job.key, Failure("crashed", "the process died"))
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
    assert (outcome.kind, outcome.cause) == ("diverged", "1 of 2 members diverged at epoch 2")
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
    record = Record(record.paths)
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
        trial.append_epoch(line_of(report(epoch, 1 / epoch)))
    record.trial("gt", "t00").append_epoch(line_of(report(1, [math.nan, math.nan])))
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


# What the record has lost


def test_a_trial_that_the_database_has_results_of_cannot_be_lost(new_record: NewRecord) -> None:
    record = new_record()
    run_search(record, lambda key: [0.5] * 4)
    shutil.rmtree(record.trial("gt", "t03").paths.folder)
    with pytest.raises(DamagedRecord, match=r"gt/t03 is damaged: it is missing, and the search's database has its res"):
        SearchPhase(Record(record.paths), [])


def test_an_open_trial_with_epochs_cannot_be_lost_either(new_record: NewRecord) -> None:
    record = new_record()
    phase = SearchPhase(record, [])
    job = phase.next_job()
    assert job is not None
    phase.on_epoch(job.key, report(1, 0.5))
    shutil.rmtree(record.trial("none", "t00").paths.folder)
    with pytest.raises(DamagedRecord, match="none/t00 is damaged"):
        SearchPhase(Record(record.paths), [])


def test_a_trial_that_a_driver_died_over_before_the_record_had_it_is_begun(new_record: NewRecord) -> None:
    record = new_record()
    phase = SearchPhase(record, [])
    job = phase.next_job()
    assert job is not None
    first = record.trial("none", "t00").request
    shutil.rmtree(record.trial("none", "t00").paths.folder)
    again = SearchPhase(Record(record.paths), []).next_job()
    assert again is not None
    assert again.key == job.key
    assert Record(record.paths).trial("none", "t00").request.parameters == first.parameters


def test_the_first_trial_cannot_be_lost_together_with_the_database(new_record: NewRecord) -> None:
    record = new_record()
    run_search(record, lambda key: [0.5] * 4)
    shutil.rmtree(record.trial("gt", "t00").paths.folder)
    record.paths.optuna.unlink()
    with pytest.raises(DamagedRecord, match=r"gt/t00/trial\.json is damaged"):
        SearchPhase(Record(record.paths), [])


def test_a_trial_that_nobody_trains_waits_in_optuna(new_record: NewRecord) -> None:
    record, stop = new_record(), [False]
    phase = SearchPhase(record, [], stopping=lambda: stop[0])
    jobs = [phase.next_job() for _ in range(4)]
    assert [job.key for job in jobs if job] == ["none/t00", "gt/t00", "paper/t00", "none/t01"]
    for key in ("none/t00", "gt/t00", "none/t01"):
        phase.on_start(key, "here")
        phase.on_epoch(key, report(1, 0.4))
    stop[0] = True
    phase.on_end("none/t00", None)
    phase.on_end("gt/t00", Failure("crashed", "killed"))
    drained = {arm: phase.arms[arm].study.trials for arm in phase.arms}
    assert optuna_states(phase, "none") == [TrialState.WAITING, TrialState.RUNNING]
    assert optuna_states(phase, "gt") == [TrialState.WAITING]
    assert drained["gt"][0].intermediate_values == {1: 0.4}

    # This driver is killed before the other two have ended; so is the next one.
    for _ in range(2):
        phase = SearchPhase(Record(record.paths), [])
        assert optuna_states(phase, "none") == [TrialState.WAITING, TrialState.WAITING]
        assert optuna_states(phase, "paper") == [TrialState.WAITING]
        begun = [phase.next_job(), phase.next_job()]
        assert [job.key for job in begun if job] == ["none/t00", "none/t01"]
        assert optuna_states(phase, "none") == [TrialState.RUNNING, TrialState.RUNNING]

    last = run_search(Record(record.paths), lambda key: [0.4] * 4)
    for arm, before in drained.items():
        after = last.arms[arm].study.trials
        assert [trial.state for trial in after] == [TrialState.COMPLETE] * 4
        assert [trial.number for trial in after] == [0, 1, 2, 3]
        assert [trial.params for trial in after][: len(before)] == [trial.params for trial in before]


@pytest.mark.parametrize("damage", ["no database", "a page of noise", "cut short"])
def test_a_damaged_database_is_set_aside_and_rebuilt(new_record: NewRecord, damage: str) -> None:
    record = new_record()
    before = run_search(record, lambda key: [0.5] * 4).arms["gt"].study.trials
    path, told = record.paths.optuna, list[str]()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = path.read_bytes()
    half = len(content) // 2 // 4096 * 4096
    noise = {
        "no database": b"no database at all" * 500,
        "a page of noise": content[:half] + bytes([0xA5]) * 8192 + content[half + 8192 :],
        "cut short": content[:half],
    }[damage]
    path.write_bytes(noise)
    again = SearchPhase(Record(record.paths), [], tell=told.append)
    assert again.next_job() is None
    after = again.arms["gt"].study.trials
    assert [(one.state, one.params, one.values) for one in after] == [
        (one.state, one.params, one.values) for one in before
    ]
    assert (record.paths.folder / "optuna.db.damaged").read_bytes() == noise
    (line,) = told
    assert "optuna.db is damaged (" in line
    assert line.endswith("It is kept as optuna.db.damaged, and made anew from the record.")


def test_values_that_an_arm_cannot_have_are_damage(new_record: NewRecord) -> None:
    record = new_record()
    run_search(record, lambda key: [0.5] * 4)
    path = record.trial("gt", "t00").paths.request
    text = path.read_text()
    for changed in (
        text.replace('"gt_weight"', '"gt_weighu"', 1),
        text.replace('"lambda_gp": 1', '"lambda_gp": -1', 1),
    ):
        assert changed != text
        path.write_text(changed)
        with pytest.raises(DamagedRecord, match=r"gt/t00/trial\.json is damaged: its parameters are not those"):
            SearchPhase(Record(record.paths), [])


def test_what_a_process_tells_after_its_trials_end_is_not_recorded(new_record: NewRecord) -> None:
    record = new_record()
    phase = SearchPhase(record, [])
    job = phase.next_job()
    assert job is not None
    assert phase.on_epoch(job.key, report(1, [0.5, math.nan]))
    assert phase.on_epoch(job.key, report(2, 0.5))
    assert len(Record(record.paths).trial("none", "t00").epochs()) == 1


# What is stopped with the study


def test_a_trial_that_is_stopped_with_the_study_stays_open_and_goes_on(new_record: NewRecord) -> None:
    record, heard, stop = new_record(), Heard(), [False]
    phase = SearchPhase(record, [heard], stopping=lambda: stop[0])
    job = phase.next_job()
    assert job is not None
    phase.on_start(job.key, "here")
    phase.on_epoch(job.key, report(1, 0.5))
    stop[0] = True
    assert phase.next_job() is None
    phase.on_end(job.key, None)
    trial = record.trial("none", "t00")
    assert (trial.state, [attempt.kind for attempt in trial.attempts()]) == ("running", ["stopped"])
    assert heard.ended == []
    again = SearchPhase(Record(record.paths), []).next_job()
    assert again is not None
    assert again.key == job.key


def test_a_trial_whose_process_dies_while_the_study_stops_has_not_failed(new_record: NewRecord) -> None:
    record, stop = new_record(), [False]
    phase = SearchPhase(record, [], stopping=lambda: stop[0])
    job = phase.next_job()
    assert job is not None
    phase.on_start(job.key, "here")
    stop[0] = True
    phase.on_end(job.key, Failure("crashed", "the process died"))
    trial = record.trial("none", "t00")
    assert (trial.state, trial.attempts()[0].kind) == ("running", "crashed")


def test_every_attempt_is_recorded_with_its_place_its_process_and_its_end(new_record: NewRecord) -> None:
    record = new_record()
    phase = SearchPhase(record, [])
    job = phase.next_job()
    assert job is not None
    for place, process in (("one", 11), ("two", 22)):
        phase.on_start(job.key, place)
        phase.on_process(job.key, place, process, {"threads": process})
        if place == "one":
            phase.on_retry(job.key, Failure("crashed", "killed"))
    train(phase, job.key, [0.5] * 4)
    first, second = record.trial("none", "t00").attempts()
    assert (first.place, first.process, first.kind, first.cause) == ("one", 11, "crashed", "killed")
    assert (second.attempt, second.place, second.process, second.kind) == (2, "two", 22, None)
    assert (first.environment, second.environment) == ({"threads": 11}, {"threads": 22})
    assert first.ended_at is not None
    assert second.ended_at is not None
    assert first.started_at < first.ended_at < second.started_at < second.ended_at


def test_a_clock_that_is_set_back_changes_no_order(new_record: NewRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [2_000_000_000.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    pruner = {"name": "successive_halving", "grace_epochs": 1, "reduction_factor": 2}
    record = new_record(
        search={"trials_per_arm": 3, "epochs": 4, "pruner": pruner}, arms={"gt": ["gt"]}, claims=[], reference=None
    )
    jobs = [(phase := SearchPhase(record, [])).next_job()]
    for number, score in enumerate((0.5, 0.9, 0.1)):
        job = jobs.pop()
        assert job is not None
        # An hour back before each trial, with a new driver for each.
        clock[0] -= 3600
        train(phase, job.key, [score] * 4)
        record = Record(record.paths)
        phase = SearchPhase(record, [])
        jobs.append(phase.next_job())
        assert [trial.state for trial in record.trials("gt")][: number + 1] == ["complete", "pruned", "complete"][
            : number + 1
        ]
    times = [epoch["time"] for trial in record.trials("gt") for epoch in trial.epochs()]
    assert times == sorted(set(times))
    endings = [trial.outcome.ended_at for trial in record.trials("gt") if trial.outcome]
    assert endings == sorted(set(endings))


# Budgets


def spend(phase: SearchPhase, key: str) -> None:
    """Train four epochs of one second each."""
    phase.on_start(key, "here")
    for epoch in range(1, 5):
        phase.on_epoch(key, replace(report(epoch, 0.5), seconds=1.0))
    phase.on_end(key, None)


def spending_search(record: Record, pace: Pace) -> tuple[SearchPhase, list[str]]:
    """A whole search, and the trials it ran."""
    phase, keys = SearchPhase(record, [], pace=pace), []
    while (job := phase.next_job()) is not None:
        keys.append(job.key)
        spend(phase, job.key)
    return phase, keys


def test_the_search_ends_early_enough_for_the_winners_to_be_confirmed(new_record: NewRecord) -> None:
    """A round takes 12 s, and the confirmation of three winners, 3 members of 4 epochs each, 18 s."""
    for wall_time_s, rounds in ((1.0, 1), (12.0 + 12.0 + 18.0, 2), (3 * 12.0 + 17.0, 2), (3 * 12.0 + 18.5, 3)):
        record = new_record(budget={"wall_time_s": wall_time_s})
        used = [0.0]
        phase = SearchPhase(record, [], pace=Pace(lambda: used[0], 1))  # noqa: B023
        trials = 0
        while (job := phase.next_job()) is not None:
            spend(phase, job.key)
            used[0], trials = used[0] + 4.0, trials + 1
        assert trials == 3 * rounds, wall_time_s
        assert phase.budget_spent is not None
        assert phase.budget_spent.startswith(f"budget.wall_time_s is {wall_time_s:g}: {used[0]:.0f} s are used, and ")
        record.paths.folder.rename(record.paths.studies / f"of-{rounds}-{wall_time_s}")


def test_trials_beside_each_other_take_less_of_the_wall_time_and_no_less_of_the_devices(new_record: NewRecord) -> None:
    record = new_record(budget={"wall_time_s": 20.0}, resources={"cpus_per_trial": 2})
    _, keys = spending_search(record, Pace(lambda: 4.0, 3))
    assert len(keys) == 12
    record.paths.folder.rename(record.paths.studies / "wall")
    # Two cores a trial: each round costs 24 core seconds, the confirmations 36.
    record = new_record(budget={"device_hours": (24 + 24 + 36 + 1) / 3600}, resources={"cpus_per_trial": 2})
    phase, keys = spending_search(record, Pace(lambda: 4.0, 3))
    assert len(keys) == 6
    assert phase.budget_spent is not None
    assert phase.budget_spent.startswith("budget.device_hours is ")


def test_what_earlier_drivers_have_spent_counts(new_record: NewRecord) -> None:
    record = new_record(budget={"wall_time_s": 100.0})
    _, keys = spending_search(record, Pace(lambda: 0.0, 1))
    assert len(keys) == 12
    record.paths.folder.rename(record.paths.studies / "unhurried")
    record = new_record(budget={"wall_time_s": 100.0})
    phase = SearchPhase(record, [])
    for _ in range(3):
        job = phase.next_job()
        assert job is not None
        train(phase, job.key, [0.5] * 4)
    resumed = SearchPhase(Record(record.paths), [], pace=Pace(lambda: 99.0, 1))
    assert resumed.next_job() is None
    assert resumed.budget_spent is not None


def test_a_round_that_has_begun_is_finished_whatever_it_costs(new_record: NewRecord) -> None:
    record, used = new_record(budget={"wall_time_s": 1000.0}), [0.0]
    phase = SearchPhase(record, [], pace=Pace(lambda: used[0], 1))
    keys = []
    while (job := phase.next_job()) is not None:
        keys.append(job.key)
        train(phase, job.key, [0.5] * 4)
        if job.key == "none/t02":
            used[0] = 2000.0
    assert keys[-1] == "paper/t02"


@pytest.mark.parametrize(("allowed", "failures"), [(0.0, 1), (0.25, 4), (0.3, 4)])
def test_more_failures_than_allowed_end_the_search(new_record: NewRecord, allowed: float, failures: int) -> None:
    """Of twelve planned trials."""
    record = new_record(budget={"failed_fraction": allowed})
    phase, ended = SearchPhase(record, []), 0
    while (job := phase.next_job()) is not None:
        phase.on_end(job.key, Failure("bug", "no"))
        ended += 1
    assert ended == failures
    assert phase.too_many_failed == (
        f"{failures} of 12 planned trials have failed, and budget.failed_fraction is {allowed:g}"
    )


# Amendments


def fail(record: Record, *keys: str, kind: FailureKind = "crashed") -> SearchPhase:
    """Run the search; these trials fail."""
    phase = SearchPhase(record, [])
    while (job := phase.next_job()) is not None:
        if job.key in keys:
            phase.on_end(job.key, Failure(kind, "it broke"))
        else:
            train(phase, job.key, [0.5] * 4)
    return phase


def test_failed_trials_are_retried_as_new_trials_with_the_same_values(new_record: NewRecord) -> None:
    record = new_record()
    fail(record, "gt/t01", "gt/t03")
    before = {trial.key: trial.outcome for trial in record.trials()}
    assert [trial.key for trial in retriable(record)] == ["gt/t01", "gt/t03"]
    record.amend("retry_failed", trials=["gt/t01", "gt/t03"])
    phase = fail(Record(record.paths), "gt/t04")
    record = Record(record.paths)
    assert [trial.request.trial for trial in record.trials("gt")] == [f"t{number:02d}" for number in range(6)]
    for again, first in (("t04", "t01"), ("t05", "t03")):
        request = record.trial("gt", again).request
        assert request.retry_of == first
        assert request.parameters == record.trial("gt", first).request.parameters
    assert [len(record.trials(arm)) for arm in ("none", "paper")] == [4, 4]
    assert {key: record.find(key).outcome for key in before} == before
    states = optuna_states(phase, "gt")
    assert [states[number] for number in (1, 3, 4, 5)] == [TrialState.FAIL] * 3 + [TrialState.COMPLETE]
    # A retry that fails may be retried.
    assert [trial.key for trial in retriable(record)] == ["gt/t04"]
    assert SearchPhase(record, []).next_job() is None


def test_trials_that_diverged_are_not_offered_for_a_retry(new_record: NewRecord) -> None:
    record = new_record()
    run_search(record, lambda key: [math.nan] if key == "gt/t02" else [0.5] * 4)
    assert retriable(record) == []


def test_a_retry_that_a_driver_died_over_is_gone_on_with(new_record: NewRecord) -> None:
    record = new_record()
    fail(record, "gt/t01")
    record.amend("retry_failed", trials=["gt/t01"])
    record = Record(record.paths)
    phase = SearchPhase(record, [])
    # The record has the request, and Optuna does not know of it yet.
    record.start(phase.request("gt", 4, record.find("gt/t01").request.parameters, record.find("gt/t01")))
    resumed = SearchPhase(Record(record.paths), [])
    job = resumed.next_job()
    assert job is not None
    assert job.key == "gt/t04"
    train(resumed, job.key, [0.5] * 4)
    assert resumed.next_job() is None
    assert optuna_states(resumed, "gt")[4] == TrialState.COMPLETE


def test_added_trials_come_on_top_in_every_arm(new_record: NewRecord) -> None:
    record = new_record()
    run_search(record, lambda key: [0.5] * 4)
    for added in (1, 2):
        record.amend("add_trials", trials=added)
    record = Record(record.paths)
    run_search(record, lambda key: [0.4] * 4)
    assert [len(record.trials(arm)) for arm in ("none", "gt", "paper")] == [7, 7, 7]


def confirm(record: Record, *, but: tuple[str, ...] = ()) -> dict[str, tuple[int, ...]]:
    """Run the confirm phase; these trials fail. The seeds of each trial that it ran."""
    phase, seeds = ConfirmPhase(record, []), {}
    while (job := phase.next_job()) is not None:
        seeds[job.key] = job.seeds
        if job.key in but:
            phase.on_end(job.key, Failure("out_of_memory", "too big"))
        else:
            train(phase, job.key, [[0.5] * len(job.seeds)] * 4)
    return seeds


FRESH = tuple(range(FIRST_CONFIRM_SEED, FIRST_CONFIRM_SEED + 9))


def test_more_seeds_are_the_next_fresh_ones(new_record: NewRecord) -> None:
    record = confirmable(new_record)
    assert confirm(record) == {"none/confirm": FRESH[:3], "gt/confirm": FRESH[:3]}
    record.amend("more_seeds", members=2)
    record = Record(record.paths)
    assert confirm(record) == {"none/confirm-2": FRESH[3:5], "gt/confirm-2": FRESH[3:5]}
    assert confirm(record) == {}
    assert compare(record).arms["gt"].n_members == 5


def test_a_new_winner_is_confirmed_on_the_seeds_of_all(new_record: NewRecord) -> None:
    record = confirmable(new_record)
    confirm(record)
    record.amend("add_trials", trials=1)
    record = Record(record.paths)
    run_search(record, lambda key: [math.nan if "paper" in key else 0.1 if key == "gt/t04" else 0.9] * 4)
    assert confirm(record) == {"gt/confirm-2": FRESH[:3]}
    assert record.trial("gt", "confirm-2").request.number == 4
    assert [trial.request.trial for trial in record.confirmations("gt")] == ["confirm-2"]
    assert compare(record).arms["gt"].winner == "t04"


def test_the_open_confirmation_of_a_beaten_winner_is_closed(new_record: NewRecord) -> None:
    record = confirmable(new_record)
    phase = ConfirmPhase(record, [])
    job = phase.next_job()
    assert job is not None
    record.amend("add_trials", trials=1)
    record = Record(record.paths)
    run_search(record, lambda key: [0.1] * 4)
    assert set(confirm(record)) == {"none/confirm-2", "gt/confirm", "paper/confirm"}
    outcome = record.trial("none", "confirm").outcome
    assert outcome is not None
    assert (outcome.state, outcome.cause) == ("pruned", "another trial has become the winner of this arm")


def test_a_failed_confirmation_is_retried_on_the_same_seeds_once_that_is_asked_for(new_record: NewRecord) -> None:
    record = confirmable(new_record)
    confirm(record, but=("gt/confirm",))
    assert confirm(Record(record.paths)) == {}
    assert record.confirmation("gt") is None
    assert [trial.key for trial in retriable(record)] == ["gt/confirm"]
    record.amend("retry_failed", trials=["gt/confirm"])
    record.amend("more_seeds", members=1)
    record = Record(record.paths)
    assert confirm(record) == {"none/confirm-2": FRESH[3:4], "gt/confirm-2": FRESH[:4]}
    assert record.trial("gt", "confirm-2").request.retry_of == "confirm"
    arms = compare(record).arms
    assert (arms["gt"].n_members, arms["none"].n_members) == (4, 4)


def test_arms_are_compared_seed_by_seed_however_their_seeds_came_about(new_record: NewRecord) -> None:
    record = confirmable(new_record)
    confirm(record)
    record.amend("more_seeds", members=2)
    record = Record(record.paths)
    confirm(record, but=("gt/confirm-2",))
    members = {arm: compare(record).arms[arm].metrics["val/score"].members for arm in ("none", "gt")}
    assert members["none"] == (0.5,) * 5
    assert members["gt"][:3] == (0.5,) * 3
    assert all(math.isnan(value) for value in members["gt"][3:])
