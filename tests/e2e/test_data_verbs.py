"""`study data prepare` and `study data describe`, as a person runs them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpgan_core.data.archive import open_archive
from hpgan_core.data.cameras import CAMERA_NUMBERS, SUBJECTS, Camera, write_cameras
from hpgan_core.data.human36m import write_human36m_file
from hpgan_core.data.ntu_rgbd import read_ntu_rgbd
from hpgan_core.data.synthetic import write_synthetic

RunStudy = Callable[..., subprocess.CompletedProcess[str]]
N_FILES = 1200
STUDY = str(Path(sys.executable).with_name("study"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with 25 clips of five people in `motion`; one is damaged, one of another replication."""
    write_synthetic(tmp_path / "motion", people=5, clips_per_action=1, frames=70)
    clips = sorted((tmp_path / "motion").iterdir())
    clips[3].write_text(clips[3].read_text()[:-500])
    clips[4].rename(clips[4].with_name(clips[4].name.replace("R001", "R002")))
    return tmp_path


def test_prepare_writes_an_archive_and_says_what_is_in_it(run_study: RunStudy, folder: Path) -> None:
    run = run_study(folder, "data", "prepare", "motion", "motion.h5")
    assert (run.returncode, run.stderr) == (0, "")
    whole = open_archive(folder / "motion.h5")
    for line in (
        r"Clips +23: 1,610 frames, 53.7 s",
        r"People +5: P001–P005",
        r"Damaged +1 file, left out",
        r" +S001C001P001R001A004.skeleton: line \d+, expected .*",
        r"Left out +1 file: replication R002 is not R001",
        rf"Digest +{whole.digest}",
        r"Archive +motion.h5, 0.5 MB; 24 files in \d+\.\d s, \d+ a second",
    ):
        assert re.search(rf"^{line} *$", run.stdout, re.MULTILINE), (line, run.stdout)
    assert sorted(path.name for path in folder.iterdir()) == ["motion", "motion.h5"]
    again = run_study(folder, "data", "prepare", "motion", "motion.h5")
    assert "was there already" in again.stdout
    (folder / "motion" / "S001C001P001R001A004.skeleton").unlink()
    assert read_ntu_rgbd(folder / "motion").digest() == whole.digest


def test_an_archive_is_what_a_study_runs_on(run_study: RunStudy, folder: Path, small_file: Path) -> None:
    run_study(folder, "data", "prepare", "motion", "motion.h5")
    run = run_study(folder, "validate", str(small_file), "--data", "motion.h5", "--json")
    assert run.returncode == 0, run.stderr
    data = json.loads(run.stdout)["file"]["data"]
    assert (data["dataset"], data["path"]) == ("archive", str(folder / "motion.h5"))


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_however_it_is_interrupted_the_same_command_goes_on(
    run_study: RunStudy, tmp_path: Path, end: signal.Signals
) -> None:
    write_synthetic(tmp_path / "one", people=1, clips_per_action=1, frames=20)
    one = next((tmp_path / "one").iterdir())
    (tmp_path / "motion").mkdir()
    for number in range(N_FILES):
        name = f"S{number // 100:03d}C001P{number % 100:03d}R001A001.skeleton"
        os.link(one, tmp_path / "motion" / name)
    command = [STUDY, "data", "prepare", "motion", "parts.h5", "--set", "min_frames=20", "--processes", "2"]
    running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    journal = tmp_path / "parts.h5.partial" / "journal"
    while not (journal.exists() and journal.stat().st_size > 100):
        assert running.poll() is None, running.communicate()
        time.sleep(0.005)
    workers = children(running.pid)
    assert len(workers) >= 2
    running.send_signal(end)
    _, said = running.communicate(timeout=30)
    assert running.returncode == (-end if end == signal.SIGKILL else 75)
    if end != signal.SIGKILL:
        assert said == "study: interrupted; what has been read is kept, and the same command goes on\n"
    assert not (tmp_path / "parts.h5").exists()
    assert gone(workers)
    resumed = run_study(tmp_path, *command[1:])
    assert resumed.returncode == 0, resumed.stderr
    read = int(re.search(r"; ([\d,]+) files in", resumed.stdout)[1].replace(",", ""))  # type: ignore[index]
    assert 0 < read < N_FILES
    run_study(tmp_path, "data", "prepare", "motion", "whole.h5", "--set", "min_frames=20", "--processes", "1")
    assert (tmp_path / "parts.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_ctrl_c_in_a_terminal_is_told_once_also_while_processes_begin(tmp_path: Path) -> None:
    write_synthetic(tmp_path / "motion", people=40, clips_per_action=1, frames=20)
    running = subprocess.Popen(
        [STUDY, "data", "prepare", "motion", "motion.h5", "--set", "min_frames=20", "--processes", "2"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    # Two that read, and the one that keeps account of their semaphores.
    while not (tmp_path / "motion.h5.partial").exists() or len(children(running.pid)) < 3:
        assert running.poll() is None, running.communicate()
        time.sleep(0.005)
    time.sleep(0.1)  # less than such a process takes to begin
    os.killpg(running.pid, signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert running.returncode == 75
    assert said == "study: interrupted; what has been read is kept, and the same command goes on\n"


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.05)
    return False


def test_describe_reads_a_folder_and_its_archive_alike(run_study: RunStudy, folder: Path) -> None:
    run_study(folder, "data", "prepare", "motion", "motion.h5")
    described = []
    for place in ("motion", "motion.h5"):
        run = run_study(folder, "data", "describe", place, "--json")
        assert (run.returncode, run.stderr) == (0, "")
        described.append(json.loads(run.stdout))
    assert described[0].pop("data") == {"dataset": "ntu_rgbd", "root": "motion"}
    assert described[1].pop("data") == {"dataset": "archive", "path": "motion.h5"}
    assert described[0] == described[1]
    assert described[0]["clips"] == 23
    assert described[0]["people"] == {"P001": 3, "P002": 5, "P003": 5, "P004": 5, "P005": 5}
    assert described[0]["lengths"] == {"min": 70, "median": 70, "max": 70}
    assert described[0]["splits"]["by_subject"].keys() == {"train", "validation", "test"}
    assert described[0]["splits"]["ntu60_cross_subject"]["test"] == {"clips": 5, "people": 1}
    assert "human36m" not in described[0]["splits"]
    assert [len(rejects) for rejects in described[0]["rejected"].values()] == [1, 1]


def test_describe_draws_clips_as_a_viewer_or_a_camera_sees_them(run_study: RunStudy, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for subject in ("S1", "S9"):
        (tmp_path / "h36m" / subject).mkdir(parents=True)
        for action in ("Eating", "Walking 1"):
            take = rng.uniform(-0.5, 0.5, (1, 32, 3)) + rng.normal(0, 0.01, (90, 32, 3))
            write_human36m_file(tmp_path / "h36m" / subject / f"{action}.h5", take)
    # Stands five metres before the world's origin and looks at it: right x, down -z, away y.
    rotation, place = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), np.array([0.0, -5000, 0])
    one = Camera(rotation, place, np.full(2, 1145.0), np.full(2, 512.0), np.zeros(3), np.zeros(2), "54138969")
    write_cameras(
        tmp_path / "cameras.h5", {(subject, number): one for subject in SUBJECTS for number in CAMERA_NUMBERS}
    )
    heights = {}
    for name, cameras in (("viewer", []), ("camera", ["--cameras", "cameras.h5"])):
        run = run_study(tmp_path, "data", "describe", "h36m", "--picture", f"{name}.png", *cameras)
        assert run.returncode == 0, run.stderr
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert (picture.format, picture.width) == ("PNG", 1400)
            assert len(np.unique(np.asarray(picture).reshape(-1, 3), axis=0)) > 50
            heights[name] = picture.height
    # A camera shows the clips of the one person it was calibrated for, a viewer those of both.
    assert heights["viewer"] > 1.2 * heights["camera"]


def test_a_mistake_is_told_with_its_exit_code(run_study: RunStudy, folder: Path) -> None:
    run = run_study(folder, "data", "prepare", "missing", "out.h5")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("study: missing does not exist; ")
    assert [path.name for path in folder.iterdir()] == ["motion"]
