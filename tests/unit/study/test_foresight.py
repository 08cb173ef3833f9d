"""What a plan says that its claims could show."""

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from study.commands.plan import _show_power, run
from study.comparison import compare
from study.errors import BadStudyInput
from study.foresight import planned_power
from study.power import power_of, seeds_needed
from study.record import Record
from study.study_file import StudyFile
from tests.unit.study.test_compare_verb import build  # noqa: F401  # a fixture

StudyWith = Callable[..., StudyFile]
CLAIM: dict[str, Any] = {"name": "gt replaces both", "candidate": "gt", "metrics": ["ade", "bone_error"]}


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


def test_a_claim_needs_all_its_metrics_to_pass(study_with: StudyWith) -> None:
    power = planned_power(study_with(confirm={"members": 8}, claims=[CLAIM | {"margin": 0.05}]), 0.05, None)
    assert power is not None
    (whole,), each = power.wholes, power.claims[0].power
    assert each == pytest.approx(power_of(8, 1.0, 0.05))
    assert (whole.claim, whole.least, whole.most) == (CLAIM["name"], pytest.approx(1 - 2 * (1 - each)), each)
    generator, both = np.random.default_rng(0), []
    for shared in (0.0, 0.9):
        common, own = generator.normal(0, 0.05, (2000, 1, 8)), generator.normal(0, 0.05, (2000, 2, 8))
        seeds = math.sqrt(shared) * common + math.sqrt(1 - shared) * own
        bounds = seeds.mean(-1) + stats.t.ppf(0.95, 7) * seeds.std(-1, ddof=1) / math.sqrt(8)
        both.append(float((bounds < 0.05).all(-1).mean()))
    assert whole.least - 0.03 < both[0] < both[1] < whole.most + 0.03


def test_a_metric_whose_gate_failed_in_the_pilot_has_its_reason(
    build: Callable[..., Record],  # noqa: F811
    study_with: StudyWith,
) -> None:
    # All arms of this pilot have the same bones.
    pilot = compare(build(0.7, claims=[CLAIM]))
    power = planned_power(study_with(claims=[CLAIM]), None, pilot)
    assert power is not None
    assert [one.why_none for one in power.claims] == [None, "its gate failed in small: no gain, no margin"]
    assert power.wholes == ()
    with pytest.raises(BadStudyInput, match="its gate failed in small: no gain, no margin"):
        planned_power(study_with(claims=[CLAIM | {"metrics": ["bone_error"]}]), None, pilot)


def test_an_sd_is_no_use_to_a_share_and_that_is_said(study_with: StudyWith) -> None:
    study_file = study_with(confirm={"members": 4})
    power = planned_power(study_file, 0.05, None)
    assert power is not None
    assert [one.why_none for one in power.claims] == ["its margin is a share of a gain that only a pilot can tell"]
    console = Console(width=100, record=True, file=io.StringIO())
    _show_power(power, 0.05, console)
    assert "--sd 0.05 is of no use here" in console.export_text()
    _show_power(power, None, console)
    assert "of no use" not in console.export_text()


def test_what_a_plan_prints_has_a_reason_and_the_whole_claim(study_with: StudyWith) -> None:
    claims = [CLAIM | {"margin": 0.05}, CLAIM | {"name": "a share"}]
    power = planned_power(study_with(confirm={"members": 8}, claims=claims), 0.05, None)
    assert power is not None
    console = Console(width=100, record=True, file=io.StringIO())
    _show_power(power, 0.05, console)
    text = console.export_text()
    assert "a share, ade: no power, since its margin is a share of a gain that only a pilot can tell." in text
    whole = power.wholes[0]
    assert f"gt replaces both: all of its metrics must pass, power {whole.least:.0%} to {whole.most:.0%}." in text


@pytest.mark.parametrize(("options", "named"), [({"sd": 0.1}, "--sd"), ({"pilot": "small"}, "--pilot")])
def test_power_beside_a_replay_is_refused(tmp_path: Path, options: dict[str, Any], named: str) -> None:
    with pytest.raises(BadStudyInput, match=f"{named}: --simulate forecasts times and no power"):
        run(
            tmp_path / "any.yaml",
            **{"sd": None, "pilot": None} | options,
            overrides=[],
            data_root=None,
            workers=[1],
            simulate="small",
            studies=tmp_path,
            as_json=False,
            console=Console(quiet=True),
        )


def test_a_pilot_of_other_claims_is_refused(build: Callable[..., Record], study_with: StudyWith) -> None:  # noqa: F811
    with pytest.raises(BadStudyInput, match="confirmed the same claims"):
        planned_power(study_with(claims=[CLAIM | {"name": "another"}]), None, compare(build(0.5)))
