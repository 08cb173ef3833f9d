"""Motion archives: all recordings of a folder in one HDF5 file, whose frames are mapped into memory and not parsed.

The first 512 bytes, HDF5's user block, hold the SHA-256 of all that follows: damage is found before HDF5 sees it. Then

    frames                                     metres, y up, float32 (frames of all clips, joints, 3), in one piece
    clips/name, clips/subject, clips/action    UTF-8
    clips/start, clips/length                  int64, frames; one clip follows the other
    rejected/path, rejected/reason             UTF-8: the files that were left out

and the attributes ``skeleton``, ``frame_rate_hz``, ``units``, ``digest`` (of the recordings, as ``Digest`` has it),
``source`` (JSON: data set and options) and ``source_key`` (of the files that it was made from).
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from hpgan_core.data.recordings import Digest, Recording, Recordings, Rejected
from hpgan_core.data.safe_hdf5 import checked_dataset, open_hdf5, read_dataset
from hpgan_core.errors import BadInput, MalformedRecording
from hpgan_core.skeleton import SKELETONS, Skeleton

# One more whenever this layout changes, or what a reader makes of the same files.
FORMAT_VERSION = 2

_USER_BLOCK_BYTES = 512
_HEADING = "hpgan motion archive {}\nSHA-256 from byte 512 on: {}\n"
_HEADING_PATTERN = re.compile(_HEADING.format(r"(\d{1,9})", "([0-9a-f]{64})").encode() + rb" *\n")
_BEGINNING = b"hpgan motion archive "
_BLOCK_FRAMES = 4096
_OVERHEAD_BYTES = 2**16  # of HDF5, without the values themselves


@dataclass(frozen=True)
class Archive:
    """A motion archive that is intact.

    Attributes:
        recordings: what it holds; positions come into memory as they are looked at.
        digest: of the recordings.
        source: the data set and the options that it was made from.
        source_key: of the files that it was made from.
    """

    recordings: Recordings
    digest: str
    source: dict[str, Any]
    source_key: str


def is_archive(path: Path) -> bool:
    """Whether a file begins as motion archives do."""
    try:
        if not path.is_file():  # a pipe would keep us waiting
            return False
        with path.open("rb") as file:
            return file.read(len(_BEGINNING)) == _BEGINNING
    except OSError:
        return False


def read_archive(path: Path, *, min_frames: int = 1) -> Recordings:
    """Recordings of a motion archive.

    Args:
        path: the file.
        min_frames: fewest frames of a clip.

    Raises:
        BadInput: the file cannot be read, or holds no clip that long.
        MalformedRecording: it is no motion archive, or is damaged.
    """
    whole = open_archive(path).recordings
    clips = tuple(clip for clip in whole.clips if len(clip.positions) >= min_frames)
    if not clips:
        raise BadInput(f"{path}: none of {len(whole.clips)} clips has {min_frames} frames or more; relax min_frames")
    short = (
        Rejected(Path(clip.name), f"{len(clip.positions)} frames, fewer than {min_frames}")
        for clip in whole.clips
        if len(clip.positions) < min_frames
    )
    return Recordings(whole.skeleton, whole.frame_rate_hz, clips, (*whole.rejected, *short))


def open_archive(path: str | Path) -> Archive:
    """Check a motion archive from its first byte to its last, and map its frames.

    Raises:
        BadInput: the file cannot be read.
        MalformedRecording: it is no motion archive, or is damaged.
    """
    path = Path(path)
    _check_sha256(path)
    with open_hdf5(path) as file:
        skeleton, frame_rate_hz = _skeleton(file), float(_attribute(file, "frame_rate_hz"))
        if not 0 < frame_rate_hz < math.inf:
            raise MalformedRecording(path, "a positive frame rate", f"{frame_rate_hz}")
        frames = _frames(file, skeleton)
        names = _texts(file, "clips/name", None)
        subjects, actions = (_texts(file, f"clips/{column}", len(names)) for column in ("subject", "action"))
        if len(set(names)) < len(names):
            raise MalformedRecording(path, "clips of different names", "a name twice")
        starts, lengths = (
            read_dataset(file, f"clips/{column}", shape=(len(names),), kinds="i").tolist()
            for column in ("start", "length")
        )
        if [*starts, len(frames)] != list(accumulate(lengths, initial=0)) or min(lengths) < 1:
            raise MalformedRecording(path, f"clips that share {len(frames)} frames", "overlaps or gaps")
        positions = (frames[start : start + length] for start, length in zip(starts, lengths, strict=True))
        clips = tuple(map(Recording, names, subjects, actions, positions))
        left_out = _texts(file, "rejected/path", None)
        rejected = tuple(map(Rejected, map(Path, left_out), _texts(file, "rejected/reason", len(left_out))))
        recordings = Recordings(skeleton, frame_rate_hz, clips, rejected)
        source = json.loads(_attribute(file, "source"))
        return Archive(recordings, _attribute(file, "digest"), source, _attribute(file, "source_key"))


def _check_sha256(path: Path) -> None:
    try:
        if path.exists() and not path.is_file():
            raise BadInput(f"{path} cannot be read: it is no file")
        with path.open("rb") as file:
            heading = _HEADING_PATTERN.fullmatch(file.read(_USER_BLOCK_BYTES))
            if heading is None:
                raise MalformedRecording(path, "a motion archive", "a file that begins otherwise")
            if int(heading[1]) != FORMAT_VERSION:
                raise MalformedRecording(path, f"a motion archive of version {FORMAT_VERSION}", f"{int(heading[1])}")
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error
    if sha256 != heading[2].decode():
        raise MalformedRecording(path, "what was written (by its SHA-256)", "other content, or less of it")


def _attribute(file: h5py.File, name: str) -> Any:
    """A number, or text."""
    if name in file.attrs:
        kept = file.attrs.get_id(name)
        if kept.shape == () and kept.dtype.kind in "fS":
            value = file.attrs[name]
            return value.decode() if isinstance(value, bytes) else value
    raise MalformedRecording(file.filename, f"the attribute {name}", "none, or no plain value")


def _skeleton(file: h5py.File) -> Skeleton:
    name = _attribute(file, "skeleton")
    if name not in SKELETONS:
        raise MalformedRecording(file.filename, f"one of the skeletons {', '.join(SKELETONS)}", repr(name))
    return SKELETONS[name]


def _frames(file: h5py.File, skeleton: Skeleton) -> np.ndarray:
    """All frames, mapped, after a look at each of them."""
    path = Path(file.filename)
    shape = (None, skeleton.n_joints, 3)
    dataset = checked_dataset(file, "frames", shape=shape, most_bytes=path.stat().st_size)
    if dataset.dtype != "<f4" or dataset.chunks is not None or dataset.id.get_offset() is None:
        raise MalformedRecording(path, "frames in float32 and in one piece", f"{dataset.dtype}, {dataset.chunks}")
    for start in range(0, len(dataset), _BLOCK_FRAMES):
        if not np.isfinite(dataset[start : start + _BLOCK_FRAMES]).all():
            raise MalformedRecording(path, "finite positions", f"others after frame {start}")
    return np.asarray(np.memmap(path, "<f4", "r", dataset.id.get_offset(), dataset.shape))


def _texts(file: h5py.File, name: str, count: int | None) -> list[str]:
    return [text.decode(errors="surrogateescape") for text in read_dataset(file, name, shape=(count,), kinds="S")]


class Entry(NamedTuple):
    """A clip as the table of an archive lists it."""

    name: str
    subject: str
    action: str
    n_frames: int


def write_archive(
    path: Path,
    skeleton: Skeleton,
    frame_rate_hz: float,
    clips: Sequence[Entry],
    positions: Iterable[np.ndarray],
    rejected: Sequence[Rejected],
    *,
    source: Mapping[str, Any],
    source_key: str,
) -> None:
    """Write a motion archive; a crash leaves a file that is none.

    Args:
        path: the file, replaced if it exists.
        skeleton: of every clip.
        frame_rate_hz: likewise.
        clips: at least one, no two of the same name.
        positions: of each of them, metres, ``(n_frames, joints, 3)``; only one at a time need be in memory.
        rejected: files that were left out.
        source: the data set and the options that name the files.
        source_key: of the files.

    Raises:
        OSError: the disk is full, for instance.
    """
    names, subjects, actions, lengths = zip(*clips, strict=True)
    starts = list(accumulate(lengths, initial=0))
    columns = {
        "clips/name": _bytes(names),
        "clips/subject": _bytes(subjects),
        "clips/action": _bytes(actions),
        "clips/start": np.array(starts[:-1], np.int64),
        "clips/length": np.array(lengths, np.int64),
        "rejected/path": _bytes([str(reject.path) for reject in rejected]),
        "rejected/reason": _bytes([reject.reason for reject in rejected]),
    }
    shape = (starts[-1], skeleton.n_joints, 3)
    if hasattr(os, "posix_fallocate"):  # not on macOS
        # HDF5 does not survive a disk that fills while it writes.
        with path.open("wb") as file:
            n_bytes = 4 * math.prod(shape) + sum(column.nbytes for column in columns.values()) + _OVERHEAD_BYTES
            os.posix_fallocate(file.fileno(), 0, n_bytes)
    # Mapped numbers are slow unless they lie at multiples of their size.
    aligned = {"alignment_threshold": _USER_BLOCK_BYTES, "alignment_interval": _USER_BLOCK_BYTES}
    with h5py.File(path, "w", userblock_size=_USER_BLOCK_BYTES, **aligned) as file:
        frames, digest = file.create_dataset("frames", shape, "<f4"), Digest(skeleton, frame_rate_hz)
        for (name, subject, action, length), start, motion in zip(clips, starts[:-1], positions, strict=True):
            frames[start : start + length] = motion
            digest.add(Recording(name, subject, action, motion))
        for name, column in columns.items():
            file[name] = column
        file.attrs["frame_rate_hz"] = float(frame_rate_hz)
        for name, text in (
            ("skeleton", skeleton.name),
            ("units", "metres, y up"),
            ("digest", digest.hexdigest()),
            ("source", json.dumps(dict(source), default=str)),
            ("source_key", source_key),
        ):
            file.attrs[name] = np.bytes_(text)
    _write_sha256(path)


def _bytes(texts: Sequence[str]) -> np.ndarray:
    return np.array([text.encode(errors="surrogateescape") for text in texts], np.bytes_)


def _write_sha256(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(_USER_BLOCK_BYTES)
        heading = _HEADING.format(FORMAT_VERSION, hashlib.file_digest(file, "sha256").hexdigest())
        file.seek(0)
        file.write(heading.encode().ljust(_USER_BLOCK_BYTES - 1) + b"\n")
        file.flush()
        os.fsync(file.fileno())
