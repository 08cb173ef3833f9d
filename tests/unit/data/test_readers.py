"""Data sets by name: the table of readers, their options, and what is wrong with a description."""

import inspect
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpgan_core.data import (
    PATH_OPTIONS,
    READERS,
    SOURCES,
    SUFFIXES,
    data_problems,
    dataset_at,
    list_recordings,
    read_recordings,
    reader_options,
)
from hpgan_core.data.human36m import write_human36m_file
from hpgan_core.data.prepare import prepare
from hpgan_core.data.recordings import read_all
from hpgan_core.data.synthetic import synthesise, write_synthetic
from hpgan_core.errors import BadInput


def test_a_data_set_is_read_with_the_options_given() -> None:
    read = read_recordings({"dataset": "synthetic", "people": 2, "frames": 30, "noise_m": 0})
    assert read.digest() == synthesise(people=2, frames=30).digest()


def test_a_folder_may_be_text_or_a_path(tmp_path: Path) -> None:
    written = write_synthetic(tmp_path, people=1, clips_per_action=1, frames=20)
    for root in (tmp_path, str(tmp_path)):
        data = {"dataset": "ntu_rgbd", "root": root, "min_frames": 20, "replication": None}
        assert read_recordings(data).digest() == written.digest()


def test_options_are_the_parameters_of_the_reader() -> None:
    assert reader_options("synthetic") == {
        "seed": int, "people": int, "clips_per_action": int, "frames": int, "noise_m": float
    }  # fmt: skip
    assert reader_options("archive") == {"path": Path, "min_frames": int}
    assert {"root", "path"} <= PATH_OPTIONS
    assert all(reader_options(name) for name in READERS)


@pytest.mark.parametrize(
    ("data", "problems"),
    [
        ({}, ["option 'dataset' must name a data set, found None (known: synthetic, ntu_rgbd, human36m, archive)"]),
        (
            {"dataset": "sinthetic"},
            [
                "data set 'sinthetic' is unknown; did you mean 'synthetic'? "
                "(known: synthetic, ntu_rgbd, human36m, archive)"
            ],
        ),
        (
            {"dataset": ["synthetic"]},
            [
                "option 'dataset' must name a data set, found ['synthetic'] "
                "(known: synthetic, ntu_rgbd, human36m, archive)"
            ],
        ),
        ({"dataset": "ntu_rgbd"}, ["ntu_rgbd needs the option 'root'"]),
        (
            {"dataset": "ntu_rgbd", "rot": "/data", "min_frames": None, "max_action": "49"},
            [
                "ntu_rgbd needs the option 'root'",
                "option of ntu_rgbd 'rot' is unknown; did you mean 'root'? "
                "(known: root, max_action, replication, min_frames, missing)",
                "option 'min_frames' of ntu_rgbd must be a whole number, found None",
                "option 'max_action' of ntu_rgbd must be a whole number or null, found '49'",
            ],
        ),
        (
            {"dataset": "synthetic", "people": True, "frames": 60.5, "noise_m": "much"},
            [
                "option 'people' of synthetic must be a whole number, found True",
                "option 'frames' of synthetic must be a whole number, found 60.5",
                "option 'noise_m' of synthetic must be a number, found 'much'",
            ],
        ),
    ],
)
def test_all_that_is_wrong_is_said_at_once(data: dict[str, Any], problems: list[str]) -> None:
    assert data_problems(data) == problems
    with pytest.raises(BadInput) as caught:
        read_recordings(data)
    assert str(caught.value) == "; ".join(problems)


def test_reading_data_needs_no_torch() -> None:
    loaded = "import sys, hpgan_core.data; print(sorted({'torch', 'matplotlib', 'ray'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """The same kind of thing in each format that is recognised."""
    write_synthetic(tmp_path / "ntu" / "deep", people=3, clips_per_action=1, frames=70)
    take = np.zeros((80, 32, 3), np.float32)
    (tmp_path / "h36m" / "S1").mkdir(parents=True)
    write_human36m_file(tmp_path / "h36m" / "S1" / "Walking 1.h5", take)
    data = {"dataset": "ntu_rgbd", "root": str(tmp_path / "ntu")}
    source = list_recordings(data)
    assert source is not None
    prepare(source, tmp_path / "motion.archive", data)
    return {"ntu_rgbd": tmp_path / "ntu", "human36m": tmp_path / "h36m", "archive": tmp_path / "motion.archive"}


def test_data_sets_are_recognised_by_what_lies_there(places: dict[str, Path]) -> None:
    for dataset, path in places.items():
        found = dataset_at(path)
        assert found["dataset"] == dataset
        assert read_recordings(found).clips
    # An archive kept beside the recordings it was made of does not hide them.
    places["archive"].rename(places["ntu_rgbd"] / "motion.h5")
    assert dataset_at(places["ntu_rgbd"])["dataset"] == "ntu_rgbd"


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("40\n")
    for name, message in (
        ("empty", "holds no recordings"),
        ("file", "is no motion archive"),
        ("missing", "does not exist"),
    ):
        with pytest.raises(
            BadInput, match=rf"{name} {message}.*\(NTU RGB\+D's \.skeleton or Human3\.6M's \.h5 files\)"
        ):
            dataset_at(tmp_path / name)


@pytest.mark.parametrize("suffix", [".SKELETON", ".Skeleton", ".H5"])
def test_a_suffix_counts_in_any_case_of_letters(places: dict[str, Path], suffix: str) -> None:
    dataset = SUFFIXES[suffix.lower()]
    before = read_recordings(dataset_at(places[dataset]))
    files = list(places[dataset].rglob(f"*{suffix.lower()}"))
    for path in files:
        path.rename(path.with_suffix(suffix))
    after = read_recordings(dataset_at(places[dataset]))
    assert len(after.clips) == len(files) > 0
    assert after.digest() == before.digest()
    copied = files[0].with_suffix(suffix)
    copied.with_suffix(suffix.lower()).write_bytes(copied.read_bytes())
    again = read_recordings(dataset_at(places[dataset]))
    assert again.digest() == before.digest()
    assert [reject.path.stem for reject in again.rejected] == [copied.stem], "one of two with one name is told"


@pytest.mark.parametrize("dataset", SOURCES)
def test_a_folder_is_listed_with_the_options_it_is_read_with(dataset: str, places: dict[str, Path]) -> None:
    assert inspect.signature(SOURCES[dataset]).parameters == inspect.signature(READERS[dataset]).parameters
    data = {"dataset": dataset, "root": places[dataset], "min_frames": 35}
    source = list_recordings(data)
    assert source is not None
    assert read_all(source).digest() == read_recordings(data).digest()
    assert pickle.loads(pickle.dumps(source)) == source


@pytest.fixture
def closed() -> Iterator[Path]:
    """Something that whoever runs the test must not look into, in a folder that they may."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "closed").mkdir(mode=0)
        user = os.geteuid()
        os.seteuid(user or 65534)  # root may look into everything
        yield Path(folder) / "closed"
        os.seteuid(user)


@pytest.mark.parametrize("dataset", SOURCES)
def test_what_must_not_be_looked_at_is_told_and_not_passed_over(dataset: str, closed: Path) -> None:
    for root, message in ((closed.parent, "closed cannot be listed"), (closed / "S1", "S1 cannot be read")):
        with pytest.raises(BadInput, match=f"{message}: Permission denied"):
            list_recordings({"dataset": dataset, "root": root})
        with pytest.raises(BadInput, match=f"{message}: Permission denied"):
            dataset_at(root)


def test_what_is_no_folder_is_not_listed(places: dict[str, Path]) -> None:
    assert list_recordings({"dataset": "synthetic"}) is None
    assert list_recordings({"dataset": "archive", "path": places["archive"]}) is None
    with pytest.raises(BadInput, match="ntu_rgbd needs the option 'root'"):
        list_recordings({"dataset": "ntu_rgbd"})


def test_an_archive_is_read_with_its_own_option(places: dict[str, Path]) -> None:
    data = {"dataset": "archive", "path": str(places["archive"])}
    text = {"dataset": "ntu_rgbd", "root": places["ntu_rgbd"]}
    assert read_recordings(data).digest() == read_recordings(text).digest()
    with pytest.raises(BadInput, match="71 frames or more"):
        read_recordings(data | {"min_frames": 71})
