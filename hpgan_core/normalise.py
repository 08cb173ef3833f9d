"""From metres to the numbers a network sees, and exactly back."""

from dataclasses import dataclass

import torch
from torch import Tensor

# A joint that hardly moves must not have its sensor noise blown up to unit variance.
MIN_DEVIATION_M = 1e-3


@dataclass(frozen=True)
class Normaliser:
    """``(position - anchor - mean) / scale``, fitted on training people only.

    Attributes:
        mean: metres, ``(J, 3)``.
        scale: metres, ``(J, 3)``.
        root: joint whose last observed position is the anchor of a window, or None for no anchor.
    """

    mean: Tensor
    scale: Tensor
    root: int | None

    @classmethod
    def fit(cls, windows: Tensor, past_frames: int, kind: str, root: int) -> "Normaliser":
        """Fit on training windows in metres, ``(N, T, J, 3)``.

        ``root_centred`` moves the last observed root to the origin and divides by one number, so that bone lengths keep
        their proportions; ``per_joint`` is the original code's ``(x - mean) / (2 sigma)`` for each joint and axis;
        ``none`` is the report's.
        Statistics are taken in float64: in float32 the mean of a large data set drifts.
        """
        n_joints = windows.shape[-2]
        if kind == "none":
            return cls(torch.zeros(n_joints, 3), torch.ones(n_joints, 3), None)
        anchored = windows.double()
        if kind == "root_centred":
            anchored = anchored - anchored[:, past_frames - 1 : past_frames, root : root + 1]
        mean = anchored.mean(dim=(0, 1))
        deviation = anchored.std(dim=(0, 1), correction=0).clamp_min(MIN_DEVIATION_M)
        if kind == "root_centred":
            return cls(mean.float(), deviation.square().mean().sqrt().expand(n_joints, 3).float(), root)
        return cls(mean.float(), (2 * deviation).float(), None)

    def anchor(self, past: Tensor) -> Tensor:
        """Where a window stands: the last observed root in metres, ``(..., 1, 1, 3)``; zeros without a root."""
        if self.root is None:
            return torch.zeros_like(past[..., -1:, :1, :])
        return past[..., -1:, self.root : self.root + 1, :]

    def normalise(self, positions: Tensor, anchor: Tensor) -> Tensor:
        """Metres ``(..., T, J, 3)`` to network units."""
        return (positions - anchor - self.mean) / self.scale

    def metres(self, normalised: Tensor, anchor: Tensor) -> Tensor:
        """The inverse of ``normalise``."""
        return normalised * self.scale + self.mean + anchor

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "Normaliser":
        return Normaliser(self.mean.to(device, dtype), self.scale.to(device, dtype), self.root)
