"""What `study compare` prints, and how it ends."""

import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from study.commands.compare import run
from study.comparison import compare
from study.errors import BadStudyInput, ClaimsOpen
from study.record import Record, Trial

AddTrial = Callable[..., Trial]
NewRecord = Callable[..., Record]
Build = Callable[..., Record]
METRICS = ("ade", "fde", "apd", "joint_error_mm", "bone_error", "jerk_ratio")
GRID = {
    "search": {"sampler": {"name": "grid"}},
    "parameters": {"hidden_size": {"type": "categorical", "values": [8, 16], "default": 8}},
}
NOISE = np.array([-0.02, 0.0, 0.02])


def confirm(record: Record, add_trial: AddTrial, arm: str, ade: float, lost: int = 0) -> None:
    """An arm whose winner has been confirmed with about this ADE, but for so many of its three members."""
    add_trial(record, arm, "t00", [0.1] * 4)
    trial = add_trial(record, arm, "confirm", [], state=None)
    values = {f"test/{metric}": [1.0] * 3 for metric in METRICS} | {"test/ade": list(ade + NOISE)}
    members = {
        name: [*own[: 3 - lost], *[math.nan] * lost] for name, own in ({"val/score": [0.2] * 3} | values).items()
    }
    mean = {name: float(np.nanmean(own)) for name, own in members.items()}
    line = {"epoch": 1, "members": members, "mean": mean, "spread": {}, "diverged": 0, "seconds": 2.0, "time": 0.0}
    trial.append_epoch(line)
    trial.close("complete", 0.2)


@pytest.fixture
def build(new_record: NewRecord, add_trial: AddTrial) -> Build:
    """A finished study whose candidate has this ADE, the reference 0.5 and the gate 2, or another."""

    def make(gt: float, *, gate: float = 2.0, lost: int = 0, **sections: Any) -> Record:
        record = new_record(question="Can gt replace both?", **sections)
        confirm(record, add_trial, "none", gate)
        confirm(record, add_trial, "gt", gt, lost)
        confirm(record, add_trial, "paper", 0.5)
        record.write_baselines({"zero_velocity": dict.fromkeys(METRICS, 0.7)})
        record.conclude("finished", None)
        return record

    return make


def printed(record: Record, *, width: int = 120, **options: Any) -> str:
    console = Console(width=width, markup=False, highlight=False, record=True, file=io.StringIO())
    run([record.paths.name], studies=record.paths.studies, console=console, **options)
    return console.export_text()


def test_the_answer_comes_first_and_plainly(build: Build) -> None:
    lines = printed(build(0.5)).splitlines()
    assert lines[0] == "Can gt replace both?"
    assert lines[1].startswith(
        "- gt replaces both: non-inferior. gt keeps at least 50% of what paper gains over none in ADE."
    )


def next_lines(record: Record) -> list[str]:
    """What is said to do next, without the folder of the test."""
    lines = printed(record).replace(f" --studies {record.paths.studies}", "").splitlines()
    return [line for line in lines if line.startswith("Next")]


@pytest.mark.parametrize("gt", [0.5, 1.9])
def test_a_verdict_that_is_one_is_looked_at_and_checked(build: Build, gt: float) -> None:
    checked = ["Next: study report small to look closer, study reproduce small to check the numbers"]
    assert next_lines(build(gt)) == checked


def test_an_inconclusive_claim_is_given_the_seeds_that_it_lacks(build: Build) -> None:
    record = build(0.98)
    (claim,) = compare(record).claims
    assert claim.word == "inconclusive"
    assert claim.seeds_needed is not None
    assert next_lines(record) == [f"Next: study resume small --more-seeds {claim.seeds_needed - 3}"]


def test_a_claim_with_too_few_seeds_for_any_verdict_is_given_five(build: Build) -> None:
    assert next_lines(build(0.5, lost=1)) == ["Next: study resume small --more-seeds 3"]


@pytest.mark.parametrize(
    ("sections", "more_trials"),
    [
        ({}, "study resume small --add-trials 4, or "),
        ({"parameters": {}}, ""),
        (GRID, ""),
    ],
    ids=["tpe", "no parameters", "grid"],
)
def test_a_failed_gate_asks_for_a_longer_search_where_there_can_be_one(
    build: Build, sections: dict[str, Any], more_trials: str
) -> None:
    record = build(0.5, gate=0.5, **sections)
    assert next_lines(record) == [
        f"Next: {more_trials}a study with another reference; study report small shows what this one gains"
    ]


def test_an_interrupted_study_is_gone_on_with_and_a_running_one_left_alone(new_record: NewRecord) -> None:
    record = new_record()
    assert next_lines(record) == ["Next: study resume small"]
    with record.driving():
        assert next_lines(record) == []


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_line_fits_and_nothing_is_cut(build: Build, width: int) -> None:
    text = printed(build(0.5), width=width)
    assert max(len(line) for line in text.splitlines() if not line.startswith("Next: ")) <= width
    assert "…" not in text
    for part in ("non-inferior", "margin", "diversity 100%", "diverged 0%", "zero velocity", "optimism", "effect of"):
        assert part in text


def test_in_80_columns_every_arm_has_one_line(build: Build) -> None:
    text = printed(build(0.7), width=80)
    lines = text.splitlines()
    row = next(index for index, line in enumerate(lines) if line.startswith("none "))
    assert [line.split()[0] for line in lines[row : row + 4]] == ["none", "gt", "paper", "zero"]
    assert lines[row].endswith("+186%!")
    assert "! where it is not better" in " ".join(text.split())


def test_before_an_arm_is_confirmed_none_is_marked_as_not_better(new_record: NewRecord) -> None:
    assert "where it is not better" not in printed(new_record(), width=80)


def test_a_single_pair_of_seeds_is_told_as_one(build: Build) -> None:
    text = " ".join(printed(build(0.5, lost=2)).split())
    assert "Warning: only 1 pair of seeds, too few for an interval." in text
    assert "found 1." in text


def test_interval_margin_and_zero_stand_on_one_line(build: Build) -> None:
    row = next(line for line in printed(build(0.5)).splitlines() if line.startswith("ade"))
    # No difference: the mean stands on zero, before the margin.
    assert re.search(r" -*o-* *: ", row)


def test_effects_are_of_the_metric_itself_and_marked_as_better_or_worse(build: Build) -> None:
    text = printed(build(0.5))
    row = next(line for line in text.splitlines() if line.startswith("gt ") and " to " in line)
    assert re.search(r"-\d\d% \(-\d\d% to -\d\d%\) b$", row.rstrip())
    for part in ("Change of the metric itself", "b better, w worse", "not another search"):
        assert part in " ".join(text.split())


def test_one_metric_shows_every_member(build: Build) -> None:
    text = printed(build(0.6), metric="ade")
    assert "0.58 0.6 0.62" in text
    assert "FDE" not in text


def test_json_of_one_metric_has_no_other(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    printed(build(0.6), metric="ade", as_json=True)
    content = json.loads(capsys.readouterr().out)
    assert set(content["arms"]["gt"]["metrics"]) == {"test/ade"}
    assert set(content["effects"]) == {"ade"}
    assert [one["metric"] for one in content["claims"][0]["metrics"]] == ["ade"]


def test_studies_stand_side_by_side(build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = build(0.5)
    record.paths.folder.rename(tmp_path / "other")
    record = build(5.0)
    console = Console(width=100, markup=False, highlight=False, record=True, file=io.StringIO())
    run(["other", "small"], studies=tmp_path, console=console)
    text = console.export_text()
    row = next(line for line in text.splitlines() if line.startswith("gt replaces both"))
    assert row.split()[3:] == ["non-inferior", "inferior"]
    assert next(line for line in text.splitlines() if line.startswith("gt  ")).split()[1:] == [
        "0.500±0.050",
        "5.000±0.050",
    ]
    run(["other", "small"], studies=tmp_path, as_json=True, console=console)
    assert list(json.loads(capsys.readouterr().out)["studies"]) == ["other", "small"]


def test_exit_verdict_is_content_with_claims_that_hold(build: Build) -> None:
    assert "non-inferior" in printed(build(0.5), exit_verdict=True)


def test_exit_verdict_ends_with_a_code_of_its_own_after_all_is_printed(build: Build) -> None:
    record = build(1.9)
    console = Console(width=100, record=True, file=io.StringIO())
    with pytest.raises(ClaimsOpen, match="gt replaces both: inferior") as raised:
        run([record.paths.name], studies=record.paths.studies, exit_verdict=True, console=console)
    assert raised.value.exit_code == 6
    assert "inferior" in console.export_text()


def test_exit_verdict_does_not_take_a_claim_without_a_verdict_for_one_that_holds(
    new_record: NewRecord,
) -> None:
    with pytest.raises(ClaimsOpen, match="gt replaces both: no verdict yet"):
        printed(new_record(), exit_verdict=True)


def test_exit_verdict_of_a_study_without_claims_is_a_mistake(new_record: NewRecord) -> None:
    with pytest.raises(BadStudyInput, match="'small' makes no claim"):
        printed(new_record(claims=[]), exit_verdict=True)


def test_an_unknown_metric_is_told_with_its_neighbour(new_record: NewRecord) -> None:
    with pytest.raises(BadStudyInput, match="metric 'adee' is unknown; did you mean 'ade'"):
        printed(new_record(), metric="adee")


def test_a_study_that_has_just_begun_is_shown(new_record: NewRecord) -> None:
    text = printed(new_record())
    assert "no verdict yet" in text
