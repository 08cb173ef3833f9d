"""Every command of the README, in its order, in a copy of what it needs, with studies made small."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from hpgan_core.data.synthetic import write_synthetic
from tests.documents import ROOT, fenced, shell_lines
from tests.processes import environment

README = ROOT / "README.md"
SMALLER: dict[str, dict[str, Any]] = {
    "data": {"people": 6, "clips_per_action": 1},
    "training": {"critic_size": 16, "evaluation_windows": 8, "final_windows": 8, "final_samples": 3},
    "search": {"trials_per_arm": 1, "members": 1, "epochs": 1, "pruner": {"name": "none"}},
    "confirm": {"members": 3, "epochs": 1, "shortlist": None},
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The study files, smaller; the command where an installation has it; recordings of a data set's format."""
    yaml = YAML()
    (tmp_path / "search_spaces").mkdir()
    for file in ("quick.yaml", "gt_loss.yaml"):
        content = yaml.load(ROOT / "search_spaces" / file)
        for section, settings in SMALLER.items():
            content[section].update(settings)
        # Seconds an arm: of one study is enough.
        content["tracking"] = {"models": file == "quick.yaml"}
        yaml.dump(content, tmp_path / "search_spaces" / file)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    write_synthetic(tmp_path / "FOLDER", people=8, clips_per_action=1)
    return tmp_path


def made_by_make(target: str) -> str:
    """What `make TARGET` runs last."""
    # Under another make it would say last which directory it leaves.
    command = ["make", "--no-print-directory", "-n", target]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()[-1]


@pytest.mark.timeout(1500)
def test_every_command_of_the_readme_works(copy: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    settings = environment() | {"PATH": path, "HPGAN_CACHE": str(copy / "cache")}

    def run(*words: str) -> None:
        done = subprocess.run(words, cwd=copy, env=settings, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"

    commands = shell_lines(README)
    assert len(commands) > 4
    for command in commands:
        words = command.split()
        run("sh", "-c", made_by_make(words[1]) if words[0] == "make" else command)
    assert (copy / "sheet.png").exists()
    assert {folder.name for folder in (copy / "studies").iterdir()} >= {"quick", "mine", "gt-loss"}
    snippets = [content for _, content in fenced(README, "python")]
    assert snippets
    for snippet in snippets:
        run(sys.executable, "-c", snippet)
