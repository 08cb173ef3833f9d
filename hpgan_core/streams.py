"""Random streams: one independent generator for each purpose of each member in each epoch.

A stream is a function of (seed, purpose, epoch) and of nothing else. Hence member ``i`` sees the same initial weights,
batches and z in every arm whatever the other streams consumed, and a resumed run needs no saved generator state to
equal an uninterrupted one.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

# The order is part of every recorded result: append only.
PURPOSES = ("generator", "critic", "discriminator", "windows", "z", "interpolation", "evaluation", "critic_z")


def stream(seed: int, purpose: str, epoch: int = 0) -> torch.Generator:
    """A CPU generator, equal for equal arguments and independent of all others."""
    sequence = np.random.SeedSequence(seed, spawn_key=(PURPOSES.index(purpose), epoch))
    return torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0]))


def streams(seeds: Sequence[int], purpose: str, epoch: int = 0) -> list[torch.Generator]:
    """One stream a member."""
    return [stream(seed, purpose, epoch) for seed in seeds]


def sample_normal(generators: Sequence[torch.Generator], *shape: int) -> Tensor:
    """Standard normal numbers, ``(members, *shape)``; a member's numbers do not depend on its neighbours."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])


def sample_uniform(generators: Sequence[torch.Generator], *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Uniform numbers in [low, high), ``(members, *shape)``."""
    return torch.stack([torch.rand(shape, generator=generator) * (high - low) + low for generator in generators])
