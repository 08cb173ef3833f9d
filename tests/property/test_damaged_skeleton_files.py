"""A damaged ``.skeleton`` file gives finite positions or the line at fault, in bounded time and memory."""

import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpgan_core.data.ntu_rgbd import read_skeleton_file
from hpgan_core.data.skeleton_text import _parse_at_once, _parse_line_by_line
from hpgan_core.data.synthetic import synthesise
from hpgan_core.errors import MalformedRecording

MIB = 2**20


def intact() -> bytes:
    """Frames of one body, of two, of none and of one; pixels of a real file."""
    poses = synthesise(people=1, clips_per_action=1, frames=3).clips[0].positions
    lines = ["4"]
    for bodies in ([poses[0]], [poses[1], poses[1] + 1], [], [poses[2]]):
        lines.append(str(len(bodies)))
        for index, pose in enumerate(bodies):
            lines += [f"7205759403793694{index} 0 1 0 1 1 0 -0.139 -0.0391 2", "25"]
            lines += [f"{x} {y} {z} 264.0 NaN 1010.2 -1e-05 0.1 0.2 0.3 0.4 2" for x, y, z in pose]
    return "\n".join([*lines, ""]).encode()


INTACT = intact()
LINES = INTACT.splitlines(keepends=True)
WORDS = INTACT.split()


def outcome(content: bytes) -> np.ndarray | MalformedRecording:
    """What reading gives, after checking what it may be."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.skeleton"
        path.write_bytes(content)
        try:
            positions = read_skeleton_file(path)
        except MalformedRecording as error:
            fault = error
        else:
            assert positions.shape[1:] == (25, 3)
            assert np.isfinite(positions).all()
            return positions
    assert (fault.path, bool(fault.expected), bool(fault.found)) == (path, True, True)
    assert fault.line is not None
    assert 1 <= fault.line <= content.count(b"\n") + 2
    return fault


def test_the_intact_file_is_read() -> None:
    assert isinstance(outcome(INTACT), np.ndarray)


@pytest.mark.parametrize("whole", [b"1\n" + b"".join(LINES[1:29]), b"12\n" + b"0\n" * 12], ids=["body", "empty frames"])
def test_a_file_cut_at_any_byte_but_the_last_newline_is_refused(whole: bytes) -> None:
    assert isinstance(outcome(whole[:-1]), np.ndarray)
    for kept in range(len(whole) - 1):
        assert isinstance(outcome(whole[:kept]), MalformedRecording)


@given(kept=st.integers(0, len(INTACT) - 2))
def test_a_longer_file_cut_anywhere_is_refused(kept: int) -> None:
    assert isinstance(outcome(INTACT[:kept]), MalformedRecording)


@pytest.mark.parametrize("times", [0, 2], ids=["lost", "doubled"])
def test_a_line_that_is_lost_or_doubled_is_noticed_before_the_frame_is_over(times: int) -> None:
    for index, line in enumerate(LINES):
        fault = outcome(b"".join([*LINES[:index], *[line] * times, *LINES[index + 1 :]]))
        assert isinstance(fault, MalformedRecording)
        assert fault.line is not None
        assert fault.line > index or index == 0
        assert fault.line <= index + 30


@settings(max_examples=400)
@given(flips=st.lists(st.tuples(st.integers(0, len(INTACT) - 1), st.integers(0, 7)), min_size=1, max_size=5))
def test_flipped_bits_give_finite_positions_or_the_line_at_fault(flips: list[tuple[int, int]]) -> None:
    content = bytearray(INTACT)
    for place, bit in flips:
        content[place] ^= 1 << bit
    outcome(bytes(content))


WORD = st.sampled_from(
    [
        b"",
        b"-",
        b"1e",
        b"0x1",
        b"1_0",
        b"nan",
        b"-NaN",
        b"1e999",
        b"-1e39",
        b"+1",
        b"25.0",
        b"3",
        b"-1",
        b"\x00",
        b"\xff",
    ]
)


NEWLINES = [b"\n", b"\r\n", b" \n", b"\t \r\n"]


@pytest.mark.parametrize("newline", NEWLINES)
def test_a_file_is_parsed_at_once_however_its_lines_end(newline: bytes) -> None:
    at_once = _parse_at_once(INTACT.replace(b"\n", newline))
    assert at_once is not None
    for part, again in zip(at_once, _parse_line_by_line(Path("clip"), INTACT), strict=True):
        assert np.array_equal(part, again)


@settings(max_examples=400)
@given(
    changes=st.dictionaries(st.integers(0, len(WORDS) - 1), WORD, min_size=1, max_size=3),
    newline=st.sampled_from(NEWLINES),
)
def test_both_ways_of_parsing_agree_whatever_stands_in_a_field(changes: dict[int, bytes], newline: bytes) -> None:
    words, at = [], 0
    for index, word in enumerate(WORDS):
        begin = INTACT.index(word, at)
        words += [INTACT[at:begin], changes.get(index, word)]
        at = begin + len(word)
    content = (b"".join(words) + INTACT[at:]).replace(b"\n", newline)
    outcome(content)
    at_once = _parse_at_once(content)
    if at_once is not None:
        for part, again in zip(at_once, _parse_line_by_line(Path("clip"), content), strict=True):
            assert np.array_equal(part, again)


@settings(max_examples=400)
@given(
    places=st.lists(st.integers(0, len(INTACT)), min_size=1, max_size=3),
    separator=st.sampled_from([b" ", b"\n", b"\r", b"\t", b"\r\n", b" \n", b"\n ", b"\x0b"]),
)
def test_both_ways_of_parsing_agree_wherever_a_separator_is_added(places: list[int], separator: bytes) -> None:
    content = INTACT
    for place in places:
        content = content[:place] + separator + content[place:]
    at_once = _parse_at_once(content)
    if at_once is not None:
        for part, again in zip(at_once, _parse_line_by_line(Path("clip"), content), strict=True):
            assert np.array_equal(part, again)


@given(content=st.one_of(st.binary(max_size=400), st.text("0123456 .-eNa\n\r\t", max_size=200).map(str.encode)))
def test_any_bytes_are_read_or_named(content: bytes) -> None:
    outcome(content)


def peak_bytes(content: bytes) -> int:
    """Of what numpy and Python ask for while a file is read."""
    tracemalloc.start()
    try:
        outcome(content)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("count", [b"99999", b"10000000", b"1000000000000", b"9" * 400])
@pytest.mark.parametrize("line", [0, 1, 3], ids=["frames", "bodies", "joints"])
def test_a_declared_count_is_never_given_memory(line: int, count: bytes) -> None:
    content = b"".join([*LINES[:line], count + b"\n", *LINES[line + 1 :]])
    assert isinstance(outcome(content), MalformedRecording)
    assert peak_bytes(content) < MIB // 2


@pytest.mark.parametrize(
    "content",
    [
        b"1" * MIB,
        b"1 " * (MIB // 2),
        b" " * MIB + b"1",
        b"\n" * MIB + b"1",
        b"\x00" * MIB,
        b"1\n1\n" + b"1 " * (MIB // 2),
        b"4\n" + b"0\n" * (MIB // 2),
        b"50000\n" + b"0\n" * 50_000,
        b"1000\n" + b"".join(LINES[1:29]) * 1000,
        INTACT + b"x" * MIB,
    ],
    ids=["digits", "words", "blanks", "newlines", "zeros", "a long line", "lost count", "empty frames", "long", "tail"],
)
def test_memory_grows_with_the_file_alone(content: bytes) -> None:
    assert peak_bytes(content) < 16 * len(content) + 8 * MIB
