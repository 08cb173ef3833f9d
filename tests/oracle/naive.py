"""HP-GAN training as one would write it down from the papers: slow, plain, and independent of what it is compared with.

One member at a time, from torch's own modules: the generator runs anew for every critic update, the gradient penalty
goes through autograd's double backward, weight decay is a term of the loss, the decoders are loops over GRU cells.
Nothing of the core's networks, losses or training is imported; a configuration only says which variant is meant.

Source:
    Barsoum et al. 2018 (arXiv:1711.09561), ebarsoum/hpgan, and the report's loop.
"""

import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hpgan_core.config import TrainingConfig
from hpgan_core.windows import MotionData

JOINTS, ROOT = 25, 0
# Under the root of a bone's squared length: a bone of no length has a finite gradient.
EPSILON = 1e-12
# NTU RGB+D's list: each joint and the one it is connected to, the spine's lowest bone from both of its ends.
LISTED_BONES = list(enumerate([1, 0, 20, 2, 20, 4, 5, 6, 20, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18, 1, 7, 7, 11, 11]))
BONES = LISTED_BONES[1:]


class OriginalGenerator(nn.Module):
    """Past poses ``(B, T_past, 75)`` and z ``(B, Z)`` to future poses ``(B, T, 75)``, as ebarsoum/hpgan has it."""

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__()
        hidden, layers, width = config.hidden_size, config.generator_layers, config.embedding_size
        self.embed = nn.Linear(3 * JOINTS, width)
        self.encoder = nn.GRU(width, hidden, layers, batch_first=True)
        self.from_z = nn.ModuleList(nn.Linear(config.z_size, hidden, bias=False) for _ in range(layers))
        self.feed_back = nn.Linear(hidden, width, bias=False)
        self.cells = nn.ModuleList(nn.GRUCell(hidden if layer else width, hidden) for layer in range(layers))
        self.head = nn.Linear(hidden, 3 * JOINTS)

    def forward(self, past: Tensor, z: Tensor, frames: int) -> Tensor:
        outputs, last = self.encoder(self.embed(past))
        states = [state + from_z(z) for state, from_z in zip(last, self.from_z, strict=True)]
        output, poses = outputs[:, -1], []
        for _ in range(frames):
            output = self.feed_back(output)
            for layer, cell in enumerate(self.cells):
                output = states[layer] = cell(output, states[layer])
            poses.append(self.head(output))
        return torch.stack(poses, dim=1)


class ReportGenerator(nn.Module):
    """The same by the report: cells as wide as a pose, whose state is the pose."""

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__()
        hidden, layers, pose = config.hidden_size, config.generator_layers, 3 * JOINTS
        self.encoder = nn.GRU(pose, hidden, layers, batch_first=True)
        self.to_state = nn.Linear(hidden + config.z_size, pose)
        self.to_input = nn.Linear(hidden, pose)
        self.cells = nn.ModuleList(nn.GRUCell(pose, pose) for _ in range(layers))

    def forward(self, past: Tensor, z: Tensor, frames: int) -> Tensor:
        outputs, last = self.encoder(past)
        states = [self.to_state(torch.cat([state, z], dim=1)) for state in last]
        pose, poses = self.to_input(outputs[:, -1]), []
        for _ in range(frames):
            for layer, cell in enumerate(self.cells):
                pose = states[layer] = cell(pose, states[layer])
            poses.append(pose)
        return torch.stack(poses, dim=1)


class Critic(nn.Module):
    """A motion ``(B, T, 75)`` to one number; with an embedding each frame is mapped linearly first."""

    def __init__(self, config: TrainingConfig, frames: int) -> None:
        super().__init__()
        embedding, hidden, n = config.critic_embedding_size, config.critic_size, config.critic_layers
        self.slope = config.critic_slope
        self.embed = nn.Linear(3 * JOINTS, embedding, bias=False) if embedding else nn.Identity()
        widths = [frames * (embedding or 3 * JOINTS), *[hidden] * n, 1]
        self.layers = nn.ModuleList(nn.Linear(widths[layer], widths[layer + 1]) for layer in range(n + 1))

    def forward(self, motion: Tensor) -> Tensor:
        rows = self.embed(motion).flatten(1)
        for layer in self.layers[:-1]:
            rows = F.leaky_relu(layer(rows), self.slope)
        return self.layers[-1](rows).squeeze(1)


class NaiveTraining:
    """One member's training, in float64. Its networks start from torch's defaults until their weights are set."""

    def __init__(self, config: TrainingConfig, data: MotionData) -> None:
        self.config, self.past_frames, self.future_frames = config, data.past_frames, data.future_frames
        self.mean, self.scale = statistics(config.normalisation, data)
        generator = {"hpgan": OriginalGenerator, "report": ReportGenerator}[config.decoder]
        self.generator = generator(config).double()
        self.critic, self.discriminator = (Critic(config, data.window).double() for _ in range(2))
        self.generator_adam = self.adam(self.generator, config.generator_learning_rate)
        self.critic_adam = self.adam(self.critic, config.critic_learning_rate)
        self.discriminator_adam = self.adam(self.discriminator, config.discriminator_learning_rate)
        self.averaged: nn.Module = copy.deepcopy(self.generator)

    def adam(self, network: nn.Module, learning_rate: float) -> torch.optim.Adam:
        betas = (self.config.adam_beta1, self.config.adam_beta2)
        return torch.optim.Adam(network.parameters(), lr=learning_rate, betas=betas, eps=1e-8, foreach=False)

    def step(self, windows: Tensor, z: Tensor, mixes: Tensor) -> dict[str, Tensor]:
        """Critic, discriminator and generator updates on one batch; what each loss was at its last update.

        Args:
            windows: metres, ``(B, T, 25, 3)``.
            z: one for each critic and then each generator update, ``(B, updates, Z)``; or one for all, ``(B, 1, Z)``.
            mixes: the real share of the interpolates at each critic update, ``(B, updates)`` or ``(1, updates)``.
        """
        config = self.config
        anchor = torch.zeros_like(windows[:, :1, :1])
        if config.normalisation == "root_centred":
            anchor = windows[:, self.past_frames - 1, ROOT][:, None, None]
        real = ((windows - anchor - self.mean) / self.scale).flatten(2)
        past, future = real[:, : self.past_frames], real[:, self.past_frames :]
        if not config.resample_z:
            z = z.expand(-1, config.critic_iterations + config.generator_iterations, -1)
        losses = {}

        for iteration in range(config.critic_iterations):
            with torch.no_grad():
                fake = torch.cat([past, self.predict(past, z[:, iteration])], dim=1)
            losses["critic"] = self.critic(fake).mean() - self.critic(real).mean()
            losses["gradient_penalty"] = self.gradient_penalty(real, fake, mixes[:, iteration, None, None])
            loss = losses["critic"] + config.lambda_gp * losses["gradient_penalty"] + self.l2(self.critic)
            update(self.critic_adam, loss)

        generator_z = z[:, config.critic_iterations :]
        fake = torch.cat([past, self.predict(past, generator_z[:, 0])], dim=1).detach()
        on_real, on_fake = self.discriminator(real), self.discriminator(fake)
        loss = F.binary_cross_entropy_with_logits(on_real, torch.ones_like(on_real))
        loss = loss + F.binary_cross_entropy_with_logits(on_fake, torch.zeros_like(on_fake))
        losses["discriminator"] = loss / 2 if config.discriminator_loss == "mean" else loss
        update(self.discriminator_adam, losses["discriminator"] + self.l2(self.discriminator))

        for its_z in generator_z.unbind(1):
            predicted = self.predict(past, its_z)
            loss = losses["adversarial"] = -self.critic(torch.cat([past, predicted], dim=1)).mean()
            for name in config.losses:
                losses[name] = self.motion_loss(name, past, predicted, future, anchor)
                loss = loss + getattr(config, f"{name}_weight") * losses[name]
            update(self.generator_adam, loss)

        with torch.no_grad():
            for average, weight in zip(self.averaged.parameters(), self.generator.parameters(), strict=True):
                average.copy_(config.averaging * average + (1 - config.averaging) * weight)
        return {name: value.detach() for name, value in losses.items()}

    def predict(self, past: Tensor, z: Tensor) -> Tensor:
        poses = self.generator(past, z, self.future_frames)
        if not self.config.residual:
            return poses
        future, pose = [], past[:, -1]
        for change in poses.unbind(1):
            pose = pose + change
            future.append(pose)
        return torch.stack(future, dim=1)

    def gradient_penalty(self, real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
        interpolates = (share * real + (1 - share) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(self.critic(interpolates).sum(), interpolates, create_graph=True)
        norm = gradient.norm(dim=2) if self.config.gp_norm == "frame" else gradient.flatten(1).norm(dim=1)
        return (norm - 1).square().mean()

    def l2(self, critic: nn.Module) -> Tensor:
        if not self.config.weight_decay:
            return torch.zeros(())
        kernels = [weight for weight in critic.parameters() if weight.ndim == 2]
        return self.config.weight_decay * torch.stack([weight.square().sum() / 2 for weight in kernels]).sum()

    def motion_loss(self, name: str, past: Tensor, predicted: Tensor, future: Tensor, anchor: Tensor) -> Tensor:
        """Poses are normalised, ``(B, T, 75)``."""
        if name == "gt":
            return F.mse_loss(predicted, future)
        if name == "consistency":
            changes = predicted - torch.cat([past[:, -1:], predicted[:, :-1]], dim=1)
            if self.config.consistency_form == "mean":
                return changes.norm(dim=2).mean()
            return torch.clamp(changes.norm() / (len(predicted) * self.future_frames), min=1e-4)
        before, after = (poses.unflatten(2, (JOINTS, 3)) for poses in (past[:, -1:], predicted))
        if self.config.bone_space == "metres":
            before, after = (poses * self.scale + self.mean + anchor for poses in (before, after))
        listed = LISTED_BONES if self.config.bone_form == "literal" else BONES
        before, after = (bone_lengths(poses, listed) for poses in (before, after))
        changes = (before - after).abs() / (before + 1e-5)
        return changes.sum(dim=2).mean() if self.config.bone_form == "literal" else changes.mean()


def bone_lengths(poses: Tensor, bones: list[tuple[int, int]]) -> Tensor:
    ends = [[bone[end] for bone in bones] for end in (0, 1)]
    return ((poses[:, :, ends[0]] - poses[:, :, ends[1]]).square().sum(dim=3) + EPSILON).sqrt()


def update(adam: torch.optim.Adam, loss: Tensor) -> None:
    adam.zero_grad()
    torch.autograd.backward(loss)
    adam.step()


def statistics(kind: str, data: MotionData) -> tuple[Tensor, Tensor]:
    """Mean and scale of the training clips' windows, one every ``past_frames``, ``(25, 3)`` in metres.

    They are kept in float32, whatever the networks are in.
    """
    windows = []
    for start, length in zip(data.train.starts, data.train.lengths, strict=True):
        for first in range(start, start + length - data.window + 1, data.past_frames):
            window = data.train.frames[first : first + data.window].astype(np.float64)
            centre = window[data.past_frames - 1, ROOT] if kind == "root_centred" else 0.0
            windows.append(window - centre)
    poses = np.concatenate(windows)
    mean, deviation = poses.mean(axis=0), np.maximum(poses.std(axis=0), 1e-3)
    if kind == "none":
        mean, scale = np.zeros_like(mean), np.ones_like(mean)
    elif kind == "per_joint":
        scale = 2 * deviation
    else:
        scale = np.full_like(mean, np.sqrt((deviation**2).mean()))
    return tuple(torch.from_numpy(values.astype(np.float32)).double() for values in (mean, scale))
