"""Content and figures into files: the page, its Markdown, and the CSVs."""

import json
import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from hpgan_core.durable import write_durably
from study.comparison import compare
from study.record import Record
from study.report.content import build_content
from study.report.figures import build_figures
from study.report.motions import Motions
from study.report.plots import write_pictures
from study.report.words import Words
from study.sentences import literally

LIBRARIES = ("vendor/d3.min.js", "vendor/plot.umd.min.js")
SCRIPTS = ("web/figures.js", "web/skeletons.js")
STYLE = "web/page.css"


def write_report(record: Record, language: str, folder: Path) -> Path:
    """Write ``report.html``, ``report.md`` with its pictures, and a CSV for every figure; returns the page.

    The page needs nothing beside it: no network, no other file, no storage of the browser's.

    Args:
        record: a study in whatever state; what is not there yet is said to be missing.
        language: ``en`` or ``it``.
        folder: is made; what an earlier report has left there is replaced.
    """
    words, comparison, motions = Words(language), compare(record), Motions.of(record)
    figures = build_figures(record, comparison, motions)
    content = build_content(record, comparison, figures, words)
    data = {
        "words": words.table,
        "language": language,
        "arms": list(comparison.arms),
        "objective": record.study_file.objective.metric,
        "log_parameters": [name for name, p in record.study_file.parameters.items() if getattr(p, "log", False)],
        "categories": [name for name, p in record.study_file.parameters.items() if p.type == "categorical"],
        "figures": {name: figure.to_json() for name, figure in figures.items() if name in DRAWN},
        "motions": motions.to_json() if motions else None,
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        write_durably(folder / f"{name}.csv", figure.csv().encode())
    pictures = write_pictures(folder, figures, words, record.study_file.objective.metric)
    for template in ("report.md", "report.html"):
        text = (
            _templates()
            .get_template(f"{template}.j2")
            .render(
                content=content,
                words=words,
                figures=figures,
                pictures=pictures,
                style=asset(STYLE),
                scripts=[asset(name) for name in (*LIBRARIES, *SCRIPTS)],
                data=_embedded(data),
            )
        )
        write_durably(folder / template, text.encode())
    return folder / "report.html"


# The other figures are tables, or drawn by the template.
DRAWN = ("forest", "forest_seeds", "effects", "learning", "search", "importances", "pareto")


@cache
def asset(name: str) -> str:
    """A file of this package that becomes part of the page."""
    return files("study.report").joinpath(name).read_text(encoding="utf-8")


def _embedded(data: object) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("study.report"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"cell": _markdown_cell, "fenced": _markdown_fenced, "literally": literally}
    return environment


def _markdown_cell(text: str) -> str:
    """A text that fits into one cell of a Markdown table."""
    return literally(text).replace("|", "\\|")


def _markdown_fenced(text: str) -> str:
    """YAML between fences that it does not hold itself."""
    longest = max(map(len, re.findall("`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}yaml\n{text.rstrip()}\n{fence}"
