"""Damaged motion archives: whatever happened to their bytes, they are named, and never read as something else."""

import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpgan_core.data.archive import Entry, _write_sha256, open_archive, write_archive
from hpgan_core.data.recordings import Recordings, Rejected
from hpgan_core.errors import MalformedRecording
from hpgan_core.skeleton import HUMAN36M_17


def archive() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "motion.h5"
        motions = list(np.random.default_rng(0).normal(size=(4, 5, 17, 3)).astype(np.float32))
        clips = [Entry(f"S{n} Walking", f"S{n}", "Walking", 5) for n in range(4)]
        rejected = [Rejected(Path("S9/Eating.h5"), "2 frames, fewer than 30")]
        write_archive(path, HUMAN36M_17, 25.0, clips, motions, rejected, source={"root": "/"}, source_key="0" * 64)
        return path.read_bytes()


INTACT = archive()


def read_or_named(content: bytes, sealed: bool = False) -> Recordings | MalformedRecording:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "motion.h5"
        path.write_bytes(content)
        if sealed:
            _write_sha256(path)
        try:
            return open_archive(path).recordings
        except MalformedRecording as error:
            fault = error
        assert fault.path == path
        return fault


def test_the_intact_archive_is_read() -> None:
    read = read_or_named(INTACT)
    assert isinstance(read, Recordings)
    assert len(read.clips) == 4


@given(kept=st.integers(0, len(INTACT) - 1))
def test_an_archive_cut_at_any_byte_is_refused(kept: int) -> None:
    assert isinstance(read_or_named(INTACT[:kept]), MalformedRecording)


@settings(max_examples=300)
@given(flips=st.sets(st.tuples(st.integers(0, len(INTACT) - 1), st.integers(0, 7)), min_size=1, max_size=5))
def test_an_archive_with_flipped_bits_is_refused(flips: set[tuple[int, int]]) -> None:
    content = bytearray(INTACT)
    for place, bit in flips:
        content[place] ^= 1 << bit
    assert isinstance(read_or_named(bytes(content)), MalformedRecording)


@given(added=st.binary(min_size=1, max_size=100))
def test_an_archive_with_more_behind_it_is_refused(added: bytes) -> None:
    assert isinstance(read_or_named(INTACT + added), MalformedRecording)


@given(content=st.binary(max_size=2000))
def test_any_bytes_are_refused(content: bytes) -> None:
    assert isinstance(read_or_named(content), MalformedRecording)


counts = st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 30)


@given(starts=st.lists(counts, max_size=5), lengths=st.lists(counts, max_size=5))
def test_a_sealed_table_of_any_counts_is_refused(starts: list[int], lengths: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "motion.h5"
        path.write_bytes(INTACT)
        with h5py.File(path, "r+") as file:
            for name, column in (("clips/start", starts), ("clips/length", lengths)):
                del file[name]
                file[name] = np.array(column, np.int64)
        content = path.read_bytes()
    outcome = read_or_named(content, sealed=True)
    if (starts, lengths) != ([0, 5, 10, 15], [5, 5, 5, 5]):
        assert isinstance(outcome, MalformedRecording)


@pytest.mark.parametrize("shape", [(0, 17, 3), (10**15, 17, 3), (2**50, 17, 3), (5, 17), (), (20, 17, 4)])
def test_sealed_frames_of_any_shape_are_refused(shape: tuple[int, ...]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "motion.h5"
        path.write_bytes(INTACT)
        with h5py.File(path, "r+") as file:
            del file["frames"]
            file.create_dataset("frames", shape, "<f4")
        content = path.read_bytes()
    assert isinstance(read_or_named(content, sealed=True), MalformedRecording)
