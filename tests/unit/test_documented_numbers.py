"""The figures of the pages are those of ``benchmarks/latest.json`` and of ``docs/studies``, and keep their promises."""

import csv
import json
import math
import re
from itertools import permutations

import pytest

from benchmarks.scale import CASES
from study.comparison import effects_on
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
    (LATEST["parse.vs_lean_reader"], ""),
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
        f"Parsing is {two:.1f} times as fast as the original's way where two people are in every frame, {crlf:.1f} "
        f"where lines end in CRLF, {blanks:.1f} where in blanks"
    ) in README


def test_the_smallest_study_takes_what_was_measured() -> None:
    ours, stock = (LATEST[f"trial_overhead_ms.10{whose}"] for whose in ("", ".stock"))
    assert (
        f"a no-op trial takes {ours:,.0f} ms, most of it for starting processes; the stock parts take {stock:,.0f}"
        in README
    )


SCALING = (ROOT / "docs" / "scaling.md").read_text()
# From a case to one with more trials on as many workers, or with as many trials on more workers.
STEPS = [
    (small, large)
    for small, large in permutations(CASES, 2)
    if (small[0] < large[0] and small[1] == large[1]) or (small[0] == large[0] and small[1] < large[1])
]
# Files take whole blocks, so that the record of a trial is never quite the same.
BLOCKS = 0.05


def scale(case: tuple[int, int], name: str) -> float:
    """Of a case of ``benchmarks/scale.py``; ``record_kb`` is that of all trials."""
    if name == "record_kb":
        return case[0] * scale(case, "record_kb_per_trial")
    return LATEST[f"scale.{case[0]}x{case[1]}.{name}"]


def power(small: tuple[int, int], large: tuple[int, int], name: str) -> float:
    """By which power of the trials, or of the workers, it grows; 1 is linearly."""
    (times,) = (more / fewer for fewer, more in zip(small, large, strict=True) if more != fewer)
    return math.log(scale(large, name) / scale(small, name)) / math.log(times)


def test_every_case_was_measured_and_no_other() -> None:
    measured = {match[1] for key in LATEST if (match := re.match(r"scale\.(\w+)\.", key))}
    assert measured == {f"{trials}x{workers}" for trials, workers in CASES}


@pytest.mark.parametrize(("small", "large"), STEPS)
@pytest.mark.parametrize("name", ["driver_ms", "memory_mb", "record_kb", "publish_s", "report_s", "report_mb"])
def test_nothing_grows_faster_than_linearly(name: str, small: tuple[int, int], large: tuple[int, int]) -> None:
    """``driver_ms``, the one that is of each report and not of all of them, counts as it is."""
    assert power(small, large, name) <= 1 + (BLOCKS if name == "record_kb" else 0)


def test_a_thousand_workers_are_kept_busy() -> None:
    assert scale((10_000, 1000), "busy") >= 0.95
    assert [case for case in CASES if scale(case, "busy") < 0.95] == [(1000, 1000)]
    assert f"busy for {scale((10_000, 1000), 'busy'):.0%}".replace("%", " %") in SCALING
    assert f"a thousand trials on a thousand workers: {scale((1000, 1000), 'busy'):.0%}".replace("%", " %") in SCALING


def test_the_powers_of_growth_are_those_that_were_measured() -> None:
    few, many = (1000, 1000), (10_000, 1000)
    memory, report, publish, record = (power(few, many, n) for n in ("memory_mb", "report_s", "publish_s", "record_kb"))
    # Rounded down and up, they are one number in the text.
    assert memory == pytest.approx(report, abs=0.05)
    assert f"memory and report grow by the power {memory:.1f} of the trials, MLflow's time by {publish:.1f}" in SCALING
    assert record == pytest.approx(1, abs=BLOCKS)
    early, late = power((100, 100), (1000, 100), "driver_ms"), power(few, many, "driver_ms")
    assert f"by the power {early:.1f} from a hundred trials to a thousand on a hundred workers" in SCALING
    assert f"by {late:.1f} from there to ten thousand on a thousand" in SCALING


def test_which_of_rays_own_tests_are_met_is_told() -> None:
    limits = [key for key in LATEST if key.startswith("ray_tests.") and key.endswith(".limit")]
    missed = [key.split(".")[1] for key in limits if LATEST[key.removesuffix(".limit")] > LATEST[key]]
    assert re.findall(r"^\*(\w+)\* is not met", SCALING, re.MULTILINE) == missed


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


def test_effects_of_the_published_study_are_those_of_its_members() -> None:
    losses = {row["arm"]: row["arm"].split("+") for row in rows_of("arms") if row["phase"] == "confirm"}
    losses |= {"none": [], "paper": ["consistency", "bone"], "all": ["gt", "consistency", "bone"]}
    values: dict[str, dict[str, list[float]]] = {}
    for row in rows_of("arms_members"):
        values.setdefault(row["metric"], {}).setdefault(row["arm"], []).append(float(row["value"]))
    published = {(row["metric"], row["losses"]): row for row in rows_of("effects")}
    table: dict[str, list[str]] = {}
    for metric, _ in COLUMNS:
        effects = effects_on(metric, losses, values[f"test/{metric}"])
        assert effects is not None
        for effect in effects.effects:
            name = " × ".join(effect.losses)
            row = published.pop((metric, name))
            assert [float(row[key]) for key in ("change", "own")] == pytest.approx(
                [effect.change.value, effect.own.value]
            )
            change, low, high = (100 * math.expm1(float(row[key])) for key in ("own", "own_low", "own_high"))
            cell = f"{change:+.0f} % [{low:+.0f}, {high:+.0f}] {effect.direction or ''}".strip()
            table.setdefault(name, []).append(cell.replace("-", "−"))
    assert published == {}
    report = (STUDY / "report.md").read_text()
    for name, cells in table.items():
        assert f"| {name} | {' | '.join(cells)} |" in report
