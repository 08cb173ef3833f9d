"""The figures of the README are those of ``benchmarks/latest.json`` and of the studies in ``docs/studies``."""

import csv
import json
import re

import pytest

from tests.documents import ROOT

LATEST: dict[str, float] = json.loads((ROOT / "benchmarks" / "latest.json").read_text())
README = (ROOT / "README.md").read_text()
ROWS = re.findall(r"^\| (.+) \| (.+) \| ([\d.]+) \|$", README.partition("\n## Speed\n")[2], re.MULTILINE)


def ours_over_stock(key: str) -> float:
    return LATEST[key] / LATEST[f"{key}.stock"]


# In the order of the table: how many times faster, and what its first cell says besides.
EXPECTED = [
    (LATEST["step.h256.n10.threads1.vs_report"], ""),
    (LATEST["step.h256.n10.members8.threads1.vs_report"], ""),
    (LATEST["step.h512.n10.threads1.vs_report"], ""),
    (LATEST["machine.two_processes.vs_report_default"], ""),
    (LATEST["parse.vs_plain_reader"], ""),
    (LATEST["metrics.vs_loops"], ""),
    (ours_over_stock("publish_metrics_per_s"), f": {LATEST['publish_metrics_per_s']:,.0f}"),
    (1 / ours_over_stock("suggest_ms.5000"), f": {LATEST['suggest_ms.5000']:.0f} ms"),
    (1 / ours_over_stock("trial_overhead_ms.1000"), f": {LATEST['trial_overhead_ms.1000']:.0f} ms"),
    (ours_over_stock("results_per_s"), f": {LATEST['results_per_s']:.0f}"),
]


def test_every_row_is_checked() -> None:
    assert len(ROWS) == len(EXPECTED)


@pytest.mark.parametrize(("row", "expected"), list(zip(ROWS, EXPECTED, strict=False)))
def test_a_row_says_what_was_measured(row: tuple[str, str, str], expected: tuple[float, str]) -> None:
    times, besides = expected
    assert row[2] == (f"{times:.1f}" if times < 10 else f"{times:.0f}")
    assert row[0].endswith(besides)


def test_the_share_of_the_machines_own_rate_is_that_of_all_steps() -> None:
    shares = [value for key, value in LATEST.items() if key.endswith(".gemm_share")]
    assert f"reaches {100 * min(shares):.0f} to {100 * max(shares):.0f} %" in README


def test_parsing_of_other_files_is_as_fast_as_measured() -> None:
    two, crlf, blanks = (LATEST[f"parse.{case}.vs_plain_reader"] for case in ("two_bodies", "crlf", "trailing_blanks"))
    assert (
        f"Parsing is {two:.1f} times as fast as the plain reader where two people are in every frame, {crlf:.1f} where "
        f"lines end in CRLF, {blanks:.1f} where in blanks"
    ) in README


def test_the_smallest_study_takes_what_was_measured() -> None:
    ours, stock = (LATEST[f"trial_overhead_ms.10{whose}"] for whose in ("", ".stock"))
    assert (
        f"a no-op trial takes {ours:,.0f} ms, most of it for starting processes; the stock parts take {stock:,.0f}"
        in README
    )


STUDY = ROOT / "docs" / "studies" / "ui-prmd"
# Its part of the README, and what comes after.
STUDIED = README.partition("\nOn real Kinect recordings")[2]
# A column of the README's table, and how many digits it shows.
COLUMNS = (("ade", 3), ("fde", 3), ("apd", 2), ("joint_error_mm", 0), ("bone_error", 3), ("jerk_ratio", 2))


def rows_of(figure: str) -> list[dict[str, str]]:
    with (STUDY / f"{figure}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_arms_of_the_published_study_have_the_numbers_of_its_data() -> None:
    measured = {(row["arm"], row["metric"]): row for row in rows_of("arms") if row["phase"] == "confirm"}
    arms = list(dict.fromkeys(arm for arm, _ in measured))
    assert len(arms) == 8
    for arm in arms:
        cells = [arm, measured[arm, "test/ade"]["members"]]
        for metric, digits in COLUMNS:
            mean, low, high = (float(measured[arm, f"test/{metric}"][key]) for key in ("mean", "ci_low", "ci_high"))
            cells.append(f"{mean:.{digits}f}±{(high - low) / 2:.{digits}f}")
        assert f"| {' | '.join(cells)} |" in STUDIED


def test_verdicts_of_the_published_study_are_those_of_its_data() -> None:
    names = {"ade": "ADE", "jerk_ratio": "jerk", "bone_error": "bone error"}
    words: dict[tuple[str, str], list[str]] = {}
    for row in rows_of("forest"):
        said = words.setdefault((row["claim"], row["candidate"]), [])
        said.append(f"{names[row['metric']]} {row['word']}")
    shares = {row["claim"]: float(row["share"]) for row in rows_of("guardrails") if row["guardrail"] == "diversity"}
    assert len(words) == 3
    for (claim, candidate), said in words.items():
        assert said[0] == "ADE gate failed"
        verdict = (
            f"| {claim} (`{candidate}` for `paper`) | gate failed | {', '.join(said)} | {100 * shares[claim]:.0f} %"
        )
        assert verdict in STUDIED
