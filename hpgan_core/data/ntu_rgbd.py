"""NTU RGB+D ``.skeleton`` text: one clip of Kinect v2 bodies a file, read and written.

A file holds, a line each: the number of frames; for each frame the number of bodies; for each body ten fields (id,
clipped edges, four of the hands, restricted, two of the lean, tracking), the number of joints and, for each joint,
twelve fields (x y z in metres, depth x y, colour x y in pixels, orientation w x y z, tracking).

Source:
    Shahroudy et al. 2016, arXiv:1604.02808, and the data set's own MATLAB reader.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpgan_core.data.recordings import Recording, Recordings, Rejected
from hpgan_core.errors import BadInput, MalformedRecording
from hpgan_core.skeleton import KINECT_V2

FRAME_RATE_HZ = 30.0
# Setup, camera, performer, replication, action.
CLIP_NAME = re.compile(r"S(\d{3})C(\d{3})(P\d{3})R(\d{3})(A\d{3})")

_BODY_FIELDS, _JOINT_FIELDS = 10, 12
_BODY_LINES = np.array([_BODY_FIELDS, 1] + [_JOINT_FIELDS] * KINECT_V2.n_joints)  # fields on each line of a body
_MEANINGS = ["a body", "the number of joints"] + [f"joint {name}" for name in KINECT_V2.joints]  # of those lines
_DIGITS = 15  # so many decimal digits are exact in a float64
_POWERS_OF_TEN = np.array([10**exponent for exponent in range(_DIGITS)], dtype=np.float64)
_INTEGER = re.compile(rb"-?[0-9]{1,20}")
_CHARACTERS = b"0123456789+-.eENan \t\r\n"
# Depth camera of the Kinect v2: 512 x 424 pixels, a field of view of 70 by 60 degrees.
_DEPTH_PIXELS = np.array([512.0, 424.0])
_DEPTH_FOCAL = _DEPTH_PIXELS / 2 / np.tan(np.radians([35.0, 30.0]))


def read_ntu_rgbd(
    root: Path, *, max_action: int | None = 49, replication: int | None = 1, min_frames: int = 60
) -> Recordings:
    """Recordings in a folder of NTU RGB+D ``.skeleton`` files, found at any depth, in the order of their names.

    The default filter is the original code's: single-person actions, first replication, 60 frames or more.

    Args:
        root: the folder.
        max_action: highest action number read; None reads all.
        replication: the one replication read; None reads all.
        min_frames: fewest frames of a clip, counted as ``read_skeleton_file`` returns them.

    Returns:
        Recordings at 30 Hz whose subject and action are the ``Pppp`` and ``Aaaa`` of the file's name. Each file that
        was left out is in ``rejected`` with its reason.

    Raises:
        BadInput: ``root`` is no folder, nothing in it passes the filter, or ``min_frames`` is below 1.
        MalformedRecording: a file that passes the filter by its name does not follow the format.
    """
    if min_frames < 1:
        raise BadInput(f"min_frames = {min_frames} must be 1 or more")
    root = Path(root)
    if not root.is_dir():
        state = "is a file" if root.exists() else "does not exist"
        raise BadInput(f"{root} {state}; give a folder of .skeleton files")
    paths = sorted((path for path in root.rglob("*.skeleton") if path.is_file()), key=lambda path: (path.stem, path))
    if not paths:
        raise BadInput(f"{root} holds no .skeleton files, at any depth; give the folder where NTU RGB+D was unpacked")
    clips: dict[str, Recording] = {}
    rejected: list[Rejected] = []
    for path in paths:
        outcome = "its name was already read" if path.stem in clips else _read_clip(path, max_action, replication)
        if isinstance(outcome, Recording) and len(outcome.positions) < min_frames:
            outcome = f"{len(outcome.positions)} unbroken frames of one person, fewer than {min_frames}"
        if isinstance(outcome, Recording):
            clips[path.stem] = outcome
        else:
            rejected.append(Rejected(path, outcome))
    if not clips:
        raise BadInput(
            f"{root}: none of {len(paths)} .skeleton files passes the filter (first: {rejected[0].path.name}: "
            f"{rejected[0].reason}); relax max_action, replication or min_frames"
        )
    return Recordings(KINECT_V2, FRAME_RATE_HZ, tuple(clips.values()), tuple(rejected))


def _read_clip(path: Path, max_action: int | None, replication: int | None) -> Recording | str:
    """The recording, or why the file's name keeps it out."""
    name = CLIP_NAME.fullmatch(path.stem)
    if name is None:
        return "its name does not follow SsssCcccPpppRrrrAaaa, which tells who moves (P) and what they do (A)"
    subject, action = name[3], name[5]
    if max_action is not None and int(action[1:]) > max_action:
        return f"action {action} is above A{max_action:03d}"
    if replication is not None and int(name[4]) != replication:
        return f"replication R{name[4]} is not R{replication:03d}"
    return Recording(path.stem, subject, action, read_skeleton_file(path))


def read_skeleton_file(path: str | Path) -> np.ndarray:
    """Motion of the main person of one ``.skeleton`` file.

    Bodies are followed by their id. A frame shows a person when it has a position for each of the joints: the sensor
    writes joints it lost as untracked at the origin. Of each person counts the longest run of frames without a gap,
    so that empty frames at either end are trimmed and those inside cut the clip. The main person is the one that
    moves most, out of those whose run is at least half as long as the longest; where there are several, bodies
    wider than tall for most of the time are taken for furniture.

    Returns:
        Metres, camera space (y up, z away from the sensor), float32 ``(frames, 25, 3)``; no frames if nobody is shown.

    Raises:
        BadInput: the file cannot be read.
        MalformedRecording: it does not follow the format. Joint positions, counts, ids and tracking states are read;
            the other fields are only counted, and their characters checked.

    Source:
        The choice of the person: questions 6 and 7 of the data set's FAQ, with its threshold of spread
        (x over y above 0.8 in 70 % of the frames). We take the variance over time alone, which does not grow with
        the size of a body.
    """
    text = _Text.read(path)
    lines, frames = _find_bodies(text)
    if not lines.size:
        return np.empty((0, KINECT_V2.n_joints, 3), dtype=np.float32)
    positions = _positions(text, lines)
    ids = [text.lines[line].split(maxsplit=1)[0] for line in lines]
    for body, line in dict(zip(ids, lines, strict=True)).items():
        if not _INTEGER.fullmatch(body):
            raise text.malformed(line, "an integer body id", _quoted(body))
    runs = []
    for body in dict.fromkeys(ids):
        rows = np.flatnonzero([other == body for other in ids])
        if (repeated := np.diff(frames[rows]) == 0).any():
            raise text.malformed(lines[rows[repeated.argmax() + 1]], "one body of each id in a frame", _quoted(body))
        rows = rows[np.isfinite(positions[rows]).all(axis=(1, 2))]
        pieces = np.split(rows, np.flatnonzero(np.diff(frames[rows]) > 1) + 1)
        runs.append(positions[max(pieces, key=len)])
    longest = max(map(len, runs))
    candidates = [run for run in runs if 2 * len(run) >= longest > 0]
    if len(candidates) > 1:
        candidates = [run for run in candidates if not _is_furniture(run)] or candidates
    main = max(candidates, key=_motion) if candidates else positions[:0]
    return main.astype(np.float32)


def _motion(run: np.ndarray) -> float:
    """Variance over time, summed over joints and axes, square metres."""
    return float(run.var(axis=0).sum())


def _is_furniture(run: np.ndarray) -> bool:
    width, height = np.moveaxis(np.ptp(run[..., :2], axis=1), -1, 0)
    return bool(np.mean(width > 0.8 * height) >= 0.7)


@dataclass(frozen=True)
class _Text:
    """The lines of a file and the words on them.

    Attributes:
        path: the file.
        lines: its lines.
        buffer: its bytes, uint8, with room before the first.
        starts: offset in ``buffer`` of each word's first byte.
        ends: offset after each word's last byte.
        first_word: for each line the index of its first word, and for one line more the number of words.
    """

    path: Path
    lines: list[bytes]
    buffer: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    first_word: np.ndarray

    @classmethod
    def read(cls, path: str | Path) -> "_Text":
        path = Path(path)
        try:
            content = path.read_bytes().rstrip()
        except OSError as error:
            raise BadInput(f"{path} cannot be read: {error.strerror}") from error
        buffer = np.frombuffer(b"\n" * _DIGITS + content + b"\n", dtype=np.uint8)
        in_word = buffer > ord(" ")
        edges = np.flatnonzero(in_word[1:] != in_word[:-1]) + 1
        starts, ends = edges[::2], edges[1::2]
        newlines = np.flatnonzero(buffer == ord("\n"))[_DIGITS - 1 :]
        text = cls(path, content.split(b"\n"), buffer, starts, ends, np.searchsorted(starts, newlines))
        if foreign := content.translate(None, _CHARACTERS):
            raise text.malformed(content.count(b"\n", 0, content.index(foreign[:1])), "numbers", _quoted(foreign[:1]))
        return text

    def count(self, line: int, meaning: str) -> int:
        """The count that stands alone on a 0-based line."""
        word = self.lines[line].strip() if line < len(self.lines) else b""
        if not word.isdigit() or len(word) > _DIGITS:
            raise self.malformed(line, meaning)
        return int(word)

    def malformed(self, line: int, expected: str, found: str | None = None) -> MalformedRecording:
        """The error for a 0-based line; ``found`` is, unless given, what stands there."""
        if found is None:
            content = self.lines[line].strip() if line < len(self.lines) else b""
            found = _quoted(content) if content else "nothing" if line < len(self.lines) else "the end of the file"
        return MalformedRecording(self.path, expected, found, line=int(line) + 1)

    def decimals(self, words: np.ndarray, meanings: Sequence[str]) -> np.ndarray:
        """Words, given as indices ``(n, m)``, as float64 ``(n, m)``; ``meanings`` names the m columns.

        Plain decimals become numbers all together: their digits make an integer that float64 holds exactly, as it
        does the power of ten it is divided by, so that the quotient is rounded once, as ``float`` does. What is not
        plain, or too long, goes through ``float`` itself.
        """
        starts, ends = self.starts[words.ravel()], self.ends[words.ravel()]
        lengths = ends - starts
        place = np.arange(_DIGITS, dtype=np.uint8)[::-1, None]  # characters that follow; rows below are places
        in_word = place < np.minimum(lengths, 255).astype(np.uint8)
        window = np.lib.stride_tricks.sliding_window_view(self.buffer, _DIGITS)[ends - _DIGITS].T.copy()
        digits = window - np.uint8(ord("0"))  # what comes before "0" wraps to far beyond 9
        is_digit = in_word & (digits < 10)
        is_point = in_word & (window == ord("."))
        n_digits = is_digit.sum(axis=0, dtype=np.uint8)
        n_points = is_point.sum(axis=0, dtype=np.uint8)
        first = self.buffer[starts]
        is_signed = (first == ord("-")) | (first == ord("+"))
        is_plain = (n_digits > 0) & (n_points <= 1) & (n_digits + n_points + is_signed == lengths)
        # With the point read as a digit 0, the digits left of it stand one place too high.
        shifted = _POWERS_OF_TEN[::-1] @ (digits * is_digit).astype(np.float64)
        scale = _POWERS_OF_TEN[np.where(is_plain, (is_point * place).sum(axis=0, dtype=np.uint8), 0)]
        whole = np.where(n_points == 1, np.floor(shifted / (10 * scale)), 0)
        values: np.ndarray = np.where(first == ord("-"), -1.0, 1.0) * ((shifted - 9 * scale * whole) / scale)
        for index in np.flatnonzero(~is_plain):
            word = self.buffer[starts[index] : ends[index]].tobytes()
            try:
                values[index] = float(word)
            except ValueError:
                line = int(np.searchsorted(self.first_word, words.flat[index], side="right")) - 1
                raise self.malformed(line, meanings[index % words.shape[1]], _quoted(word)) from None
        return values.reshape(words.shape)


def _quoted(words: bytes) -> str:
    return repr(words[:60].decode("latin-1"))


def _find_bodies(text: _Text) -> tuple[np.ndarray, np.ndarray]:
    """0-based lines where bodies begin and the frames they belong to, after checking the layout of every line."""
    lines: list[int] = []
    frames: list[int] = []
    fault: MalformedRecording | None = None
    try:
        n_frames = text.count(0, "the number of frames")
        line = 1
        for frame in range(n_frames):
            n_bodies = text.count(line, f"the number of bodies of frame {frame + 1} of {n_frames}")
            end = line + 1 + n_bodies * len(_BODY_LINES)
            in_frame = range(line + 1, min(end, len(text.lines)), len(_BODY_LINES))
            lines += in_frame
            frames += [frame] * len(in_frame)
            if end > len(text.lines):
                raise text.malformed(len(text.lines), f"the rest of frame {frame + 1} of {n_frames}")
            line = end
        if line < len(text.lines):
            raise text.malformed(line, f"the end of the file after {n_frames} frames")
    except MalformedRecording as error:
        fault = error
    # A line lost inside a body shows there first, and only later in the counts that follow it.
    begins = np.array(lines, dtype=np.intp)
    body_lines = begins[:, None] + np.arange(len(_BODY_LINES))
    n_fields = np.append(np.diff(text.first_word), np.zeros(len(_BODY_LINES), dtype=np.intp))
    wrong = n_fields[body_lines] != _BODY_LINES
    if wrong.any():
        row = int(wrong.argmax()) % len(_BODY_LINES)
        expected = f"{_BODY_LINES[row]} fields for {_MEANINGS[row]}"
        raise text.malformed(min(int(body_lines.flat[wrong.argmax()]), len(text.lines)), expected)
    if fault is not None:
        raise fault
    return begins, np.array(frames, dtype=np.intp)


def _positions(text: _Text, lines: np.ndarray) -> np.ndarray:
    """Joints of the bodies beginning at ``lines``, metres, ``(bodies, 25, 3)``; NaN where the sensor lost a joint."""
    for line in lines.tolist():
        if text.count(line + 1, "the number of joints") != KINECT_V2.n_joints:
            raise text.malformed(line + 1, f"{KINECT_V2.n_joints} joints")
    joint_lines = (lines[:, None] + 2 + np.arange(KINECT_V2.n_joints)).ravel()
    first = text.first_word[joint_lines]
    positions = text.decimals(first[:, None] + np.arange(3), ["x in metres", "y in metres", "z in metres"])
    state = first + _JOINT_FIELDS - 1
    tracking = text.buffer[text.starts[state]] - np.uint8(ord("0"))
    finite = np.isfinite(positions).all(axis=1)
    for wrong, expected in (
        ((tracking > 2) | (text.ends[state] - text.starts[state] != 1), "a tracking state of 0, 1 or 2 in field 12"),
        (~finite & (tracking > 0), "finite coordinates of a tracked joint"),
    ):
        if wrong.any():
            raise text.malformed(joint_lines[wrong.argmax()], expected)
    lost = (tracking == 0) & ~(finite & positions.any(axis=1))
    return np.where(lost[:, None], np.nan, positions).reshape(-1, KINECT_V2.n_joints, 3)


def write_skeleton_file(
    path: str | Path, positions: np.ndarray, body_id: int = 72057594037927936, tracking: np.ndarray | int = 2
) -> None:
    """Write one person's motion as a ``.skeleton`` file.

    ``read_skeleton_file`` gives the same float32 positions back, bit for bit. Depth pixels are those of the Kinect's
    pinhole, NaN behind it; colour pixels, orientation, hands and lean are zero.

    Args:
        path: the file, replaced if it exists.
        positions: joints, metres, camera space, ``(frames, 25, 3)``.
        body_id: identity of the person, at most 64 bits.
        tracking: 0 not tracked, 1 inferred, 2 tracked; for all, or for any shape that broadcasts to ``(frames, 25)``.

    Raises:
        ValueError: positions are of another shape or not finite in float32.
    """
    positions = np.asarray(positions, dtype=np.float32)
    if positions.ndim != 3 or positions.shape[1:] != (KINECT_V2.n_joints, 3):
        raise ValueError(f"positions must be (frames, {KINECT_V2.n_joints}, 3), found {positions.shape}")
    if not np.isfinite(positions).all():
        raise ValueError("positions must be finite")
    columns = np.empty((*positions.shape[:2], 6))
    columns[..., :3] = positions
    columns[..., 3:5] = _depth_pixels(positions)
    columns[..., 5] = tracking
    # Nine significant digits tell any two float32 apart.
    joint = "%.9g %.9g %.9g %.7g %.7g 0 0 0 0 0 0 %d\n"
    frame = f"1\n{body_id} 0 0 0 0 0 0 0 0 2\n{KINECT_V2.n_joints}\n" + joint * KINECT_V2.n_joints
    rows = columns.reshape(len(columns), -1).tolist()
    content = f"{len(columns)}\n" + "".join(frame % tuple(row) for row in rows)
    Path(path).write_bytes(content.replace("nan", "NaN").encode("ascii"))


def _depth_pixels(positions: np.ndarray) -> np.ndarray:
    """Where joints ``(..., 3)`` appear in the depth image, pixels from its top left, ``(..., 2)``."""
    x, y, z = np.moveaxis(positions.astype(np.float64), -1, 0)
    depth = np.where(z > 0, z, np.nan)
    pixels: np.ndarray = _DEPTH_PIXELS / 2 + _DEPTH_FOCAL * np.stack([x, -y], axis=-1) / depth[..., None]
    return pixels
