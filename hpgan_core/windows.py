"""Windows: the past and future cut out of recordings that are split between people."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from hpgan_core.data.recordings import Recording, Recordings
from hpgan_core.data.split import BY_SUBJECT, split_clips
from hpgan_core.errors import BadInput, SealedTestSplit
from hpgan_core.skeleton import Skeleton

PAST_FRAMES, FUTURE_FRAMES = 10, 20


@dataclass(frozen=True)
class Clips:
    """The recordings of one split, joined in one array so that a batch is one indexing operation.

    Attributes:
        frames: metres, float32 ``(frames of all clips, J, 3)``.
        starts: where each clip begins in ``frames``. Arrays may be read-only views of memory that processes share.
        lengths: frames of each clip, none shorter than a window.
        actions: what is done in each clip.
        subjects: who moves in each clip.
    """

    frames: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    actions: np.ndarray
    subjects: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    def epoch_starts(self, window: int, order: torch.Generator, crop: torch.Generator | None) -> Tensor:
        """First frames of one window of every clip, ``(clips,)``.

        Args:
            window: frames of a window.
            order: which clip comes when.
            crop: where in its clip a window lies; None for its centre. May be the generator of the order.
        """
        clips = torch.randperm(len(self), generator=order)
        slack = torch.tensor(self.lengths)[clips] - window
        offsets = slack // 2
        if crop is not None:
            offsets = (torch.rand(len(self), generator=crop, dtype=torch.float64) * (slack + 1)).long()
        return torch.tensor(self.starts)[clips] + offsets

    def strided_starts(self, stride: int, window: int, most: int | None = None) -> Tensor:
        """First frames of windows at 0, stride, 2 stride, ... of every clip; ``most`` keeps an even selection."""
        every = np.concatenate(
            [
                np.arange(start, start + length - window + 1, stride)
                for start, length in zip(self.starts, self.lengths, strict=True)
            ]
        )
        if most is not None and len(every) > most:
            every = every[np.linspace(0, len(every) - 1, most).round().astype(int)]
        return torch.from_numpy(every)

    def actions_at(self, frames: Tensor) -> np.ndarray:
        """What is done in the clips that these frames, indices into ``frames``, belong to."""
        actions: np.ndarray = self.actions[np.searchsorted(self.starts, frames.numpy(), side="right") - 1]
        return actions


@dataclass(frozen=True)
class MotionData:
    """All a training run reads: the three splits, what the joints are, and what the data set is.

    Attributes:
        train, validation: clips of different people.
        opened_test: clips of other people, or with official protocols that divide by camera or setup of the same; None
            where they are sealed.
        skeleton: joints and bones.
        frame_rate_hz: frames a second.
        past_frames, future_frames: lengths of the two parts of a window.
        digest: SHA-256 of the recordings and of who is in which split: equal digests mean equal data.
    """

    train: Clips
    validation: Clips
    opened_test: Clips | None
    skeleton: Skeleton
    frame_rate_hz: float
    digest: str
    past_frames: int = PAST_FRAMES
    future_frames: int = FUTURE_FRAMES

    @property
    def window(self) -> int:
        return self.past_frames + self.future_frames

    @property
    def test(self) -> Clips:
        """The clips to test on.

        Raises:
            SealedTestSplit: this data is for choosing among configurations.
        """
        if self.opened_test is None:
            raise SealedTestSplit
        return self.opened_test

    def sealed(self) -> "MotionData":
        """The same data, with its digest, without the clips to test on: who holds it cannot look at them."""
        return replace(self, opened_test=None)


def build_motion_data(
    recordings: Recordings,
    seed: int = 0,
    validation: float = 0.2,
    test: float | None = None,
    protocol: str = BY_SUBJECT,
) -> MotionData:
    """Split recordings as ``split_clips`` says and join each part.

    Raises:
        BadInput: an impossible split, or a part without a clip as long as one window.
    """
    window = PAST_FRAMES + FUTURE_FRAMES
    part = split_clips({clip.name: clip.subject for clip in recordings.clips}, protocol, seed, validation, test)
    long_enough = [clip for clip in recordings.clips if len(clip.positions) >= window]
    parts = {
        name: [clip for clip in long_enough if part[clip.name] == name] for name in ("train", "validation", "test")
    }
    for name, clips in parts.items():
        if not clips:
            people = sorted({clip.subject for clip in recordings.clips if part[clip.name] == name})
            raise BadInput(
                f"the {name} split ({', '.join(people)}) has no clip of {window} frames or more ({len(long_enough)} of "
                f"{len(recordings.clips)} clips are that long); add data or choose another split seed"
            )
    digest = hashlib.sha256(f"{recordings.digest()} {list(part.items())}".encode()).hexdigest()
    train, validation_clips, test_clips = (join(clips) for clips in parts.values())
    return MotionData(train, validation_clips, test_clips, recordings.skeleton, recordings.frame_rate_hz, digest)


def join(clips: Sequence[Recording]) -> Clips:
    """One array of several recordings, in their order."""
    lengths = np.array([len(clip.positions) for clip in clips])
    frames = np.concatenate([np.asarray(clip.positions, dtype=np.float32) for clip in clips])
    starts = np.concatenate([[0], lengths.cumsum()[:-1]])
    actions, subjects = np.array([clip.action for clip in clips]), np.array([clip.subject for clip in clips])
    return Clips(frames, starts, lengths, actions, subjects)


def gather(frames: Tensor, starts: Tensor, window: int) -> Tensor:
    """Windows of joined frames: ``(F, J, 3)`` and ``(...)`` to ``(..., window, J, 3)``."""
    return frames[starts.unsqueeze(-1) + torch.arange(window, device=starts.device)]
