"""What always holds for ``.skeleton`` files: what is written is read."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hpgan_core.data.ntu_rgbd import read_skeleton_file, write_skeleton_file
from hpgan_core.data.skeleton_text import _parse_at_once, _parse_line_by_line

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


NUMBERS = st.one_of(
    st.floats(-1e30, 1e30).map(repr),
    st.decimals(-10, 10, places=9).map(str).filter(lambda word: set(word) <= set("0123456789-.")),
    st.from_regex(r"[+-]?[0-9]{1,25}\.?[0-9]{0,25}(e-?[01]?[0-9])?", fullmatch=True).filter(
        lambda word: abs(float(word)) < 1e38
    ),
)


@given(numbers=st.lists(NUMBERS, min_size=3, max_size=3), frames=st.lists(st.integers(0, 6), min_size=1, max_size=4))
def test_a_number_is_rounded_as_python_rounds_it_whichever_way_it_is_parsed(
    numbers: list[str], frames: list[int]
) -> None:
    joint = " ".join(numbers) + " 1 1 1 1 0 0 0 0 2"
    lines = [str(len(frames))]
    for n_bodies in frames:
        lines.append(str(n_bodies))
        for body in range(n_bodies):
            lines += [f"{body} 0 0 0 0 0 0 0 0 2", "25", *[joint] * 25]
    content = "\n".join([*lines, ""]).encode()
    at_once, line_by_line = _parse_at_once(content), _parse_line_by_line(Path("clip"), content)
    assert at_once is not None
    for part, again in zip(at_once, line_by_line, strict=True):
        assert np.array_equal(part, again)
    assert (at_once.positions == np.array(numbers, dtype=float)).all()
