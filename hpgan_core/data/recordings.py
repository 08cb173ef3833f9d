"""What every reader returns: recordings of people, and the files that could not be used."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from hpgan_core.skeleton import Skeleton


@dataclass(frozen=True)
class Recording:
    """One person performing one action.

    Attributes:
        name: unique within its data set, e.g. ``S011C001P101R001A016``.
        subject: who moves, e.g. ``P101``; splits never divide a subject.
        action: what they do, e.g. ``A016`` or ``walk``.
        positions: joints in metres, y up, float32 ``(frames, joints, 3)``.
    """

    name: str
    subject: str
    action: str
    positions: np.ndarray


@dataclass(frozen=True)
class Rejected:
    """A file that was left out, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Recordings:
    """A data set in memory, in the order of its names."""

    skeleton: Skeleton
    frame_rate_hz: float
    clips: tuple[Recording, ...]
    rejected: tuple[Rejected, ...] = field(default=())

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(sorted({clip.subject for clip in self.clips}))

    def digest(self) -> str:
        """SHA-256 as ``Digest`` computes it: equal digests mean equal data."""
        digest = Digest(self.skeleton, self.frame_rate_hz)
        for clip in self.clips:
            digest.add(clip)
        return digest.hexdigest()


class Digest:
    """SHA-256 over names, subjects, actions and every position, of recordings that need not be in memory together."""

    def __init__(self, skeleton: Skeleton, frame_rate_hz: float) -> None:
        self._sha = hashlib.sha256(f"{skeleton.name} {frame_rate_hz}".encode())

    def add(self, clip: Recording) -> None:
        self._sha.update(f"\n{clip.name} {clip.subject} {clip.action} {clip.positions.shape}\n".encode())
        self._sha.update(np.ascontiguousarray(clip.positions, dtype="<f4").data)

    def hexdigest(self) -> str:
        return self._sha.hexdigest()


class Source(Protocol):
    """A folder of recordings, listed but not read: a dataclass that can be pickled, for processes to share the reading.

    Attributes:
        skeleton: of every recording.
        frame_rate_hz: likewise.
        paths: files that pass the filter by their names, in the order of their recordings' names.
        rejected: files left out by their names.
    """

    @property
    def skeleton(self) -> Skeleton: ...
    @property
    def frame_rate_hz(self) -> float: ...
    @property
    def paths(self) -> tuple[Path, ...]: ...
    @property
    def rejected(self) -> tuple[Rejected, ...]: ...

    def read(self, path: Path) -> Recording | Rejected:
        """One of ``paths``.

        Raises:
            MalformedRecording: it does not follow the format.
        """
        ...


def read_all(source: Source) -> Recordings:
    """Read every file of a source into memory.

    Raises:
        MalformedRecording: a file does not follow the format.
    """
    outcomes = [source.read(path) for path in source.paths]
    clips = tuple(outcome for outcome in outcomes if isinstance(outcome, Recording))
    rejected = tuple(outcome for outcome in outcomes if isinstance(outcome, Rejected))
    return Recordings(source.skeleton, source.frame_rate_hz, clips, source.rejected + rejected)
