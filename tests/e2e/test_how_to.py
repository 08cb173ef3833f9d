"""Every how-to page that changes the code does what it says: its changes apply to a copy of the repository, its
commands succeed there.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT, fenced
from tests.processes import environment

PAGES = sorted((ROOT / "docs" / "how-to").glob("own-*.md"))
PARTS = ("study", "hpgan_core", "search_spaces", "tests", "docs", "pyproject.toml", "constraints.txt", "README.md")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What of this repository an engineer works on."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / part)
    return tmp_path


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_how_to_page_does_what_it_says(page: Path, copy: Path) -> None:
    # The copy comes before the installed package, and `study` is the copy's.
    command = copy / "bin" / "study"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\nfrom study.cli import main\nmain()\n")
    command.chmod(0o755)
    path = f"{command.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    settings = environment() | {"PYTHONPATH": str(copy), "PATH": path, "PYTEST_XDIST_AUTO_NUM_WORKERS": "1"}
    blocks = fenced(page, "diff", "sh", "python")
    assert {"diff", "sh"} <= {kind for kind, _ in blocks}
    for kind, content in blocks:
        if kind == "diff":
            words = ["git", "apply", "--unsafe-paths", "-"]
        else:
            words = ["sh", "-ex"] if kind == "sh" else [sys.executable, "-"]
        done = subprocess.run(words, input=content, cwd=copy, env=settings, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{content}\n{done.stdout}\n{done.stderr}"


def test_the_pages_are_found() -> None:
    assert {page.stem for page in PAGES} >= {"own-data", "own-loss", "own-metric", "own-sampler"}
