"""The text of ``.skeleton`` files: every body of every frame, checked line by line.

A file holds, a line each: the number of frames; for each frame the number of bodies; for each body ten fields (id,
clipped edges, four of the hands, restricted, two of the lean, tracking), the number of joints and, for each joint,
twelve fields (x y z in metres, depth x y, colour x y in pixels, orientation w x y z, tracking).

An ordinary file is parsed all at once, whether its lines end in a newline, in CRLF or in blanks. Any other is gone
through line by line, which takes ten times as long, knows every form the format allows and names the first line at
fault.

Source:
    Shahroudy et al. 2016, arXiv:1604.02808, and the data set's own MATLAB reader.
"""

import os
import re
from array import array
from codecs import BOM_UTF8
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from hpgan_core.errors import BadInput, MalformedRecording
from hpgan_core.skeleton import KINECT_V2

_N_JOINTS = KINECT_V2.n_joints
_BODY_FIELDS, _JOINT_FIELDS = 10, 12
_BODY_ID = re.compile(rb"-?[0-9]{1,19}|[0-9]{20}")  # signed or not, of 64 bits
_NUMBER_LETTERS = b"eENan"
_NUMBER_CHARACTERS = b"+-.0123456789" + _NUMBER_LETTERS
_LARGEST = 3.4028235e38  # float32 holds no more
_MOST_BODIES = 6  # the sensor's own limit
# One person for 12 minutes, nobody for an hour; clips of NTU RGB+D last seconds.
_MOST_BYTES, _MOST_FRAMES = 2**26, 10**5

# Of all lines at once: which bytes end a word; what stands after each word of a body, and of a frame of so many; the
# words of each joint of a body that are read.
_ENDS_WORD = bytes(code not in _NUMBER_CHARACTERS for code in range(256))
_BODY_SEPARATORS = b"".join(b" " * (n - 1) + b"\n" for n in (_BODY_FIELDS, 1, *[_JOINT_FIELDS] * _N_JOINTS))
_FRAME_SEPARATORS = [b"\n" + _BODY_SEPARATORS * n_bodies for n_bodies in range(_MOST_BODIES + 1)]
_JOINT_WORDS = _BODY_FIELDS + 1 + _JOINT_FIELDS * np.arange(_N_JOINTS)[:, None]
_POSITION_WORDS, _STATE_WORDS = _JOINT_WORDS + np.arange(3), _JOINT_WORDS[:, 0] + _JOINT_FIELDS - 1


class Bodies(NamedTuple):
    """The n bodies of a file, frame by frame.

    Attributes:
        frames: the 0-based frame of each, ``(n,)``.
        ids: who each is, as text, which keeps all 64 bits, ``(n,)``.
        positions: metres, float64 ``(n, 25, 3)``, finite in float32; at the origin where the sensor lost a joint.
        tracking: 0 not tracked, 1 inferred, 2 tracked, ``(n, 25)``.
    """

    frames: np.ndarray
    ids: np.ndarray
    positions: np.ndarray
    tracking: np.ndarray


def parse_skeleton_file(path: Path) -> Bodies:
    """Every body of a file.

    Positions, counts, ids and tracking states are read; the other fields are only counted, and their characters
    checked. Time and memory grow with the file, never with the counts it declares.

    Raises:
        BadInput: the file cannot be read.
        MalformedRecording: it does not follow the format, or is longer than any clip. A file that was cut short is
            always found out: its last field has one digit.
    """
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            # The mark is what some editors leave in front of a text.
            content = file.read().removeprefix(BOM_UTF8) if size <= _MOST_BYTES else b""
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error
    if size > _MOST_BYTES:
        raise MalformedRecording(path, f"at most {_MOST_BYTES} bytes, 12 minutes of one person", f"{size} bytes")
    if not content.endswith(b"\n"):
        content = content.rstrip() + b"\n"
    return _parse_at_once(content) or _parse_line_by_line(path, content)


def _parse_at_once(content: bytes) -> Bodies | None:
    """The bodies of an ordinary file, from all its lines together; None if it is unusual or damaged."""
    words = _split(content)
    if words is None:
        return None
    starts, ends, separators = words
    n_bodies: list[int] = []  # of each frame
    word = 1
    while word < len(ends) and len(n_bodies) < _MOST_FRAMES:
        start = starts.item(word)
        digit = content[start] - ord("0")
        if not 0 <= digit <= _MOST_BODIES or ends.item(word) != start + 1:
            return None
        n_bodies.append(digit)
        word += len(_FRAME_SEPARATORS[digit])
    expected = b"\n" + b"".join([_FRAME_SEPARATORS[n] for n in n_bodies])
    if content[: ends[0]] != b"%d" % len(n_bodies) or separators != expected:
        return None
    frames = np.repeat(np.arange(len(n_bodies)), n_bodies)
    first = 2 + frames + len(_BODY_SEPARATORS) * np.arange(len(frames))  # word of each body
    ids, n_joints = (_texts(content, starts.take(at), ends.take(at)) for at in (first, first + _BODY_FIELDS))
    coordinates, states = first[:, None, None] + _POSITION_WORDS, first[:, None] + _STATE_WORDS
    positions = _numbers(content, starts.take(coordinates), ends.take(coordinates))
    states_at = starts.take(states)
    tracking = np.frombuffer(content, dtype=np.uint8).take(states_at) - np.uint8(ord("0"))
    if (
        positions is None
        or not np.abs(positions).max(initial=0) <= _LARGEST
        or tracking.max(initial=0) > 2
        or (ends.take(states) != states_at + 1).any()
        or set(n_joints) - {b"%d" % _N_JOINTS}
        or not all(map(_BODY_ID.fullmatch, set(ids)))
        or (max(n_bodies, default=0) > 1 and len(set(zip(frames.tolist(), ids, strict=True))) < len(ids))
    ):
        return None
    return Bodies(frames, np.array(ids, dtype="S20"), positions, tracking)


def _split(content: bytes) -> tuple[np.ndarray, np.ndarray, bytes] | None:
    """Where each word starts and ends, and the separator after it; None if words lack between separators.

    Blanks may stand before a separator, as in CRLF and at the end of a padded line.
    """
    characters = np.frombuffer(content, dtype=np.uint8)
    ends = _ends_word(content, characters).nonzero()[0]
    separators = characters.take(ends)
    ends = ends.astype(np.int32)
    lasts = ends
    goes_on = np.diff(ends) == 1
    if goes_on.any():
        if separators.take(goes_on.nonzero()[0]).tobytes().strip(b" \t\r"):
            return None
        last = np.append(~goes_on, True).nonzero()[0]
        ends, lasts, separators = ends.take(np.append(0, last[:-1] + 1)), ends.take(last), separators.take(last)
    starts = np.append(np.int32(0), lasts[:-1] + 1)
    return starts, ends, separators.tobytes()


def _ends_word(content: bytes, characters: np.ndarray) -> np.ndarray:
    """Which bytes are no part of a number. One comparison tells it, except for the few characters below."""
    letters = characters.take((characters > ord("9")).nonzero()[0]).tobytes()
    if letters.translate(None, _NUMBER_LETTERS) or b"," in content or b"/" in content:
        return np.frombuffer(content.translate(_ENDS_WORD), dtype=bool)
    return characters < ord("+")


def _texts(content: bytes, starts: np.ndarray, ends: np.ndarray) -> list[bytes]:
    return [content[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def _numbers(content: bytes, starts: np.ndarray, ends: np.ndarray) -> np.ndarray | None:
    """Words, one after the other, as float64, rounded as by ``float``; None if one of them is no number."""
    # Arrow parses stretches of text that follow each other: every second one, between two words, is marked absent.
    offsets = np.full((starts.size + 1, 2), len(content), dtype=np.int32)
    offsets[:-1, 0], offsets[:-1, 1] = starts.ravel(), ends.ravel()
    is_present = np.full(starts.size // 4 + 1, 0b01010101, dtype=np.uint8)
    buffers = [pa.py_buffer(part) for part in (is_present, offsets, content)]
    try:
        numbers = pa.Array.from_buffers(pa.string(), 2 * starts.size, buffers).cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    return np.frombuffer(numbers.buffers()[1], count=2 * starts.size)[::2].reshape(starts.shape)


def _parse_line_by_line(path: Path, content: bytes) -> Bodies:
    """The bodies of any file that follows the format; the first line that does not is raised."""
    text = _Lines(path, content)
    frames: list[int] = []
    ids: list[bytes] = []
    joints = array("d")
    n_frames = text.count("the number of frames", most=_MOST_FRAMES)
    for frame in range(n_frames):
        place = f"frame {frame + 1} of {n_frames}"
        n_bodies = text.count(f"the number of bodies of {place}", most=_MOST_BODIES)
        for body in range(n_bodies):
            identity = text.fields(_BODY_FIELDS, f"{_BODY_FIELDS} fields for a body of {place}")[0]
            if not _BODY_ID.fullmatch(identity):
                raise text.fault("an integer body id", identity)
            if identity in ids[len(ids) - body :]:
                raise text.fault(f"one body of each id in {place}", identity)
            if text.count("the number of joints", most=_N_JOINTS) != _N_JOINTS:
                raise text.fault(f"{_N_JOINTS} joints")
            for joint in KINECT_V2.joints:
                joints.extend(text.joint(f"joint {joint} of {place}"))
            frames.append(frame)
            ids.append(identity)
    text.fields(0, f"the end of the file after {n_frames} frames")
    numbers = np.reshape(joints, (-1, _N_JOINTS, 4))
    return Bodies(np.array(frames, dtype=np.intp), np.array(ids, dtype="S20"), numbers[..., :3], numbers[..., 3])


class _Lines:
    """The lines of a file, one after the other, each checked for what it should hold."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path, self.number, self.line = path, 0, b""
        self._rest = BytesIO(content.rstrip())

    def fields(self, n_fields: int, expected: str) -> list[bytes]:
        """The words of the next line."""
        self.number, self.line = self.number + 1, self._rest.readline()
        words = self.line.split(None, n_fields)
        if len(words) != n_fields:
            raise self.fault(expected)
        if foreign := self.line.translate(None, _NUMBER_CHARACTERS + b" \t\r\n"):
            raise self.fault("numbers", foreign[:1])
        return words

    def count(self, meaning: str, most: int) -> int:
        """The count that stands alone on the next line."""
        expected = f"{meaning}, at most {most}"
        (word,) = self.fields(1, expected)
        if not word.isdigit() or len(word) > 9 or int(word) > most:
            raise self.fault(expected)
        return int(word)

    def joint(self, name: str) -> list[float]:
        """x, y, z and the tracking state of the joint on the next line."""
        words = self.fields(_JOINT_FIELDS, f"{_JOINT_FIELDS} fields for {name}")
        numbers = []
        for field in (0, 1, 2, 11):
            try:
                numbers.append(float(words[field]))
            except ValueError:
                raise self.fault(f"a number in field {field + 1} of {name}", words[field]) from None
        *position, tracking = numbers
        if tracking not in (0, 1, 2):
            raise self.fault(f"a tracking state of 0, 1 or 2 in field 12 of {name}", words[11])
        if all(abs(coordinate) <= _LARGEST for coordinate in position):
            return numbers
        if tracking:
            raise self.fault(f"finite coordinates of {name}, which is tracked")
        return [0.0, 0.0, 0.0, tracking]  # lost, as the sensor writes it

    def fault(self, expected: str, found: bytes | None = None) -> MalformedRecording:
        """The error for the line taken last; ``found`` is, unless given, what stands there."""
        words = (self.line.strip() if found is None else found)[:60].decode("latin-1")
        nothing = "nothing" if self.line else "the end of the file"
        return MalformedRecording(self.path, expected, repr(words) if words else nothing, line=self.number)
