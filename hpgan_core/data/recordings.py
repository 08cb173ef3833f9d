"""What every reader returns: recordings of people, and the files that could not be used."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

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
        """SHA-256 over names, subjects, actions and every position: equal digests mean equal data."""
        sha = hashlib.sha256(f"{self.skeleton.name} {self.frame_rate_hz}".encode())
        for clip in self.clips:
            sha.update(f"\n{clip.name} {clip.subject} {clip.action} {clip.positions.shape}\n".encode())
            sha.update(np.ascontiguousarray(clip.positions, dtype="<f4").tobytes())
        return sha.hexdigest()
