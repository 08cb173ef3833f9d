"""What is said of a study, from a record written by hand."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from study.comparison import compare, differing, effects_on
from study.record import Record, Trial

NewRecord = Callable[..., Record]
AddTrial = Callable[..., Trial]
METRICS = ("ade", "fde", "apd", "joint_error_mm", "bone_error", "jerk_ratio")
BASELINE = dict.fromkeys(METRICS, 0.5)


def confirmed(record: Record, add_trial: AddTrial, arm: str, ade: list[float]) -> None:
    """An arm's winner on fresh seeds with these test ADEs, NaN where a member has diverged."""
    trial = add_trial(record, arm, "confirm", [], state=None)
    healthy = [index for index, value in enumerate(ade) if math.isfinite(value)]
    test = {f"test/{name}": ade for name in METRICS}
    members = {"val/score": [math.nan if math.isnan(value) else 0.2 for value in ade]} | test
    mean = {name: sum(values[i] for i in healthy) / len(healthy) for name, values in members.items()}
    line = {"epoch": 1, "members": members, "mean": mean, "spread": {}, "diverged": len(ade) - len(healthy)}
    trial.append_epoch(line | {"seconds": 2.0, "time": 0.0})
    trial.close("complete", mean["val/score"])


@pytest.fixture
def finished(new_record: NewRecord, add_trial: AddTrial) -> Record:
    record = new_record()
    for arm, score in (("none", 0.3), ("gt", 0.1), ("paper", 0.2)):
        add_trial(record, arm, "t00", [score] * 4)
        add_trial(record, arm, "t01", [score + 1], "pruned")
    confirmed(record, add_trial, "none", [0.60, 0.61, 0.59])
    confirmed(record, add_trial, "gt", [0.30, 0.31, 0.29])
    confirmed(record, add_trial, "paper", [0.40, math.nan, 0.42])
    record.write_baselines({"zero_velocity": BASELINE})
    record.conclude("finished", None)
    return record


def plain(record: Record) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(json.dumps(compare(record).to_json(), allow_nan=False))
    return content


def test_the_json_is_plain_and_complete(finished: Record) -> None:
    content = plain(finished)
    assert (content["study"], content["state"]) == ("small", "finished")
    gt = content["arms"]["gt"]
    assert (gt["n_members"], gt["n_diverged"], gt["winner"], gt["phase"]) == (3, 0, "t00", "confirm")
    ade = gt["metrics"]["test/ade"]
    assert ade["members"] == [0.30, 0.31, 0.29]
    assert ade["mean"] == pytest.approx(0.3)
    assert ade["ci_high"] - ade["mean"] == pytest.approx(ade["mean"] - ade["ci_low"])
    assert content["baselines"] == {"zero_velocity": {f"test/{name}": 0.5 for name in METRICS}}


def test_what_was_picked_stands_beside_what_was_confirmed(finished: Record) -> None:
    gt = compare(finished).arms["gt"]
    assert (gt.picked, gt.confirmed) == pytest.approx((0.1, 0.2))


def test_members_that_diverged_are_counted_and_shown_as_null(finished: Record) -> None:
    paper = plain(finished)["arms"]["paper"]
    assert (paper["n_members"], paper["n_diverged"]) == (2, 1)
    assert paper["metrics"]["test/ade"]["members"] == [0.40, None, 0.42]
    assert paper["metrics"]["test/ade"]["mean"] == pytest.approx(0.41)


def test_an_arm_that_does_not_beat_standing_still_is_named(finished: Record) -> None:
    arms = compare(finished).arms
    # Two seeds leave an interval that is too wide to say so of the paper's arm, whose mean is better.
    assert {name: arm.beats(BASELINE) for name, arm in arms.items()} == {"none": False, "gt": True, "paper": False}
    rows = {row[0]: row for row in compare(finished).rows()}
    assert rows["none"][-1] == "+20% not better"
    assert rows["gt"][-1] == "-40%"
    assert rows["paper"][1] == "2 of 3"


def test_every_row_of_the_table_has_every_column(finished: Record) -> None:
    comparison = compare(finished)
    assert {len(row) for row in comparison.rows()} == {len(comparison.headings())}
    assert [row[0] for row in comparison.rows()] == ["none", "gt", "paper", "zero velocity"]
    assert comparison.markdown().count("\n| ") == 6


def test_two_seeds_of_the_reference_decide_nothing(finished: Record) -> None:
    (claim,) = compare(finished).claims
    assert claim.word == "inconclusive"
    (sentence,) = compare(finished).verdicts()
    assert sentence == (
        "gt replaces both: inconclusive. A verdict needs 3 pairs of seeds, found 2. Missing, since a member diverged "
        "or did not run: 1 of 3 pairs of seeds. Warning: only 2 pairs of seeds, too few for an interval."
    )


def test_before_it_is_confirmed_an_arm_shows_its_search(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    add_trial(record, "gt", "t00", [0.5, 0.4])
    comparison = compare(record)
    assert comparison.state == "interrupted"
    gt = comparison.arms["gt"]
    assert (gt.phase, gt.confirmed, gt.n_members, gt.seconds) == ("search", None, 2, 1.0)
    assert set(gt.metrics) == {"val/score"}
    assert comparison.claims == []
    assert next(row for row in comparison.rows() if row[0] == "gt")[-1] == "unconfirmed"


def test_a_study_that_has_just_begun_can_be_compared(new_record: NewRecord) -> None:
    content = plain(new_record())
    assert {name: arm["n_members"] for name, arm in content["arms"].items()} == {"none": 0, "gt": 0, "paper": 0}
    assert content["arms"]["gt"]["metrics"] == {}


def test_of_several_objectives_the_front_is_told_and_the_objective_picks_from_it(
    new_record: NewRecord, add_trial: AddTrial
) -> None:
    record = new_record(
        objectives=[{"metric": "val/ade"}, {"metric": "val/apd", "goal": "maximize"}],
        search={"trials_per_arm": 4, "members": 2, "epochs": 4},
    )
    for number, (score, ade, apd) in enumerate([(0.3, 1.0, 5.0), (0.2, 2.0, 9.0), (0.1, 2.5, 8.0), (0.2, 0.5, 1.0)]):
        trial = add_trial(record, "gt", f"t{number:02d}", [], state=None)
        line = {"epoch": 1, "members": {}, "mean": {"val/ade": ade, "val/apd": apd}}
        trial.append_epoch(line | {"spread": {}, "diverged": 0, "seconds": 1.0, "time": 0.0})
        trial.close("complete", score)
    comparison = compare(record)
    assert comparison.arms["gt"].winner == "t01", "t02 has the best score, but t01 beats it in both objectives"
    assert comparison.arms["gt"].front == {
        "t00": {"val/ade": 1.0, "val/apd": 5.0},
        "t01": {"val/ade": 2.0, "val/apd": 9.0},
        "t03": {"val/ade": 0.5, "val/apd": 1.0},
    }
    assert list(comparison.fronts()) == [
        "gt: Pareto front t00 (val/ade 1, val/apd 5), t01 (val/ade 2, val/apd 9), t03 (val/ade 0.5, val/apd 1); "
        "the objective picks t01."
    ]


def test_with_one_objective_there_is_no_front_to_tell(finished: Record) -> None:
    assert list(compare(finished).fronts()) == []
    assert plain(finished)["arms"]["gt"]["front"] == {}


def test_optimism_is_how_much_the_pick_looked_too_good(finished: Record) -> None:
    gt = compare(finished).arms["gt"]
    assert gt.optimism == pytest.approx(0.1)
    assert gt.n_trials == 2


def test_the_share_of_members_that_diverged_has_an_interval(finished: Record) -> None:
    diverged = compare(finished).arms["paper"].diverged
    assert diverged.value == pytest.approx(1 / 3)
    assert 0 < diverged.low < 1 / 3 < diverged.high < 1


def test_an_arm_of_which_every_member_diverged_is_judged_and_not_forgotten(
    new_record: NewRecord, add_trial: AddTrial
) -> None:
    record = new_record()
    for arm, ade in (("none", [0.60, 0.61, 0.59]), ("gt", None), ("paper", [0.40, 0.41, 0.42])):
        add_trial(record, arm, "t00", [0.1] * 4)
        if ade is not None:
            confirmed(record, add_trial, arm, ade)
    lost = add_trial(record, "gt", "confirm", [], state=None)
    nan = [math.nan] * 3
    lost.append_epoch(
        {
            "epoch": 1,
            "members": {"val/score": nan},
            "mean": {},
            "spread": {},
            "diverged": 3,
            "seconds": 1.0,
            "time": 0.0,
        }
    )
    lost.close("failed", None, "every member diverged by epoch 1", "diverged")
    content = plain(record)
    gt = content["arms"]["gt"]
    assert (gt["phase"], gt["n_members"], gt["n_diverged"]) == ("confirm", 0, 3)
    assert gt["metrics"]["test/ade"]["members"] == [None] * 3
    (sentence,) = compare(record).verdicts()
    assert sentence.startswith("gt replaces both: inferior. Guardrail: 100% of the members of gt diverged")
    (claim,) = content["claims"]
    assert claim["guardrails"][1]["share"]["value"] == 1.0
    assert claim["word"] == "inferior"


def test_a_claim_says_which_arms_it_waits_for(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    add_trial(record, "gt", "t00", [0.1] * 4)
    confirmed(record, add_trial, "gt", [0.30, 0.31, 0.29])
    comparison = compare(record)
    assert comparison.waiting == {"gt replaces both": ["paper", "none"]}
    assert not comparison.claims_hold
    assert comparison.verdicts() == ["gt replaces both: no verdict yet; paper, none must be confirmed."]


def test_only_parameters_that_differ_are_told(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    for arm in ("none", "gt", "paper"):
        add_trial(record, arm, "t00", [0.1] * 4)
    assert compare(record).differing == {}
    arms = compare(record).arms
    weights = {"none": {}, "gt": {"gt_weight": 2.0}, "paper": {}}
    winners = {
        arm: replace(arms[arm], parameters={"hidden_size": 16, "lambda_gp": 5.0 + 5 * (arm == "gt")} | weights[arm])
        for arm in arms
    }
    assert differing(winners) == {
        "lambda_gp": {"none": 5.0, "gt": 10.0, "paper": 5.0},
        "gt_weight": {"gt": 2.0},
    }


@pytest.mark.parametrize(
    ("metric", "without", "with_gt", "own", "direction"),
    [
        ("ade", 0.5, 0.4, 0.8, "better"),
        ("apd", 2.0, 1.0, 0.5, "worse"),
        ("apd", 1.0, 1.5, 1.5, "better"),
        # From below the ideal beyond it: more, and nearer.
        ("jerk_ratio", 0.5, 0.8, 1.6, "better"),
        ("jerk_ratio", 0.8, 2.0, 2.5, "worse"),
    ],
)
def test_an_effect_is_the_change_of_the_metric_itself_and_says_which_way_is_better(
    metric: str, without: float, with_gt: float, own: float, direction: str
) -> None:
    seeds = (0.98, 1.0, 1.02)
    values = {"none": [without * seed for seed in seeds], "gt": [with_gt * seed for seed in reversed(seeds)]}
    effects = effects_on(metric, {"none": (), "gt": ("gt",)}, values)
    assert effects is not None
    (effect,) = effects.effects
    assert math.exp(effect.own.value) == pytest.approx(own)
    assert effect.own.low < effect.own.value < effect.own.high
    assert effect.direction == direction


def test_an_effect_that_may_be_none_has_no_direction() -> None:
    values = {"none": [1.0, 1.1, 0.9], "gt": [1.05, 0.9, 1.1]}
    effects = effects_on("apd", {"none": (), "gt": ("gt",)}, values)
    assert effects is not None
    assert effects.effects[0].direction is None


def test_effects_of_losses_come_from_all_confirmed_arms(finished: Record) -> None:
    effects = plain(finished)["effects"]
    assert set(effects) == set(METRICS)
    gt, paper = effects["ade"]["effects"]
    assert (gt["losses"], paper["losses"]) == (["gt"], ["consistency+bone"])
    assert gt["change"]["value"] == pytest.approx(math.log(0.5), abs=0.02)
    assert gt["change"]["low"] < gt["change"]["value"] < gt["change"]["high"]
