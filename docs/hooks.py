"""What pages of the site take from the code: the commands from the command line, the study file from its schema."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

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
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def study_file_reference() -> str:
    """A table for the file itself, then one for each of its sections."""
    schema = json_schema()
    sections = {f"`{name}`": section for name, section in schema["$defs"].items() if "properties" in section}
    tables = (_table(title, section) for title, section in {"At the top": schema, **sections}.items())
    return "\n".join(line for table in tables for line in table)


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
        text = value.get("description", "").replace("\n", " ").replace("|", "\\|")
        yield f"| `{key}` | {_kind(value)} | {default} | {text} |"


def _kind(value: dict[str, Any]) -> str:
    """The type of a value in a few words, sections by their names."""
    if "$ref" in value:
        return f"`{value['$ref'].rpartition('/')[2]}`"
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
    return f"`{value}`"


PLACES = {"<!-- commands -->": commands_reference, "<!-- study file -->": study_file_reference}
