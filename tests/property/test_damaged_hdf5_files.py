"""Damaged HDF5 files: whatever happened to their bytes, they are read or named, never a crash and never a wait."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpgan_core.data.cameras import CAMERA_NUMBERS, SUBJECTS, Camera, read_cameras, write_cameras
from hpgan_core.data.human36m import read_human36m_file, write_human36m_file
from hpgan_core.errors import MalformedRecording

MOTION = np.random.default_rng(0).normal(size=(12, 32, 3)).astype(np.float32)
COLUMNS = 1000.0 * np.stack([MOTION[..., 0], -MOTION[..., 2], MOTION[..., 1]], axis=-1).reshape(12, 96).T


def content_of(write: Callable[[Path], None]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.h5"
        write(path)
        return path.read_bytes()


def stored(libver: str = "earliest", **storage: Any) -> bytes:
    """A take, stored as others may store it."""

    def write(path: Path) -> None:
        with h5py.File(path, "w", libver=libver) as file:
            file.create_dataset("3D_positions", data=COLUMNS, **storage)

    return content_of(write)


TAKES = {
    "as written here": content_of(lambda path: write_human36m_file(path, MOTION)),
    "latest format": stored("latest"),
    "chunks": stored(chunks=(16, 5)),
    "gzip": stored(chunks=(16, 5), compression="gzip", shuffle=True, fletcher32=True),
    "latest format, gzip, growing": stored("latest", chunks=(16, 5), maxshape=(None, None), compression="gzip"),
}
EYE = Camera(np.eye(3), np.zeros(3), np.full(2, 1145.0), np.full(2, 512.0), np.zeros(3), np.zeros(2), "54138969")
CAMERAS = content_of(
    lambda path: write_cameras(path, {(subject, number): EYE for subject in SUBJECTS for number in CAMERA_NUMBERS})
)

every_take = pytest.mark.parametrize("take", TAKES.values(), ids=TAKES)
flips = st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 7)), min_size=1, max_size=5)


def read_or_named(read: Callable[[Path], Any], content: bytes) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.h5"
        path.write_bytes(content)
        try:
            return read(path)
        except MalformedRecording as error:
            fault = error
        assert fault.path == path
        assert fault.expected
        assert fault.found
        return fault


def flipped(content: bytes, flips: list[tuple[int, int]]) -> bytes:
    damaged = bytearray(content)
    for place, bit in flips:
        damaged[place % len(damaged)] ^= 1 << bit
    return bytes(damaged)


def assert_is_motion_or_named(outcome: Any) -> None:
    if not isinstance(outcome, MalformedRecording):
        assert outcome.shape[1:] == (32, 3)
        assert np.isfinite(outcome).all()


@every_take
def test_an_intact_take_is_read(take: bytes) -> None:
    assert read_or_named(read_human36m_file, take) == pytest.approx(MOTION, rel=1e-6)


@every_take
@settings(max_examples=50)
@given(kept=st.floats(0, 1, exclude_max=True))
def test_a_take_cut_at_any_byte_is_refused(take: bytes, kept: float) -> None:
    outcome = read_or_named(read_human36m_file, take[: int(kept * len(take))])
    assert isinstance(outcome, MalformedRecording)


@every_take
@settings(max_examples=200)
@given(flips=flips)
def test_flipped_bits_give_finite_motion_or_are_named(take: bytes, flips: list[tuple[int, int]]) -> None:
    assert_is_motion_or_named(read_or_named(read_human36m_file, flipped(take, flips)))


@every_take
@settings(max_examples=100)
@given(start=st.floats(0, 1), filling=st.binary(min_size=1, max_size=64))
def test_overwritten_bytes_give_finite_motion_or_are_named(take: bytes, start: float, filling: bytes) -> None:
    place = int(start * (len(take) - len(filling)))
    damaged = take[:place] + filling + take[place + len(filling) :]
    assert_is_motion_or_named(read_or_named(read_human36m_file, damaged))


@given(content=st.binary(max_size=400))
def test_any_bytes_are_named(content: bytes) -> None:
    for beginning in (b"", b"\x89HDF\r\n\x1a\n"):
        assert isinstance(read_or_named(read_human36m_file, beginning + content), MalformedRecording)


@settings(max_examples=40)
@given(kept=st.integers(0, len(CAMERAS) - 1))
def test_cameras_cut_at_any_byte_are_refused(kept: int) -> None:
    assert isinstance(read_or_named(read_cameras, CAMERAS[:kept]), MalformedRecording)


@settings(max_examples=50)
@given(flips=flips)
def test_flipped_bits_give_rotations_or_are_named(flips: list[tuple[int, int]]) -> None:
    outcome = read_or_named(read_cameras, flipped(CAMERAS, flips))
    if not isinstance(outcome, MalformedRecording):
        assert len(outcome) == 28
        for camera in outcome.values():
            assert np.abs(camera.rotation @ camera.rotation.T - np.eye(3)).max() <= 1e-6
            assert (camera.focal_px > 0).all()
