"""The page about NTU RGB+D and Human3.6M, command by command, on folders that lie as it draws them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hpgan_core.data.cameras import CAMERA_NUMBERS, SUBJECTS, Camera, write_cameras
from hpgan_core.data.human36m import write_human36m_file
from hpgan_core.data.ntu_rgbd import MISSING_LISTS
from hpgan_core.data.synthetic import write_synthetic
from tests.documents import ROOT, fenced, inline_commands, shell_lines
from tests.processes import environment

PAGE = ROOT / "docs" / "how-to" / "recordings.md"
LISTED = "S001C001P002R001A001"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Both data sets, by this project's own writers."""
    (tmp_path / "search_spaces").symlink_to(ROOT / "search_spaces")
    skeletons = tmp_path / "nturgb+d_skeletons"
    write_synthetic(skeletons, people=8, clips_per_action=1, frames=60)
    for name in MISSING_LISTS:
        (skeletons / name).write_text(f"Samples with missing skeletons\nin two lines\n\n{LISTED}\n")
    rng = np.random.default_rng(0)
    for subject in SUBJECTS:
        place = tmp_path / "h36m" / subject / "MyPoses" / "3D_positions"
        place.mkdir(parents=True)
        for take in ("Directions", "Walking 1"):
            pose = rng.uniform(-0.5, 0.5, (1, 32, 3))
            write_human36m_file(place / f"{take}.h5", pose + rng.normal(0, 0.01, (80, 32, 3)))
    # Stands five metres before the world's origin and looks at it: right x, down -z, away y.
    rotation, place_mm = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), np.array([0.0, -5000, 0])
    one = Camera(rotation, place_mm, np.full(2, 1145.0), np.full(2, 512.0), np.zeros(3), np.zeros(2), "54138969")
    cameras = {(subject, number): one for subject in SUBJECTS for number in CAMERA_NUMBERS}
    write_cameras(tmp_path / "h36m" / "cameras.h5", cameras)
    return tmp_path


def drawn(tree: str) -> Iterator[str]:
    """The paths in a tree, two spaces a level."""
    above: list[str] = []
    for line in tree.splitlines():
        name = line.strip()
        above[(len(line) - len(line.lstrip())) // 2 :] = [name.removesuffix("/")]
        if name != "...":
            yield "/".join(above)


def test_data_sets_are_read_as_the_page_says(folder: Path) -> None:
    trees = [tree for _, tree in fenced(PAGE, "text")]
    assert len(trees) == 2
    for path in (path for tree in trees for path in drawn(tree)):
        assert (folder / path).exists(), path
    settings = environment() | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    printed = {}
    for command in shell_lines(PAGE) + inline_commands(PAGE):
        # A launch would train; what it would refuse is refused here too.
        words = ["study", "validate", *command.split()[2:]] if command.startswith("study launch") else command.split()
        done = subprocess.run(words, cwd=folder, env=settings, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        printed[command] = done.stdout
    assert f"{LISTED}.skeleton" in printed["study data describe nturgb+d_skeletons --rejects"]
    assert "14 files" in printed["study data prepare h36m h36m.h5"]
    assert (folder / "sheet.png").exists()
