"""Files that are replaced whole, and files that grow by whole lines."""

import os
from pathlib import Path

import pytest

from hpgan_core.durable import append_line, read_lines, sync, write_durably


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_durably(path, b"old")
    write_durably(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_content_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "file"
    write_durably(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_there_are_no_lines_where_there_is_no_file(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "none") == []


def test_lines_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    for line in ("one", "", "three \u2028 still three"):
        append_line(path, line)
        sync(path)
    assert read_lines(path) == ["one", "", "three \u2028 still three"]


@pytest.mark.parametrize("kept", range(len("one\ntwo\n")))
def test_a_line_that_is_cut_short_is_passed_over_and_replaced(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "lines"
    path.write_text("one\ntwo\n"[:kept])
    whole = ["one"] if kept >= 4 else []
    assert read_lines(path) == whole
    append_line(path, "three")
    assert path.read_text() == "".join(f"{line}\n" for line in [*whole, "three"])
