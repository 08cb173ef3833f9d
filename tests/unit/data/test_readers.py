"""Data sets by name: the table of readers, their options, and what is wrong with a description."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hpgan_core.data import READERS, data_problems, read_recordings, reader_options
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
    assert list(reader_options("ntu_rgbd")) == ["root", "max_action", "replication", "min_frames"]
    assert all(reader_options(name) for name in READERS)


@pytest.mark.parametrize(
    ("data", "problems"),
    [
        ({}, ["option 'dataset' must name a data set, found None (known: synthetic, ntu_rgbd)"]),
        (
            {"dataset": "sinthetic"},
            ["data set 'sinthetic' is unknown; did you mean 'synthetic'? (known: synthetic, ntu_rgbd)"],
        ),
        (
            {"dataset": ["synthetic"]},
            ["option 'dataset' must name a data set, found ['synthetic'] (known: synthetic, ntu_rgbd)"],
        ),
        ({"dataset": "ntu_rgbd"}, ["ntu_rgbd needs the option 'root'"]),
        (
            {"dataset": "ntu_rgbd", "rot": "/data", "min_frames": None, "max_action": "49"},
            [
                "ntu_rgbd needs the option 'root'",
                "option of ntu_rgbd 'rot' is unknown; did you mean 'root'? "
                "(known: root, max_action, replication, min_frames)",
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
    loaded = "import sys, hpgan_core.data; print(sorted({'torch', 'matplotlib', 'h5py', 'ray'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout == "[]\n"
