"""Thousands of files become one archive: in memory that does not grow with their number."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpgan_core.data.archive import open_archive
from hpgan_core.data.ntu_rgbd import write_skeleton_file
from hpgan_core.data.synthetic import synthesise

# VmHWM is what this process alone needed at most, without those that read for it.
PREPARE = """
import sys
from pathlib import Path
from hpgan_core.data import list_recordings
from hpgan_core.data.prepare import prepare
data = {"dataset": "ntu_rgbd", "root": sys.argv[1], "min_frames": 1}
prepare(list_recordings(data), Path(sys.argv[2]), data, processes=int(sys.argv[3]))
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
"""
FEW, MANY, N_FRAMES = 500, 4000, 40


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Two folders of the same clip under many names."""
    folder = tmp_path_factory.mktemp("scale")
    write_skeleton_file(folder / "clip", synthesise(people=1, clips_per_action=1, frames=N_FRAMES).clips[0].positions)
    for n_files in (FEW, MANY):
        (folder / str(n_files)).mkdir()
        for number in range(n_files):
            name = f"S{number // 1000:03d}C001P{number % 1000:03d}R001A001.skeleton"
            os.link(folder / "clip", folder / str(n_files) / name)
    return {n_files: folder / str(n_files) for n_files in (FEW, MANY)}


@pytest.mark.parametrize("processes", [1, 2])
def test_memory_does_not_grow_with_the_number_of_files(
    folders: dict[int, Path], tmp_path: Path, processes: int
) -> None:
    peak_kib = {}
    for n_files, folder in folders.items():
        archive = tmp_path / f"{n_files}.h5"
        command = [sys.executable, "-c", PREPARE, str(folder), str(archive), str(processes)]
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        peak_kib[n_files] = int(run.stdout)
        recordings = open_archive(archive).recordings
        assert len(recordings.clips) == n_files
    frames_kib = (MANY - FEW) * N_FRAMES * 25 * 3 * 4 / 1024
    grown_kib = peak_kib[MANY] - peak_kib[FEW]
    # What stays of each file is its name, in several tables.
    assert grown_kib < frames_kib / 4, peak_kib
