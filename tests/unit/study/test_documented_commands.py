"""Every `study` command that a page names is one that there is, with every option that it names."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from study.cli import app
from tests.documents import PAGES, ROOT, shell_lines

INLINE = re.compile(r"`((?:\.venv/bin/)?study [a-z][^`\n]*)`")


def documented(page: Path) -> list[str]:
    commands = INLINE.findall(page.read_text()) + shell_lines(page)
    bare = (command.removeprefix(".venv/bin/") for command in commands)
    return [command for command in bare if command.startswith("study ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_names_exists(page: Path) -> None:
    unknown = []
    for line in documented(page):
        command: Any = typer.main.get_command(app)
        words = line.split()[1:]
        while (verbs := getattr(command, "commands", {})) and words and words[0] in verbs:
            command = verbs[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        named = {word.partition("=")[0] for word in re.findall(r"--[a-z][a-z-]*", " ".join(words))}
        if (verbs and words) or named - options:
            unknown.append(line)
    assert unknown == []


def test_commands_are_found() -> None:
    assert sum(len(documented(page)) for page in PAGES) > 60
