"""Populations to look at: presets at widths at which a step takes milliseconds, and what the steps of one are given."""

from dataclasses import replace
from typing import Any

from torch import Tensor

from hpgan_core.config import TrainingConfig
from hpgan_core.presets import PRESETS
from hpgan_core.training import Population

# No width equals another, so that none can stand for it.
WIDTHS: dict[str, Any] = {"hidden_size": 12, "embedding_size": 7, "z_size": 5, "critic_size": 10, "batch_size": 4}
CRITIC_EMBEDDING = 6


def narrow(preset: str, **settings: Any) -> TrainingConfig:
    config = replace(PRESETS[preset], **WIDTHS)
    if config.critic_embedding_size:
        config = replace(config, critic_embedding_size=CRITIC_EMBEDDING)
    return replace(config, **settings)


class Observed(Population):
    """A population that keeps what its steps are given."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def train_step(self, windows: Tensor, z: Tensor, mixes: Tensor) -> dict[str, Tensor]:
        self.seen.append((windows, z, mixes))
        return super().train_step(windows, z, mixes)
