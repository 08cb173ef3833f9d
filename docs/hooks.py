"""What pages of the site take from elsewhere: commands from the command line, the study file from its schema, figures
from the benchmarks' results.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpgan_core.presets import PRESETS
from study.schema import json_schema


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for every page."""
    for place, write in PLACES.items():
        if place in markdown:
            markdown = markdown.replace(place, write())
    return markdown


def commands_reference() -> str:
    """What ``study COMMAND --help`` says, as Typer writes it."""
    words = [sys.executable, "-m", "typer", "study.cli", "utils", "docs", "--name", "study", "--title", "Commands"]
    written = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    # Typer cuts a long sentence off in its list, and has the whole of it further down.
    whole = dict(re.findall(r"^## `study (\w+)`\n\n(.+)$", written, re.MULTILINE))
    return re.sub(
        r"^\* `(\w+)`: .*$",
        lambda line: f"* `{line[1]}`: {whole[line[1]]}",
        written,
        count=len(whole),
        flags=re.MULTILINE,
    )


def study_file_reference() -> str:
    """A table for the file itself, then one for each of its sections."""
    schema = json_schema()
    sections = {f"`{name}`": section for name, section in schema["$defs"].items() if "properties" in section}
    tables = (_table(title, section) for title, section in {"At the top": schema, **sections}.items())
    return "\n".join(line for table in tables for line in table)


def settings_table() -> str:
    """Every setting with its values in the presets, whether it can be searched or not."""
    schema = json_schema()
    settings, searched = (schema["properties"][section]["properties"] for section in ("training", "parameters"))
    lines = [f"| setting | is | {' | '.join(map(_code, PRESETS))} | |", "| --- " * (3 + len(PRESETS)) + "|"]
    for name, setting in settings.items():
        values = " | ".join(_code(getattr(preset, name)) for preset in PRESETS.values())
        text = _sentence(setting) + ("" if name in searched else " Not searched, since it changes the measure.")
        lines.append(f"| `{name}` | {_kind(setting)} | {values} | {text} |")
    return "\n".join(lines)


def scaling_table() -> str:
    """A row for each case of ``python -m benchmarks scale``."""
    cases: dict[tuple[int, int], dict[str, float]] = {}
    for key, value in _latest().items():
        if match := re.fullmatch(r"scale\.(\d+)x(\d+)\.(\w+)", key):
            cases.setdefault((int(match[1]), int(match[2])), {})[match[3]] = value
    lines = ["| trials | workers | driver | busy | memory | MLflow | a trial's record | report | |"]
    lines += ["| ---: " * 9 + "|"]
    for (trials, workers), of in sorted(cases.items()):
        published = f"{of['publish_s']:.0f} s" if "publish_s" in of else "not measured"
        lines.append(
            f"| {trials:,} | {workers:,} | {of['driver_ms']:.1f} ms | {of['busy']:.1%} | {of['memory_mb']:.0f} MB "
            f"| {published} | {of['record_kb_per_trial']:.0f} kB | {of['report_s']:.0f} s "
            f"| {of['report_mb']:.1f} MB |"
        )
    return "\n".join(lines)


def ray_tests_table() -> str:
    """A row for each test of ``python -m benchmarks ray_tests``."""
    latest = _latest()
    lines = ["| test | here | Ray asks of itself |", "| --- | ---: | ---: |"]
    for key, limit in latest.items():
        if match := re.fullmatch(r"ray_tests\.(\w+)\.vs_ideal\.limit", key):
            lines.append(f"| {match[1]} | {latest[key.removesuffix('.limit')]:.2f} | {limit:.2f} |")
    return "\n".join(lines)


def steps_table() -> str:
    """A row for each case of ``python -m benchmarks step``."""
    latest = _latest()
    lines = ["| hidden | critic updates | members | times the report's loop | of the large-matrix rate |"]
    lines += ["| ---: " * 5 + "|"]
    for key, share in latest.items():
        if match := re.fullmatch(r"(step\.h(\d+)\.n(\d+)(?:\.members(\d+))?)\.gemm_share", key):
            times = latest[f"{match[1]}.threads1.vs_report"]
            lines.append(f"| {match[2]} | {match[3]} | {match[4] or 1} | {times:.1f} | {share:.0%} |")
    return "\n".join(lines)


def large_matrix_rate() -> str:
    """What ``python -m benchmarks step`` holds steps against."""
    return f"{_latest()['machine.large_matrix_gflop_per_s']:.0f} GFLOP/s"


def products_table() -> str:
    """A row for each number of rows of ``python -m benchmarks products``."""
    shares: dict[int, dict[str, float]] = {}
    for key, share in _latest().items():
        if match := re.fullmatch(r"products\.(\w+)\.rows(\d+)\.of_large_matrix", key):
            shares.setdefault(int(match[2]), {})[match[1]] = share
    names = list(next(iter(shares.values())))
    lines = [f"| rows | {' | '.join(names)} |", "| ---: " * (1 + len(names)) + "|"]
    lines += [f"| {rows} | {' | '.join(f'{of[name]:.0%}' for name in names)} |" for rows, of in sorted(shares.items())]
    return "\n".join(lines)


def _latest() -> dict[str, float]:
    latest: dict[str, float] = json.loads(Path("benchmarks/latest.json").read_text())
    return latest


def _table(title: str, section: dict[str, Any]) -> Iterator[str]:
    yield from (f"\n## {title}\n", section.get("description", "").replace("\n", " "), "")
    yield from ("| key | is | default | |", "| --- | --- | --- | --- |")
    required = section.get("required", ())
    for key, value in section["properties"].items():
        given = value.get("default")
        # What a section is by default stands in its own table.
        default = (
            "required" if key in required else "" if given in (None, "") or isinstance(given, dict) else _code(given)
        )
        yield f"| `{key}` | {_kind(value)} | {default} | {_sentence(value)} |"


def _sentence(value: dict[str, Any]) -> str:
    """What is said of a value, as a cell of a table."""
    text = str(value.get("description", ""))
    return (text[:1].upper() + text[1:]).replace("\n", " ").replace("|", "\\|")


def _kind(value: dict[str, Any]) -> str:
    """The type of a value in a few words, sections by their names."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[`{name}`](#{name.lower()})"
    if "enum" in value:
        return ", ".join(map(_code, value["enum"]))
    if "const" in value:
        return _code(value["const"])
    for choice in ("anyOf", "oneOf"):
        if choice in value:
            return " or ".join(dict.fromkeys(_kind(one) for one in value[choice]))
    kind = str(value.get("type", "any"))
    if kind == "array":
        return f"list of {_kind(value.get('items', {}))}"
    bounds = [f"{sign} {value[key]}" for key, sign in BOUNDS.items() if key in value]
    return f"{kind} {', '.join(bounds)}".strip()


BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def _code(value: Any) -> str:
    """As a study file has it."""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


PLACES = {
    "<!-- commands -->": commands_reference,
    "<!-- study file -->": study_file_reference,
    "<!-- settings -->": settings_table,
    "<!-- scaling -->": scaling_table,
    "<!-- ray tests -->": ray_tests_table,
    "<!-- steps -->": steps_table,
    "<!-- large matrix rate -->": large_matrix_rate,
    "<!-- products -->": products_table,
}
