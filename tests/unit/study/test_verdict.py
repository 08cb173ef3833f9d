"""The words of a verdict at their boundaries, on members made for the purpose."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from study.study_file import StudyFile
from study.verdict import ClaimVerdict, badness, judge

StudyWith = Callable[..., StudyFile]
# Symmetric about 0: an exact mean of 0 and a known spread.
NOISE = np.array([-0.02, -0.01, 0.0, 0.01, 0.02])
GATE_RATIO = math.exp(1.0)


def members(metric: str = "ade", *, worse_by: float, noise: np.ndarray = NOISE) -> dict[str, dict[str, Any]]:
    """Three arms: the gate is 1 worse than the reference in log badness, the candidate ``worse_by``."""
    reference = np.full(len(noise), 0.5)
    return {
        "paper": {f"test/{metric}": tuple(reference)},
        "none": {f"test/{metric}": tuple(reference * GATE_RATIO)},
        "gt": {f"test/{metric}": tuple(reference * np.exp(worse_by + noise))},
    }


def verdict(study_file: StudyFile, of: dict[str, dict[str, Any]]) -> ClaimVerdict:
    (only,) = judge(study_file, of)
    return only


# With keep = 0.5 and an effect of exactly 1 the margin is 0.5; a one-sided bound reaches t(0.95, 4) * s / sqrt(5).
REACH = 2.131847 * 0.0158114 / math.sqrt(5)
HAIR = 1e-4


@pytest.mark.parametrize(
    ("worse_by", "word"),
    [
        (-REACH - HAIR, "superior"),
        (-REACH + HAIR, "non-inferior"),
        (0.0, "non-inferior"),
        (0.5 - REACH - HAIR, "non-inferior"),
        (0.5 - REACH + HAIR, "inconclusive"),
        (0.5 + REACH - HAIR, "inconclusive"),
        (0.5 + REACH + HAIR, "inferior"),
    ],
)
def test_each_word_begins_where_its_bound_crosses(study_with: StudyWith, worse_by: float, word: str) -> None:
    found = verdict(study_with(), members(worse_by=worse_by))
    assert found.word == word
    (metric,) = found.metrics
    assert metric.difference == pytest.approx(worse_by)
    assert metric.bound == pytest.approx(worse_by + REACH, abs=1e-6)
    assert metric.margin == pytest.approx(0.5)
    assert metric.n_seeds == 5


def test_identical_arms_are_non_inferior(study_with: StudyWith) -> None:
    assert verdict(study_with(), members(worse_by=0.0, noise=np.zeros(5))).word == "non-inferior"


def test_swapping_candidate_and_reference_turns_the_difference_round(study_with: StudyWith) -> None:
    claim = {"name": "c", "candidate": "gt", "metrics": ["ade"], "reference": "paper"}
    swapped = claim | {"candidate": "paper", "reference": "gt"}
    of = members(worse_by=0.1)
    there = verdict(study_with(claims=[claim]), of).metrics[0]
    back = verdict(study_with(claims=[swapped]), of).metrics[0]
    assert back.difference == pytest.approx(-there.difference)


def test_the_order_of_arms_does_not_matter(study_with: StudyWith) -> None:
    of = members(worse_by=0.1)
    backwards = dict(reversed(of.items()))
    arms = {"paper": ["consistency", "bone"], "gt": ["gt"], "none": []}
    assert judge(study_with(), of) == judge(study_with(arms=arms), backwards)


@pytest.mark.parametrize("seeds", [0, 1, 2])
def test_too_few_seeds_never_decide(study_with: StudyWith, seeds: int) -> None:
    noise = np.full(5, math.nan)
    noise[:seeds] = 0.0
    found = verdict(study_with(), members(worse_by=-3.0, noise=noise))
    assert found.word == "inconclusive"
    assert found.metrics[0].n_seeds == seeds


@pytest.mark.parametrize(("seeds", "warned"), [(3, True), (4, True), (5, False)])
def test_few_seeds_are_warned_of(study_with: StudyWith, seeds: int, warned: bool) -> None:
    found = verdict(study_with(), members(worse_by=0.0, noise=np.zeros(seeds)))
    assert (found.warning is not None) == warned


def test_a_reference_that_does_not_beat_the_gate_decides_nothing(study_with: StudyWith) -> None:
    of = members(worse_by=-1.0)
    of["none"]["test/ade"] = tuple(np.array(of["paper"]["test/ade"]) * np.exp([0.3, -0.3, 0.2, -0.2, 0.0]))
    found = verdict(study_with(), of)
    assert found.word == "gate failed"
    assert math.isnan(found.metrics[0].margin)


def test_members_that_diverged_in_the_gate_leave_the_other_pairs_alone(study_with: StudyWith) -> None:
    of = members(worse_by=0.1)
    of["none"]["test/ade"] = (math.nan, *of["none"]["test/ade"][1:])
    assert verdict(study_with(), of).metrics[0].n_seeds == 5


def test_all_metrics_of_a_claim_must_pass(study_with: StudyWith) -> None:
    claim = {"name": "c", "candidate": "gt", "metrics": ["ade", "bone_error"]}
    good, bad = members("ade", worse_by=-0.5), members("bone_error", worse_by=0.9)
    both = {arm: good[arm] | bad[arm] for arm in good}
    found = verdict(study_with(claims=[claim]), both)
    assert [metric.word for metric in found.metrics] == ["superior", "inferior"]
    assert found.word == "inferior"


@pytest.mark.parametrize(
    ("metric", "favour"),
    [("ade", "favoured"), ("bone_error", "conservative"), ("jerk_ratio", "conservative"), ("apd", None)],
)
def test_metrics_that_a_loss_trains_on_are_marked(study_with: StudyWith, metric: str, favour: str | None) -> None:
    claim = {"name": "c", "candidate": "gt", "metrics": [metric]}
    found = verdict(study_with(claims=[claim]), members(metric, worse_by=0.0))
    assert found.metrics[0].favour == favour


def test_a_claim_waits_for_its_three_arms(study_with: StudyWith) -> None:
    of = members(worse_by=0.0)
    del of["none"]
    assert judge(study_with(), of) == []


@pytest.mark.parametrize(
    ("metric", "better", "worse"),
    [("ade", 0.1, 0.2), ("apd", 2.0, 1.0), ("jerk_ratio", 0.9, 2.0), ("score", -1.0, -0.5)],
)
def test_more_badness_is_worse_for_every_goal(metric: str, better: float, worse: float) -> None:
    assert badness(metric, better) < badness(metric, worse)


def test_jerk_is_as_bad_at_half_as_at_twice_the_truths() -> None:
    assert badness("jerk_ratio", 0.5) == pytest.approx(badness("jerk_ratio", 2.0))


def test_a_score_is_a_logarithm_already() -> None:
    assert badness("score", 0.3) - badness("score", -0.2) == pytest.approx(0.5)


def test_a_perfect_zero_is_finite_and_a_divergence_is_not() -> None:
    assert math.isfinite(badness("bone_error", 0.0))
    assert math.isnan(badness("ade", math.inf))
