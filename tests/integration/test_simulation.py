"""Simulated studies against the real ones whose curves they replay."""

import gc
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scale import LearningCurves
from study.errors import BadStudyInput
from study.phases import SearchPhase
from study.record import Outcome, Record, Trial
from study.simulation import Replay, Workshop, forecast
from study.study_file import StudyFile

MakeRecord = Callable[..., Record]
Drive = Callable[..., None]
# At most, so that thousands of finished trials leave the driver far below 1 GB: values and results, and no epochs.
KB_A_TRIAL = 16
SEARCH: dict[str, Any] = {
    "trials_per_arm": 6,
    "members": 2,
    "epochs": 4,
    "sampler": {"name": "tpe", "seed": 5},
    "pruner": {"name": "successive_halving", "grace_epochs": 1, "reduction_factor": 2},
}


@pytest.fixture(scope="module")
def finished(make_record: MakeRecord, drive: Drive, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Six trials an arm, two of them again, one confirmed, trained one after the other."""
    confirm = {"members": 3, "epochs": 2, "shortlist": {"trials": 2, "members": 2}}
    record = make_record(tmp_path_factory.mktemp("finished"), search=SEARCH, confirm=confirm)
    with record.driving():
        drive(record)
    return record


def changed(record: Record, **search: Any) -> StudyFile:
    return StudyFile.from_canonical(record.study_file.canonical() | {"search": SEARCH | search})


def seconds(record: Record, phase: Any = None) -> float:
    return sum(epoch["seconds"] for trial in record.trials(phase=phase) for epoch in trial.epochs())


def test_a_study_replayed_as_it_was_run_is_the_same_study(finished: Record) -> None:
    told = forecast(finished.study_file, Replay(finished, finished.study_file), workers=1)
    assert told.states == dict(Counter(trial.state for trial in finished.trials(phase="search")))
    assert told.states["pruned"] > 0
    assert told.best == {
        arm: winner.outcome.objective
        for arm in finished.study_file.arms
        if (winner := finished.winner(arm)) and winner.outcome
    }
    assert told.search_s == pytest.approx(seconds(finished, "search"))
    assert told.shortlist_s == pytest.approx(seconds(finished, "shortlist"))
    assert told.shortlist_s > 0
    assert told.confirm_s == pytest.approx(seconds(finished, "confirm"))
    assert told.device_hours == pytest.approx(seconds(finished) / 3600)
    assert told.idle == pytest.approx(0.0, abs=1e-9)


def test_more_workers_take_less_time_and_wait_more(finished: Record) -> None:
    replay = Replay(finished, finished.study_file)
    alone, together, many = (forecast(finished.study_file, replay, workers) for workers in (1, 2, 100))
    assert alone.makespan_s > together.makespan_s > many.makespan_s
    assert alone.idle < together.idle < many.idle < 1
    # The longest trial of each phase is what no number of workers makes shorter.
    assert many.makespan_s > max(seconds(finished, phase) / 12 for phase in ("search", "confirm"))


def test_without_pruning_every_trial_runs_to_its_end(finished: Record) -> None:
    study_file = changed(finished, pruner={"name": "none"})
    told = forecast(study_file, Replay(finished, study_file), workers=1)
    assert told.states == {"complete": 12}
    pruned = forecast(finished.study_file, Replay(finished, finished.study_file), workers=1)
    assert told.search_s > pruned.search_s


def test_a_budget_ends_the_search_at_simulated_time(finished: Record) -> None:
    replay = Replay(finished, finished.study_file)
    whole = forecast(finished.study_file, replay, workers=1)
    budget = {"wall_time_s": 0.6 * whole.makespan_s}
    study_file = StudyFile.from_canonical(finished.study_file.canonical() | {"budget": budget})
    told = forecast(study_file, replay, workers=1)
    assert told.budget_spent is not None
    assert "budget.wall_time_s" in told.budget_spent
    assert sum(told.states.values()) < 12
    assert told.makespan_s < whole.makespan_s


def test_more_trials_than_were_recorded_replay_their_nearest(finished: Record) -> None:
    study_file = changed(finished, trials_per_arm=40, sampler={"name": "qmc", "seed": 1})
    told = forecast(study_file, Replay(finished, study_file), workers=3)
    assert sum(told.states.values()) == 80


def test_an_arm_that_was_never_trained_cannot_be_replayed(make_record: MakeRecord, tmp_path: Path) -> None:
    record = make_record(tmp_path)
    with pytest.raises(BadStudyInput, match="study 'small' has no trial to replay of: none, gt"):
        Replay(record, record.study_file)


class _Memory:
    """A listener that notes what Python holds when some trials have ended, and again in the end."""

    def __init__(self, *counts: int) -> None:
        self.counts, self.ended, self.kb = counts, 0, list[float]()

    def trial_started(self, trial: Trial, place: str) -> None: ...

    def epoch_reported(self, trial: Trial, epoch: dict[str, Any]) -> None: ...

    def trial_ended(self, trial: Trial, outcome: Outcome) -> None:
        self.ended += 1
        if self.ended in self.counts:
            gc.collect()
            self.kb.append(tracemalloc.get_traced_memory()[0] / 1024)


def test_the_driver_keeps_no_epoch_of_a_finished_trial(make_record: MakeRecord, tmp_path: Path) -> None:
    pruner = SEARCH["pruner"] | {"grace_epochs": 20}
    search = SEARCH | {"trials_per_arm": 24, "epochs": 20, "sampler": {"name": "random"}, "pruner": pruner}
    record, memory = make_record(tmp_path, search=search), _Memory(16, 48)
    with record.driving():
        tracemalloc.start()
        try:
            Workshop(LearningCurves(), record, workers=2).run(SearchPhase(record, [memory]))
        finally:
            tracemalloc.stop()
    # What is made once, as the tables of Optuna, is there by the first look.
    before, after = memory.kb
    assert (after - before) / 32 < KB_A_TRIAL
