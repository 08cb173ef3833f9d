"""Checkpoints and durable files: whole, or as if they had never been."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from hpgan_core.checkpoint import read_newest_checkpoint, superseded_checkpoints, write_checkpoint
from hpgan_core.durable import write_durably


def content(epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, "weights": torch.full((50,), float(epoch)), "reports": [{"ade": 0.5, "motions": None}]}


def newest_epoch(folder: Path) -> int | None:
    found = read_newest_checkpoint(folder)
    return None if found is None else found["epoch"]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "new folder", 3, content(3))
    found = read_newest_checkpoint(tmp_path / "new folder")
    assert found is not None
    assert torch.equal(found.pop("weights"), torch.full((50,), 3.0))
    assert found == {"epoch": 3, "reports": [{"ade": 0.5, "motions": None}]}


def test_without_a_checkpoint_there_is_none(tmp_path: Path) -> None:
    assert read_newest_checkpoint(tmp_path) is None
    assert read_newest_checkpoint(tmp_path / "missing") is None


def test_the_newest_and_the_one_before_are_kept(tmp_path: Path) -> None:
    paths = [write_checkpoint(tmp_path, epoch, content(epoch)) for epoch in (8, 9, 10, 11)]
    assert sorted(tmp_path.iterdir()) == sorted(paths[-2:])
    assert newest_epoch(tmp_path) == 11


def test_epochs_count_beyond_six_digits(tmp_path: Path) -> None:
    for epoch in (999_999, 1_000_000):
        write_checkpoint(tmp_path, epoch, content(epoch))
    assert newest_epoch(tmp_path) == 1_000_000


@pytest.mark.parametrize("kept", [0, 1, 0.5, 0.99])
def test_a_truncated_checkpoint_gives_way_to_the_one_before(tmp_path: Path, kept: float) -> None:
    write_checkpoint(tmp_path, 1, content(1))
    newest = write_checkpoint(tmp_path, 2, content(2))
    data = newest.read_bytes()
    newest.write_bytes(data[: kept if isinstance(kept, int) else int(kept * len(data))])
    assert newest_epoch(tmp_path) == 1


def test_a_checkpoint_that_cannot_be_read_gives_way_to_the_one_before(tmp_path: Path) -> None:
    _, newest = (write_checkpoint(tmp_path, epoch, content(epoch)) for epoch in (1, 2))
    newest.unlink()
    newest.symlink_to("nowhere")
    assert newest_epoch(tmp_path) == 1
    assert superseded_checkpoints(tmp_path) == []
    kept = [write_checkpoint(tmp_path, epoch, content(epoch)) for epoch in (2, 3)]
    assert sorted(tmp_path.iterdir()) == kept


def test_one_flipped_byte_anywhere_is_noticed(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 1, content(1))
    newest = write_checkpoint(tmp_path, 2, content(2))
    data = newest.read_bytes()
    for place in range(0, len(data), 97):
        newest.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert newest_epoch(tmp_path) == 1
    newest.write_bytes(data)
    assert newest_epoch(tmp_path) == 2


def test_a_checkpoint_is_superseded_by_a_newer_one_that_is_whole(tmp_path: Path) -> None:
    assert superseded_checkpoints(tmp_path) == []
    older, newest = (write_checkpoint(tmp_path, epoch, content(epoch)) for epoch in (1, 2))
    assert superseded_checkpoints(tmp_path) == [older]
    newest.write_bytes(newest.read_bytes()[:-1])
    assert superseded_checkpoints(tmp_path) == []


def test_two_damaged_checkpoints_are_as_none(tmp_path: Path) -> None:
    for epoch in (1, 2):
        write_checkpoint(tmp_path, epoch, content(epoch)).write_bytes(b"damaged")
    assert read_newest_checkpoint(tmp_path) is None


def test_a_damaged_later_checkpoint_does_not_crowd_out_a_whole_one(tmp_path: Path) -> None:
    first = write_checkpoint(tmp_path, 1, content(1))
    write_checkpoint(tmp_path, 3, content(3)).write_bytes(b"damaged")
    second = write_checkpoint(tmp_path, 2, content(2))
    assert sorted(tmp_path.iterdir()) == sorted([first, second])
    third = write_checkpoint(tmp_path, 3, content(3))
    assert sorted(tmp_path.iterdir()) == sorted([second, third])


def test_what_a_killed_process_left_is_cleared_away_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / f".epoch-000001-{'0' * 64}.pt.4711").write_bytes(b"half")
    other = tmp_path / "notes.txt"
    other.write_text("not ours")
    path = write_checkpoint(tmp_path, 2, content(2))
    assert sorted(tmp_path.iterdir()) == sorted([path, other])


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data in (b"old", b"new"):
        write_durably(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_durably(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
