"""The skeletons that a report shows: the same windows and z for every arm, small enough to travel in a page."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpgan_core.losses import BONE_EPSILON_M
from hpgan_core.skeleton import SKELETONS, Skeleton
from study.record import Record, References

MM_PER_M = 1000
# A millimetre is less than a sensor's noise, and 32 m are more than any sensor's reach.
LARGEST_MM, NOT_FINITE = 32767, -32768


@dataclass(frozen=True)
class Motions:
    """What was observed and what followed.

    Attributes:
        references: past and truth of every window.
        predicted: for each arm what its trial predicts, metres, ``(windows, futures, T, J, 3)``.
    """

    references: References
    predicted: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, record: Record) -> "Motions | None":
        """The first member of each arm's confirmed trial, or of its winner; None where nothing was drawn."""
        shown = {arm: record.confirmation(arm) or record.winner(arm) for arm in record.study_file.arms}
        predicted = {arm: motions for arm, trial in shown.items() if trial and (motions := trial.motions()) is not None}
        return cls(record.references(), predicted) if predicted and record.paths.references.exists() else None

    @property
    def skeleton(self) -> Skeleton:
        return SKELETONS[self.references.skeleton]

    def to_json(self) -> dict[str, Any]:
        """Positions as 16-bit millimetres in base64, little-endian, in the order of their axes."""
        skeleton, references = self.skeleton, self.references
        return {
            "clips": len(references.past),
            "futures": next(iter(self.predicted.values())).shape[1],
            "past_frames": references.past.shape[1],
            "future_frames": references.truth.shape[1],
            "joints": skeleton.n_joints,
            "frame_rate_hz": references.frame_rate_hz,
            "bones": skeleton.bones,
            "sides": [skeleton.side(child) for _, child in skeleton.bones],
            "head": skeleton.joints.index("Head"),
            "past": packed(references.past),
            "truth": packed(references.truth),
            "arms": {arm: packed(motions) for arm, motions in self.predicted.items()},
        }

    def stretch(self) -> Iterator[Sequence[Any]]:
        """Frame by frame how much bones differ from the last observed pose: mean and greatest share, of all bones."""
        observed = bone_lengths(self.references.past[:, -1], self.skeleton)
        futures = {"truth": self.references.truth[:, None]} | dict(self.predicted)
        for arm, motions in futures.items():
            lengths = bone_lengths(motions, self.skeleton)
            share = np.abs(lengths / np.maximum(observed, BONE_EPSILON_M)[:, None, None] - 1)
            for clip, z, frame in np.ndindex(share.shape[:3]):
                time_s = (frame + 1) / self.references.frame_rate_hz
                of_bones = share[clip, z, frame]
                yield arm, clip + 1, z + 1, frame + 1, time_s, float(of_bones.mean()), float(of_bones.max())


def bone_lengths(motion: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Metres, ``(..., J, 3)`` to ``(..., bones)``."""
    parents, children = np.array(skeleton.bones).T
    return np.asarray(np.linalg.norm(motion[..., children, :] - motion[..., parents, :], axis=-1), dtype=np.float64)


def packed(motion: np.ndarray) -> str:
    """Metres as 16-bit millimetres; what is not finite is ``NOT_FINITE``."""
    millimetres = np.clip(np.rint(np.nan_to_num(motion, posinf=0, neginf=0) * MM_PER_M), -LARGEST_MM, LARGEST_MM)
    marked = np.where(np.isfinite(motion), millimetres, NOT_FINITE)
    return base64.b64encode(marked.astype("<i2").tobytes()).decode()
