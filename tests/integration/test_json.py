"""What every verb prints with --json has the keys that docs/reference/json.md names, and nothing else is printed."""

import json
import re
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from study.cli import app
from study.record import Record
from tests.documents import ROOT

MakeRecord = Callable[..., Record]
Drive = Callable[..., None]

PAGE = ROOT / "docs" / "reference" / "json.md"
FILE = str(ROOT / "search_spaces" / "quick.yaml")
# What each heading of the page is about, for the study that is there.
COMMANDS = {
    "study compare": ["compare", "small"],
    "study status": ["status", "small"],
    "study ls": ["ls"],
    "study show": ["show", "small"],
    "study show TRIAL": ["show", "small", "gt/t00"],
    "study plan": ["plan", FILE],
    "study plan --simulate": ["plan", "small.yaml", "--simulate", "small"],
    "study validate": ["validate", FILE],
    "study reproduce": ["reproduce", "small", "gt/t00"],
    "study report": ["report", "small"],
    "study publish": ["publish", "small"],
    "study gc": ["gc", "--dry-run"],
    "study doctor": ["doctor"],
    "study data describe": ["data", "describe", "synthetic"],
}


def documented() -> dict[str, set[str]]:
    """The keys of each verb: what stands as code in the first column of its table."""
    sections = re.split(r"^## `(study [^`]+)`$", PAGE.read_text(), flags=re.MULTILINE)[1:]
    tables = zip(sections[::2], sections[1::2], strict=True)
    rows = {verb: re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for verb, table in tables}
    return {verb: {key for cell in cells for key in re.findall(r"`(\w+)`", cell)} for verb, cells in rows.items()}


def documented_shapes(verb: str) -> dict[str, Any]:
    """What the value of a key looks like inside, where its row ends with that."""
    section = re.split(rf"^## `{verb}`$", PAGE.read_text(), flags=re.MULTILINE)[1].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \| .*?`([\[{].*[\]}])` \|$", section, re.MULTILINE)
    return {key: parse(shape) for cell, shape in rows for key in re.findall(r"`(\w+)`", cell)}


def parse(shape: str) -> Any:
    """``{a, B: [{c}]}`` as ``{"a": ..., "B": [{"c": ...}]}``; what may be anything is an ellipsis."""
    (estimate,) = re.findall(r"`ESTIMATE` is `(.*?)`", PAGE.read_text())
    tokens = deque(re.findall(r"\.\.\.|[\w/]+|[{}\[\],:]", shape.replace("ESTIMATE", estimate)))

    def value() -> Any:
        opened = tokens.popleft()
        if opened not in "{[":
            return ...
        entries: dict[str, Any] = {}
        while tokens[0] not in "}]":
            if opened == "[":
                entries[str(len(entries))] = value()
            else:
                key = tokens.popleft()
                entries[key] = value() if tokens[0] == ":" and tokens.popleft() else ...
            if tokens[0] == ",":
                tokens.popleft()
        tokens.popleft()
        return entries if opened == "{" else [entries["0"]]

    return value()


def check(shape: Any, printed: Any) -> None:
    """Compare keys at every depth; a word in capitals stands for any, and for as many as there are."""
    if shape is ... or printed is None:
        return
    if isinstance(shape, list):
        for item in printed:
            check(shape[0], item)
    elif any(key.isupper() or key == "..." for key in shape):
        for item in printed.values():
            check(next(iter(shape.values())), item)
    else:
        assert printed.keys() == shape.keys()
        for key, inner in shape.items():
            check(inner, printed[key])


@pytest.fixture(scope="module")
def folder(make_record: MakeRecord, drive: Drive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished study in ``studies``, and its study file."""
    folder = tmp_path_factory.mktemp("json")
    # What the small motion data is made of, so that it can be made again.
    data = {"dataset": "synthetic", "people": 5, "clips_per_action": 1, "frames": 44, "noise_m": 0.003}
    record = make_record(folder / "studies", data=data)
    with record.driving():
        record.open_test_split("process 1 on here", ["gt/confirm"])
        drive(record)
    (folder / "small.yaml").write_text(json.dumps(record.plan["file"]))
    return folder


def test_every_verb_with_the_option_is_on_the_page() -> None:
    assert documented().keys() == COMMANDS.keys()
    commands: Any = typer.main.get_command(app)
    verbs = commands.commands | {f"data {name}": one for name, one in commands.commands["data"].commands.items()}
    with_json = {name for name, command in verbs.items() if any(one.name == "as_json" for one in command.params)}
    # What launch and resume print in the end is of `study compare`.
    described = {re.sub(r" (TRIAL|--simulate)$", "", verb).removeprefix("study ") for verb in COMMANDS}
    assert with_json == described | {"launch", "resume"}


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_verb_prints_the_keys_that_are_documented(folder: Path, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    monkeypatch.chdir(folder)
    ended = CliRunner().invoke(app, [*COMMANDS[verb], "--json"])
    assert ended.exit_code == 0, ended.output
    printed: Any = json.loads(ended.stdout)
    for item in printed if isinstance(printed, list) else [printed]:
        assert item.keys() == documented()[verb]
        for key, shape in documented_shapes(verb).items():
            check(shape, item[key])


def test_a_key_inside_that_is_not_documented_is_noticed() -> None:
    assert parse('{a, B: [{c}, ...], d: {"e/f": {g}, ...}}') == {
        "a": ...,
        "B": [{"c": ...}],
        "d": {"e/f": {"g": ...}, "...": ...},
    }
    check(parse("[{ARM: {a, b: {c}}}]"), [{"gt": {"a": 1, "b": {"c": 2}}, "none": {"a": 1, "b": None}}])
    for other in ({"a": 1}, {"a": 1, "b": {"d": 2}}, {"a": 1, "b": None, "c": 3}):
        with pytest.raises(AssertionError):
            check(parse("[{ARM: {a, b: {c}}}]"), [{"gt": other}])


def test_what_is_inside_is_documented_where_there_is_something() -> None:
    assert documented_shapes("study show").keys() == {"amendments", "splits", "test_split_opened"}
    assert documented_shapes("study show TRIAL").keys() == {"request", "outcome", "attempts", "last_epoch"}
    assert documented_shapes("study validate").keys() == {"plan"}
