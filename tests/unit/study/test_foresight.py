"""What a plan says that its claims could show."""

from collections.abc import Callable

import pytest

from study.comparison import compare
from study.errors import BadStudyInput
from study.foresight import planned_power
from study.power import power_of, seeds_needed
from study.record import Record
from study.study_file import StudyFile
from tests.unit.study.test_compare_verb import build  # noqa: F401  # a fixture

StudyWith = Callable[..., StudyFile]
CLAIM = {"name": "gt replaces both", "candidate": "gt", "metrics": ["ade", "bone_error"]}


def test_without_any_number_power_is_told_by_ratio(study_with: StudyWith) -> None:
    power = planned_power(study_with(confirm={"members": 10}, claims=[CLAIM]), None, None)
    assert power is not None
    assert [(one.margin, one.sd, one.power) for one in power.claims] == [(None, None, None)] * 2
    # As docs/structure.md has it.
    assert [seeds for _, _, seeds in power.by_ratio] == [27, 13, 8, 5, 4]
    assert [ratio for ratio, share, _ in power.by_ratio if share >= 0.8] == [1.0, 1.5, 2.0]


def test_several_claims_make_each_of_them_harder(study_with: StudyWith) -> None:
    claims = [CLAIM | {"name": f"claim {number}", "margin": 0.05} for number in range(3)]
    power = planned_power(study_with(confirm={"members": 10}, claims=claims), 0.05, None)
    assert power is not None
    assert power.level == pytest.approx(0.05 / 3)
    assert {one.power for one in power.claims} == {power_of(10, 1.0, 0.05 / 3)}
    assert {one.seeds_needed for one in power.claims} == {seeds_needed(1.0, 0.05 / 3)}


def test_a_share_to_keep_has_no_margin_before_a_pilot(study_with: StudyWith) -> None:
    power = planned_power(study_with(claims=[CLAIM]), 0.05, None)
    assert power is not None
    assert [one.power for one in power.claims] == [None, None]


def test_a_study_without_claims_has_no_power(study_with: StudyWith) -> None:
    assert planned_power(study_with(claims=[]), 0.1, None) is None


def test_a_pilot_gives_spread_and_margin(build: Callable[..., Record], study_with: StudyWith) -> None:  # noqa: F811
    pilot = compare(build(0.7))
    (before,) = pilot.claims[0].metrics
    power = planned_power(study_with(confirm={"members": 4}), None, pilot)
    assert power is not None
    assert [(one.margin, one.sd) for one in power.claims] == [(before.margin, before.sd)]
    assert power.claims[0].power == pytest.approx(power_of(4, before.margin / before.sd, 0.05))
    # A stated SD comes before the pilot's, whose margin stays.
    stated = planned_power(study_with(confirm={"members": 4}), 2 * before.margin, pilot)
    assert stated is not None
    assert stated.claims[0].power == pytest.approx(power_of(4, 0.5, 0.05))


def test_a_pilot_of_other_claims_is_refused(build: Callable[..., Record], study_with: StudyWith) -> None:  # noqa: F811
    with pytest.raises(BadStudyInput, match="confirmed the same claims"):
        planned_power(study_with(claims=[CLAIM | {"name": "another"}]), None, compare(build(0.5)))
