"""`study data prepare` and `study data describe`: options, mistakes, and what they show in 80 columns."""

import io
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner, Result

from hpgan_core.data.human36m import write_human36m_file
from hpgan_core.data.ntu_rgbd import write_skeleton_file
from hpgan_core.data.recordings import Recording, Rejected
from hpgan_core.data.synthetic import synthesise, write_synthetic
from hpgan_core.skeleton import KINECT_V2
from hpgan_core.viz import SIDE_COLOURS
from study.cli import app
from study.commands.data_describe import Inventory, show


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: 25 clips of five people in `motion`, one of another replication."""
    write_synthetic(tmp_path / "motion", people=5, clips_per_action=1, frames=70)
    clip = sorted((tmp_path / "motion").iterdir())[4]
    clip.rename(clip.with_name(clip.name.replace("R001", "R002")))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["data", *arguments])


def test_reader_options_are_those_of_the_data_set(folder: Path) -> None:
    options = ["--set", "max_action=2", "--set", "replication=null", "--processes", "1", "--dataset", "ntu_rgbd"]
    shown = run("prepare", "motion", "motion.h5", *options)
    assert shown.exit_code == 0, shown.stderr
    assert re.search(r"^Actions +2: A001–A002 *$", shown.stdout, re.MULTILINE)
    assert re.search(r"^Left out +15 files: action A003–005 is above A002 *$", shown.stdout, re.MULTILINE)


def test_every_reject_is_listed_when_asked_for(folder: Path) -> None:
    shown = run("describe", "motion", "--set", "max_action=1", "--rejects")
    assert shown.exit_code == 0, shown.stderr
    listed = re.findall(r"^motion/S\S+\.skeleton: action A00\d is above A001$", shown.stdout, re.MULTILINE)
    assert len(listed) == 20
    assert "and 17 more (--rejects lists them)" in shown.stdout


def test_names_that_are_no_text_are_shown_as_far_as_they_are(folder: Path) -> None:
    clip = sorted((folder / "motion").iterdir())[0]
    clip.rename(os.fsdecode(os.fsencode(clip) + b"\xff.skeleton"))
    shown = run("describe", "motion", "--rejects")
    assert shown.exit_code == 0, shown.stderr
    assert "\nmotion/S001C001P001R001A001.skeleton?.skeleton: its name does not follow" in shown.stdout
    assert run("prepare", "motion", "motion.h5").exit_code == 0
    assert run("describe", "motion.h5", "--rejects").stdout.count("S001C001P001R001A001.skeleton?.skeleton") == 2


def test_folders_may_be_named_by_any_sign(folder: Path) -> None:
    clips = sorted((folder / "motion").iterdir())
    for first, again, clip in (("#", "copy", clips[0]), ("1", "copy", clips[1])):
        for place in (first, again):
            (folder / "motion" / place).mkdir(exist_ok=True)
            shutil.copy(clip, folder / "motion" / place)
    for clip in clips[:2]:
        clip.unlink()
    shown = run("describe", "motion")
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.count("has the same name") == 2


def test_generated_data_needs_no_folder() -> None:
    shown = run("describe", "synthetic", "--set", "people=4", "--set", "frames=50", "--json")
    described = json.loads(shown.stdout)
    assert (described["clips"], described["frames"]) == (80, 4000)
    assert described["digest"] == synthesise(people=4, frames=50).digest()


def test_a_folder_of_which_nothing_is_left_is_described(folder: Path) -> None:
    shown = run("describe", "motion", "--set", "min_frames=71")
    assert shown.exit_code == 0, shown.stderr
    assert re.search(r"^Clips +0: 0 frames", shown.stdout, re.MULTILINE)
    assert "24 files: 70 unbroken frames of one person, fewer than 71" in shown.stdout
    as_json = json.loads(run("describe", "motion", "--set", "min_frames=71", "--json").stdout)
    assert (as_json["clips"], as_json["lengths"], as_json["splits"]) == (0, None, {})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "missing", "out.h5"], "missing does not exist"),
        (["prepare", "empty", "out.h5"], "empty holds no recordings"),
        (["prepare", "synthetic", "out.h5"], "synthetic is no folder of recordings"),
        (["prepare", "motion", "out.h5", "--set", "max_acton=3"], "'max_acton' is unknown; did you mean 'max_action'?"),
        (["prepare", "motion", "out.h5", "--set", "max_action=many"], "must be a whole number or null, found 'many'"),
        (["prepare", "motion", "out.h5", "--set", "max_action"], "--set max_action: must be name=value"),
        (["prepare", "motion", "out.h5", "--set", "max_action=[3"], "--set max_action=[3: the value is not valid YAML"),
        (["prepare", "motion", "out.h5", "--set", "root=file"], "leave it out, motion is the root already"),
        (["prepare", "motion", "out.h5", "--dataset", "human36m"], "none of its 0 .h5 files lies"),
        (["prepare", "motion", "out.h5", "--dataset", "ntu_rgb"], "did you mean 'ntu_rgbd'?"),
        (["prepare", "motion", "out.h5", "--set", "min_frames=99"], "none of 25 files in motion can be used"),
        (["prepare", "motion", "file/out.h5"], "file/out.h5 cannot be written: file is a file, not a folder"),
        (["prepare", "motion", "file"], "file: expected a motion archive"),
        (["prepare", "motion", "."], ". cannot be read: it is no file"),
        (["describe", "pipe"], "pipe is no motion archive"),
        (["describe", "synthetic", "--set", "dataset=ntu_rgbd"], "leave it out, synthetic is the dataset already"),
        (["describe", "file"], "file is no motion archive"),
        (["describe", "motion", "--cameras", "cameras.h5"], "--cameras is for --picture: give both"),
        (["describe", "motion", "--view", "kinect"], "--view is for --picture: give both"),
        (["describe", "motion", "--picture", "out.png", "--view", "kinect", "--cameras", "c.h5"], "draw: give one"),
        (["describe", "motion", "--picture", "missing/out.png"], "missing/out.png: cannot be written: No such file"),
        (["describe", "motion", "--picture", "out.png", "--cameras", "c.h5"], "of Human3.6M, this is kinect_v2"),
        (["describe", "motion", "--picture", "out.png", "--set", "min_frames=99"], "no clip has 30 frames"),
    ],
)  # fmt: skip
def test_mistakes_are_told_and_nothing_is_written(folder: Path, arguments: list[str], message: str) -> None:
    (folder / "empty").mkdir()
    (folder / "file").write_text("40\n")
    os.mkfifo(folder / "pipe")
    told = run(*arguments)
    assert (told.exit_code, told.stdout) == (2, "")
    assert told.stderr.startswith("study: ")
    assert message in told.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["empty", "file", "motion", "pipe"]


def near_and_far(folder: Path, *distances_m: float) -> None:
    """One motion as a sensor would have recorded it at each of these distances, in `motion`."""
    shutil.rmtree(folder / "motion")
    (folder / "motion").mkdir()
    person = synthesise(people=1, clips_per_action=1, frames=70, noise_m=0).clips[1].positions
    person = person - person[0, KINECT_V2.root]
    for number, distance_m in enumerate(distances_m, start=1):
        moved = person + np.array([0, 0, distance_m])
        write_skeleton_file(folder / "motion" / f"S001C001P{number:03d}R001A{number:03d}.skeleton", moved)


def heights_px(picture: Path, n_rows: int) -> list[int]:
    """How tall the future poses of each row are drawn."""
    with Image.open(picture) as sheet:
        pixels = np.asarray(sheet)
    header = 66
    rows = np.array_split(pixels[header:], n_rows)
    return [int(np.ptp(np.argwhere((row == SIDE_COLOURS["left"]).all(axis=-1))[:, 0])) for row in rows]


def test_the_kinects_view_shows_who_stood_nearer_as_taller_and_a_distant_viewer_does_not(folder: Path) -> None:
    near_and_far(folder, 4.0, 2.0)
    for view, ratio in (([], 1.0), (["--view", "three-quarter"], 1.0), (["--view", "kinect"], 2.0)):
        shown = run("describe", "motion", "--picture", "out.png", *view)
        assert shown.exit_code == 0, shown.stderr
        far, near = heights_px(folder / "out.png", n_rows=2)
        assert near / far == pytest.approx(ratio, rel=0.05)


def test_the_kinects_view_is_refused_where_no_kinect_can_have_stood(folder: Path) -> None:
    near_and_far(folder, 0.0)
    told = run("describe", "motion", "--picture", "out.png", "--view", "kinect")
    assert (told.exit_code, told.stdout) == (2, "")
    assert "S001C001P001R001A001 is not in front of the camera; use --view three-quarter" in told.stderr
    (folder / "h36m" / "S1").mkdir(parents=True)
    write_human36m_file(folder / "h36m" / "S1" / "Walking 1.h5", np.zeros((80, 32, 3)))
    told = run("describe", "h36m", "--picture", "out.png", "--view", "kinect")
    assert (told.exit_code, told.stdout) == (2, "")
    assert "--view kinect: its recordings are of kinect_v2, this is human36m_17" in told.stderr
    assert not (folder / "out.png").exists()


def inventory() -> Inventory:
    def clip(setup: int, person: int, n_frames: int) -> Recording:
        name = f"S{setup:03d}C001P{person:03d}R001A007"
        return Recording(name, f"P{person:03d}", "A007", np.zeros((n_frames, 25, 3), np.float32))

    outcomes = [clip(setup, person, 30 + person) for setup in range(1, 4) for person in (1, 2, 3, 5, 8, 106)]
    short = [Rejected(Path(f"/data/S00{n}.skeleton"), f"{n} frames, fewer than 30") for n in range(5)]
    other = [Rejected(Path("/data/walk.skeleton"), "its name does not follow SsssCcccPpppRrrrAaaa")]
    damaged = [Rejected(Path("/data/S017.skeleton"), "damaged: line 4, expected 25 joints, found '24'")]
    return Inventory.of(
        {"dataset": "ntu_rgbd", "root": "/data"}, KINECT_V2, 30.0, [*outcomes, *other, *short, *damaged], "f" * 64
    )


SHOWN = """\
Data      /data
          ntu_rgbd, kinect_v2, 25 joints, 30 Hz
Clips     18: 915 frames, 30.5 s
Lengths   31 to 136 frames, median 34; 1.0 to 4.5 s, median 1.1 s
People    6: P001–P003, P005, P008, P106
Actions   1: A007
Splits    clips / people          train   validation     test
          ───────────────────────────────────────────────────
          by_subject             12 / 4        3 / 1    3 / 1
          ntu120_cross_subject    9 / 3        3 / 1    6 / 2
          ntu120_cross_setup      5 / 5        1 / 1   12 / 6
Damaged   1 file, left out
            S017.skeleton: line 4, expected 25 joints, found '24'
Left out  5 files: 0–4 frames, fewer than 30
            S000.skeleton
            S001.skeleton
            S002.skeleton
            and 2 more (--rejects lists them)
Left out  1 file: its name does not follow SsssCcccPpppRrrrAaaa
            walk.skeleton
Digest    ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
"""


def test_all_of_it_fits_80_columns() -> None:
    out = io.StringIO()
    show(inventory(), Console(file=out, width=80))
    assert [line.rstrip() for line in out.getvalue().splitlines()] == SHOWN.splitlines()
    assert max(map(len, out.getvalue().splitlines())) <= 80


def test_pictures_are_drawn_from_the_longest_clip_of_each_action_or_person() -> None:
    examples = inventory().examples
    assert [len(clip.positions) for clip in examples] == [136, 31, 32, 33, 35, 38]
