"""The generator from metres to metres: building it, drawing futures from it, one member as a program of its own."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hpgan_core.checkpoint import read_newest_checkpoint
from hpgan_core.config import TrainingConfig
from hpgan_core.errors import BadInput
from hpgan_core.models import Generator, GeneratorSizes
from hpgan_core.normalise import Normaliser
from hpgan_core.streams import sample_normal, sample_uniform

# Of the inputs that a program is exported with: one alone would become a constant of it.
EXAMPLE_WINDOWS = 2
# Of z where it is uniform: from minus this to this.
UNIFORM_Z = 0.1


def build_generator(config: TrainingConfig, pose_size: int, generators: Sequence[torch.Generator]) -> Generator:
    """The generator that ``config`` describes, one member for each random generator, with torch's initial weights."""
    sizes = GeneratorSizes(pose_size, config.embedding_size, config.hidden_size, config.z_size, config.generator_layers)
    return Generator(generators, sizes, config.decoder, config.residual)


def sample_z(config: TrainingConfig, generators: Sequence[torch.Generator], *shape: int) -> Tensor:
    """Random vectors by the configured distribution, ``(S, *shape)``, from one random generator a member."""
    if config.z_distribution == "normal":
        return sample_normal(generators, *shape)
    return sample_uniform(generators, *shape, low=-UNIFORM_Z, high=UNIFORM_Z)


def predict(generator: Generator, normaliser: Normaliser, past: Tensor, z: Tensor, frames: int) -> Tensor:
    """Futures in metres.

    Args:
        generator: of S members.
        normaliser: the one that they were trained with.
        past: metres, the same for every member, ``(N, T_past, J, 3)``.
        z: ``(S, N, K, Z)``.
        frames: how many to predict, T.

    Returns:
        ``(S, N, K, T, J, 3)``.
    """
    anchor = normaliser.anchor(past)
    poses = normaliser.normalise(past, anchor).flatten(-2).expand(len(z), -1, -1, -1)
    predicted = generator(poses, z, frames)
    return normaliser.metres(predicted.unflatten(-1, (-1, 3)), anchor.unsqueeze(1))


class Predictor(nn.Module):
    """One trained member: past poses in metres and a random vector to future poses in metres.

    Attributes:
        config: what it was trained with.
        seed: of this member.
        epochs: how many it was trained for.
        past_frames, future_frames, joints: of a window.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, checkpoint: dict[str, Any], member: int) -> None:
        super().__init__()
        run, view = checkpoint["run"], checkpoint["view"]
        self.config, self.seed = TrainingConfig.from_mapping(run["config"]), run["seeds"][member]
        self.epochs = checkpoint["population"]["epochs_done"]
        self.past_frames, self.future_frames = view["past_frames"], view["future_frames"]
        self.joints, self.root = len(view["mean"]), view["root"]
        self.register_buffer("mean", view["mean"])
        self.register_buffer("scale", view["scale"])
        self.generator = build_generator(self.config, 3 * self.joints, [torch.Generator()])
        averaged = checkpoint["population"]["averaged"]
        self.generator.load_state_dict({name: weights[member : member + 1] for name, weights in averaged.items()})
        self.requires_grad_(False).eval()

    @classmethod
    def read(cls, checkpoints: Path, member: int) -> "Predictor":
        """The ``member``-th member (0-based) of the newest whole checkpoint in a folder.

        Raises:
            BadInput: there is none, or it was written before checkpoints said how poses are normalised.
        """
        content = read_newest_checkpoint(checkpoints)
        if content is None:
            raise BadInput(f"{checkpoints} holds no whole checkpoint")
        if "view" not in content:
            raise BadInput(f"{checkpoints}: the checkpoint does not say how poses were normalised; train again")
        return cls(content, member)

    def forward(self, past: Tensor, z: Tensor) -> Tensor:
        """``(N, T_past, J, 3)`` in metres and ``(N, Z)`` to ``(N, T, J, 3)`` in metres."""
        normaliser = Normaliser(self.mean, self.scale, self.root)
        return predict(self.generator, normaliser, past, z[None, :, None], self.future_frames)[0, :, 0]

    def sample_z(self, windows: int, seed: int = 0) -> Tensor:
        """Random vectors as it was trained with, ``(windows, Z)``."""
        return sample_z(self.config, [torch.Generator().manual_seed(seed)], windows, self.config.z_size)[0]

    def export(self) -> bytes:
        """This member as a program for ``torch.export.load``, which needs torch alone; any number of windows."""
        past = self.mean.expand(EXAMPLE_WINDOWS, self.past_frames, -1, -1).clone()
        windows = torch.export.Dim("windows", min=1)
        with torch.no_grad():
            program = torch.export.export(
                self,
                (past, self.sample_z(EXAMPLE_WINDOWS)),
                dynamic_shapes={"past": {0: windows}, "z": {0: windows}},
            )
        file = io.BytesIO()
        torch.export.save(program, file)
        return file.getvalue()
