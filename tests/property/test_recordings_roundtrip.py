"""What always holds for ``.skeleton`` files: written is read, and damage is named."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hpgan_core.data.ntu_rgbd import read_skeleton_file, write_skeleton_file
from hpgan_core.data.synthetic import synthesise
from hpgan_core.errors import MalformedRecording

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
POSITIONS = st.integers(1, 3).flatmap(
    lambda frames: arrays(np.float32, (frames, 25, 3), elements=FINITE, fill=st.just(np.float32(1.25)))
)


@given(positions=POSITIONS, body_id=st.integers(0, 2**64 - 1), tracking=st.sampled_from([1, 2]))
def test_what_is_written_is_read_bit_for_bit(positions: np.ndarray, body_id: int, tracking: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.skeleton"
        write_skeleton_file(path, positions, body_id, tracking)
        assert read_skeleton_file(path).tobytes() == positions.tobytes()


def intact() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.skeleton"
        write_skeleton_file(path, synthesise(people=1, clips_per_action=1, frames=3).clips[0].positions)
        return path.read_bytes()


INTACT = intact()


def read_or_named(content: bytes) -> np.ndarray | MalformedRecording:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.skeleton"
        path.write_bytes(content)
        try:
            return read_skeleton_file(path)
        except MalformedRecording as error:
            fault = error
        assert fault.path == path
        assert fault.line is not None
        assert 1 <= fault.line <= content.count(b"\n") + 2
        return fault


@given(kept=st.integers(0, len(INTACT) - 2))
def test_a_file_cut_at_any_byte_is_refused(kept: int) -> None:
    assert isinstance(read_or_named(INTACT[:kept]), MalformedRecording)


@settings(max_examples=300)
@given(flips=st.lists(st.tuples(st.integers(0, len(INTACT) - 1), st.integers(0, 7)), min_size=1, max_size=5))
def test_flipped_bits_give_finite_positions_or_the_line_at_fault(flips: list[tuple[int, int]]) -> None:
    content = bytearray(INTACT)
    for place, bit in flips:
        content[place] ^= 1 << bit
    outcome = read_or_named(bytes(content))
    if isinstance(outcome, np.ndarray):
        assert outcome.shape[1:] == (25, 3)
        assert np.isfinite(outcome).all()


@given(content=st.binary(max_size=400))
def test_any_bytes_are_read_or_named(content: bytes) -> None:
    read_or_named(content)
