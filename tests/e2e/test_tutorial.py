"""The tutorial, command by command, on a study made small."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT, shell_lines
from tests.processes import environment

PAGE = ROOT / "docs" / "tutorial.md"
# Those that make the environment which runs this, and the only one that waits for somebody.
NOT_HERE = ("make install", "source .venv/bin/activate")
SMALLER = {
    "people: 40": "people: 6",
    "epochs: 10": "epochs: 2",
    "members: 5": "members: 3",
    "final_windows: 200": "final_windows: 8",
}


@pytest.mark.timeout(900)
def test_every_command_of_the_tutorial_works(tmp_path: Path) -> None:
    settings = environment() | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    commands = shell_lines(PAGE)
    assert set(NOT_HERE) < set(commands)
    printed = {}
    for command in commands:
        if command in NOT_HERE:
            continue
        done = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, env=settings, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        printed[command] = done.stdout
        if command.startswith("study new"):
            file = tmp_path / "bones.yaml"
            text = file.read_text()
            for usual, smaller in SMALLER.items():
                assert usual in text
                text = text.replace(usual, smaller)
            file.write_text(text)
    assert " A" in printed["study reproduce bones --arm gt"]
    assert printed["study compare bones-again"].replace("bones-again", "bones") == printed["study compare bones"]
