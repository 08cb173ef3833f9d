"""The shortlist: whom it trains again, on which seeds, and who wins."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hpgan_core.trainable import EpochReport
from study.agenda import FIRST_CONFIRM_SEED, FIRST_SHORTLIST_SEED, retriable
from study.budget import Pace, Spending
from study.comparison import compare
from study.phases import ConfirmPhase, SearchPhase, ShortlistPhase
from study.record import Failure, Record
from study.standing import Standing
from study.study_file import StudyFile

NewRecord = Callable[..., Record]
Scores = dict[str, list[float]]
CONFIRM = {"members": 3, "shortlist": {"trials": 2, "members": 2}}
SEEDS = (FIRST_SHORTLIST_SEED, FIRST_SHORTLIST_SEED + 1)
# By the search t01 is best and t03 next, in every arm.
SEARCHED = {"t00": 0.9, "t01": 0.1, "t02": 0.8, "t03": 0.2}


def train(phase: SearchPhase | ShortlistPhase | ConfirmPhase, key: str, scores: list[float]) -> None:
    for epoch in range(1, 5):
        phase.on_epoch(key, EpochReport.summarise(epoch, [{"val/score": score} for score in scores], 0.5))
    phase.on_end(key, None)


def searched(new_record: NewRecord, **sections: Any) -> Record:
    record = new_record(**{"arms": {"none": [], "gt": ["gt"]}, "reference": "none", "claims": []} | sections)
    search(record)
    return record


def search(record: Record, scores: dict[str, float] | None = None) -> None:
    phase = SearchPhase(record, [])
    while (job := phase.next_job()) is not None:
        train(phase, job.key, [(scores or SEARCHED)[job.key.split("/")[1]]] * 2)


def shortlist(record: Record, scores: Scores, but: tuple[str, ...] = ()) -> dict[str, tuple[int, ...]]:
    """Run the shortlist; trials ``but`` these fail. The seeds of each trial that it ran."""
    phase, seeds = ShortlistPhase(record, []), {}
    while (job := phase.next_job()) is not None:
        assert not job.test
        seeds[job.key] = job.seeds
        if job.key in but:
            phase.on_end(job.key, Failure("bug", "out of luck"))
        else:
            train(phase, job.key, scores.get(job.key.split("/")[1], [0.5, 0.5]))
    return seeds


def winner(record: Record, arm: str = "gt") -> str:
    found = record.winner(arm)
    assert found is not None
    return found.request.trial


def test_the_best_trials_of_every_arm_are_trained_again_on_the_same_new_seeds(new_record: NewRecord) -> None:
    record = searched(new_record, confirm=CONFIRM)
    ran = shortlist(record, {})
    assert ran == {f"{arm}/shortlist-{trial}": SEEDS for arm in ("none", "gt") for trial in ("t01", "t03")}
    used = {seed for trial in record.trials(phase="search") for seed in trial.request.seeds}
    fresh = range(FIRST_CONFIRM_SEED, FIRST_CONFIRM_SEED + 1024)
    assert used.isdisjoint(SEEDS)
    assert set(fresh).isdisjoint(SEEDS)
    assert shortlist(record, {}) == {}


def test_the_winner_is_the_best_on_the_new_seeds_and_it_is_confirmed(new_record: NewRecord) -> None:
    record = searched(new_record, confirm=CONFIRM)
    assert winner(record) == "t01"
    shortlist(record, {"shortlist-t01": [0.7, 0.6], "shortlist-t03": [0.4, 0.3]})
    assert winner(record) == "t03"
    best = record.best()
    assert best is not None
    assert best.key == "none/t03"
    phase = ConfirmPhase(record, [])
    assert [request.number for request in phase.waiting] == [3, 3]
    while (job := phase.next_job()) is not None:
        train(phase, job.key, [0.5] * 3)
    arm = compare(Record(record.paths)).arms["gt"]
    assert (arm.winner, arm.picked, arm.shortlisted, arm.confirmed) == ("t03", 0.2, 0.35, 0.5)
    assert arm.optimism == pytest.approx(0.3)


def test_more_is_better_where_the_objective_says_so(new_record: NewRecord) -> None:
    goal = {"metric": "val/score", "goal": "maximize"}
    record = searched(new_record, confirm=CONFIRM, objective=goal)
    ran = shortlist(record, {"shortlist-t00": [0.1, 0.1], "shortlist-t02": [0.2, 0.2]})
    assert set(ran) == {f"{arm}/shortlist-{trial}" for arm in ("none", "gt") for trial in ("t00", "t02")}
    assert winner(record) == "t02"


def test_a_candidate_whose_members_diverge_comes_after_those_whose_do_not(new_record: NewRecord) -> None:
    record = searched(new_record, confirm=CONFIRM)
    shortlist(record, {"shortlist-t01": [math.nan, 0.1], "shortlist-t03": [0.9, 0.9]})
    assert winner(record) == "t03"


def test_a_candidate_whose_member_diverges_in_the_last_epoch_has_diverged(new_record: NewRecord) -> None:
    record = searched(new_record, confirm=CONFIRM)
    phase = ShortlistPhase(record, [])
    while (job := phase.next_job()) is not None:
        late = job.key.endswith("t01")
        for epoch in range(1, 5):
            scores = [0.9, 0.9] if not late else [math.nan, 0.1] if epoch == 4 else [0.1, 0.1]
            phase.on_epoch(job.key, EpochReport.summarise(epoch, [{"val/score": score} for score in scores], 0.5))
        phase.on_end(job.key, None)
    assert winner(record) == "t03"


def test_what_another_arm_has_trained_again_is_nothing_to_this_one(new_record: NewRecord) -> None:
    record = searched(new_record, confirm=CONFIRM)
    shortlist(record, {"shortlist-t01": [0.1, 0.1], "shortlist-t03": [0.4, 0.4]}, but=("gt/shortlist-t01",))
    assert (winner(record, "none"), winner(record, "gt")) == ("t01", "t03")


def test_where_no_candidate_could_be_trained_again_the_search_picks(new_record: NewRecord) -> None:
    record = searched(new_record, confirm=CONFIRM)
    shortlist(record, {"shortlist-t01": [math.nan] * 2}, but=("gt/shortlist-t03", "none/shortlist-t03"))
    assert winner(record) == "t01"
    # The one that diverged would diverge again.
    assert [trial.key for trial in retriable(record)] == ["none/shortlist-t03", "gt/shortlist-t03"]


def test_a_failed_candidate_is_trained_again_once_that_is_asked_for(new_record: NewRecord) -> None:
    record = searched(new_record, confirm=CONFIRM)
    shortlist(record, {}, but=("gt/shortlist-t03",))
    assert shortlist(record, {}) == {}
    record.amend("retry_failed", trials=["gt/shortlist-t03"])
    record = Record(record.paths)
    assert shortlist(record, {"shortlist-t03-2": [0.1, 0.1]}) == {"gt/shortlist-t03-2": SEEDS}
    assert record.trial("gt", "shortlist-t03-2").request.retry_of == "shortlist-t03"
    assert winner(record) == "t03"


def test_of_a_shortlist_that_added_trials_change_only_what_is_missing_is_trained(new_record: NewRecord) -> None:
    record = searched(new_record, confirm=CONFIRM)
    shortlist(record, {})
    record.amend("add_trials", trials=1)
    record = Record(record.paths)
    search(record, {"t04": 0.15})
    assert set(shortlist(record, {"shortlist-t04": [0.3, 0.3]})) == {"none/shortlist-t04", "gt/shortlist-t04"}
    # t03, which has been trained again too, is no candidate any more.
    assert [trial.request.trial for trial in record.candidates("gt")] == ["t01", "t04"]
    assert winner(record) == "t04"


def test_an_open_trial_that_is_no_candidate_any_more_is_closed(new_record: NewRecord) -> None:
    record = searched(new_record, confirm=CONFIRM)
    phase = ShortlistPhase(record, [])
    keys = [job.key for _ in range(4) if (job := phase.next_job())]
    assert keys[-1] == "gt/shortlist-t03"
    record.amend("add_trials", trials=1)
    record = Record(record.paths)
    search(record, {"t04": 0.15})
    assert set(shortlist(record, {})) == {
        f"{arm}/shortlist-{trial}" for arm in ("none", "gt") for trial in ("t01", "t04")
    }
    outcome = record.trial("gt", "shortlist-t03").outcome
    assert outcome is not None
    assert (outcome.state, outcome.cause) == ("pruned", "other trials have become the best of this arm")


def test_a_shortlist_that_is_interrupted_anywhere_ends_as_one_that_was_not(new_record: NewRecord) -> None:
    record = searched(new_record, confirm=CONFIRM)
    keys = []
    for epochs in (0, 2, 4):
        # Each driver begins one trial, tells some epochs of it, and is gone.
        phase = ShortlistPhase(Record(record.paths), [])
        job = phase.next_job()
        assert job is not None
        keys.append(job.key)
        for epoch in range(1, epochs + 1):
            phase.on_epoch(job.key, EpochReport.summarise(epoch, [{"val/score": 0.5}] * 2, 0.5))
    assert keys == ["none/shortlist-t01"] * 3
    record = Record(record.paths)
    assert set(shortlist(record, {})) == {"none/shortlist-t03", "gt/shortlist-t01", "gt/shortlist-t03"}
    assert all(len(trial.epochs()) == 4 for trial in record.trials(phase="shortlist"))


@pytest.mark.parametrize("section", [None, {"trials": 1, "members": 2}])
def test_without_a_shortlist_the_search_picks_the_winner(new_record: NewRecord, section: Any) -> None:
    record = searched(new_record, confirm={"members": 3, "shortlist": section})
    assert ShortlistPhase(record, []).next_job() is None
    assert winner(record) == "t01"
    assert record.study_file.shortlist_member_epochs() == 0


def test_a_single_complete_trial_wins_without_being_trained_again(new_record: NewRecord) -> None:
    record = searched(
        new_record, confirm=CONFIRM, search={"trials_per_arm": 1, "epochs": 4, "pruner": {"name": "none"}}
    )
    assert shortlist(record, {}) == {}
    assert record.study_file.n_shortlisted() == 0
    assert winner(record) == "t00"


def test_the_shortlist_is_counted_before_and_shown_while_it_runs(new_record: NewRecord) -> None:
    record = searched(new_record, confirm=CONFIRM)
    assert record.study_file.n_shortlisted() == 4
    assert record.study_file.shortlist_member_epochs() == 2 * 2 * 2 * 4
    shortlist(record, {"shortlist-t03": [0.4, 0.4]}, but=("gt/shortlist-t01",))
    standing = Standing(record, Pace(lambda: 1.0, 1)).to_json(driven=False)
    arm = standing["arms"]["gt"]
    assert arm["shortlist"] == {"planned": 2, "ended": 2}
    assert (arm["best_trial"], arm["best"], arm["failed_by"], arm["complete"]) == ("t03", 0.2, {"bug": 1}, 4)


def test_a_budget_keeps_what_the_shortlist_will_need(
    new_record: NewRecord, study_with: Callable[..., StudyFile]
) -> None:
    record = searched(new_record, confirm=CONFIRM, budget={"wall_time_s": 30.0})
    pace = Pace(driven_s=lambda: 0.0, slots=1)
    # 0.25 s an epoch of a member: 4 s of another round, 8 s of shortlists, 6 s of confirmations.
    told = Spending(record, replace(pace, driven_s=lambda: 12.5)).too_dear()
    assert told is not None
    assert "another round of trials with the shortlist and the confirmations takes about 18 s" in told
    assert Spending(record, replace(pace, driven_s=lambda: 11.5)).too_dear() is None


def test_of_several_objectives_the_front_is_the_shortlist(new_record: NewRecord) -> None:
    objectives = [{"metric": "val/score"}, {"metric": "val/apd", "goal": "maximize"}]
    record = new_record(
        arms={"gt": ["gt"]}, reference="gt", claims=[], confirm=CONFIRM, objectives=objectives,
        search={"trials_per_arm": 4, "epochs": 4},
    )  # fmt: skip
    # The first three trade off, the last is beaten in both.
    points = {"gt/t00": (0.3, 3.0), "gt/t01": (0.1, 1.0), "gt/t02": (0.2, 2.0), "gt/t03": (0.15, 0.5)}
    phase = SearchPhase(record, [])
    while (job := phase.next_job()) is not None:
        score, apd = points[job.key]
        for epoch in range(1, 5):
            metrics = {"val/score": score, "val/apd": apd}
            phase.on_epoch(job.key, EpochReport.summarise(epoch, [metrics] * 2, 0.5))
        phase.on_end(job.key, None)
    assert set(shortlist(record, {})) == {"gt/shortlist-t01", "gt/shortlist-t02"}


def test_every_opening_of_the_test_split_is_logged_with_the_winners(new_record: NewRecord) -> None:
    record = searched(new_record, confirm=CONFIRM)
    assert record.openings() == []
    shortlist(record, {"shortlist-t03": [0.4, 0.4]})
    for driver, trials in (("process 1 on here", ["gt/confirm"]), ("process 2 on here", [])):
        record.open_test_split(driver, trials)
    first, second = Record(record.paths).openings()
    assert (first.driver, first.trials, first.winners) == (
        "process 1 on here", ["gt/confirm"], {"none": "t03", "gt": "t03"},
    )  # fmt: skip
    assert second.trials == []
    assert second.time > first.time
