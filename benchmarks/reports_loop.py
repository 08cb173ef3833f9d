"""The report's training loop as a user of PyTorch would write it down, to compare speed with.

Everything the fast step avoids is here on purpose: the generator runs anew in every critic iteration though neither it
nor z has changed, its futures are not detached, graphs are retained, the gradient penalty goes through autograd's
double backward, and the decoder is a Python loop over GRU cells.

Source:
    The report's loop, losses and networks: the preset ``report``, from torch's own modules.
"""

import torch
from torch import Tensor, nn

from hpgan_core.config import TrainingConfig


class Generator(nn.Module):
    """``(B, T_past, D)`` and ``(B, Z)`` to ``(B, frames, D)``; the decoder's states are poses."""

    def __init__(self, pose_size: int, hidden_size: int, z_size: int) -> None:
        super().__init__()
        self.encoder = nn.GRU(pose_size, hidden_size, num_layers=2, batch_first=True)
        self.to_state = nn.Linear(hidden_size + z_size, pose_size)
        self.to_input = nn.Linear(hidden_size, pose_size)
        self.cells = nn.ModuleList(nn.GRUCell(pose_size, pose_size) for _ in range(2))

    def forward(self, past: Tensor, z: Tensor, frames: int) -> Tensor:
        outputs, encoded = self.encoder(past)
        first, second = (self.to_state(torch.cat([state, z], dim=1)) for state in encoded)
        pose = self.to_input(outputs[:, -1])
        poses = []
        for _ in range(frames):
            first = self.cells[0](pose, first)
            pose = second = self.cells[1](first, second)
            poses.append(pose)
        return torch.stack(poses, dim=1)


def build_critic(window_size: int, hidden_size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(window_size, hidden_size),
        nn.LeakyReLU(0.01),
        nn.Linear(hidden_size, hidden_size),
        nn.LeakyReLU(0.01),
        nn.Linear(hidden_size, 1),
    )


class ReportsLoop:
    """One step a call: critic iterations, one discriminator and one generator update, on one batch.

    Args:
        config: sizes, rates and weights.
        past: normalised poses, ``(B, T_past, D)``.
        future: normalised poses, ``(B, T, D)``.
        z: ``(B, Z)``.
    """

    def __init__(self, config: TrainingConfig, past: Tensor, future: Tensor, z: Tensor) -> None:
        self.config, self.past, self.future, self.z = config, past, future, z
        self.real = torch.cat([past, future], dim=1)
        window_size = self.real[0].numel()
        self.generator = Generator(past.shape[-1], config.hidden_size, config.z_size)
        self.critic = build_critic(window_size, config.critic_size)
        self.discriminator = build_critic(window_size, config.critic_size)
        self.generator_optimizer = torch.optim.Adam(self.generator.parameters(), lr=config.generator_learning_rate)
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), lr=config.critic_learning_rate)
        self.discriminator_optimizer = torch.optim.Adam(
            self.discriminator.parameters(), lr=config.discriminator_learning_rate
        )

    def __call__(self) -> None:
        real = self.real.flatten(1)
        for _ in range(self.config.critic_iterations):
            predicted = self.generator(self.past, self.z, self.future.shape[1])
            fake = torch.cat([self.past, predicted], dim=1).flatten(1)
            critic_loss = self.critic(fake).mean() - self.critic(real).mean()
            critic_loss = critic_loss + self.config.lambda_gp * self.gradient_penalty(real, fake)
            self.critic_optimizer.zero_grad()
            torch.autograd.backward(critic_loss, retain_graph=True)
            self.critic_optimizer.step()

        judged_real, judged_fake = self.discriminator(real), self.discriminator(fake)
        cross_entropy = nn.functional.binary_cross_entropy_with_logits
        discriminator_loss = cross_entropy(judged_real, torch.ones_like(judged_real))
        discriminator_loss = discriminator_loss + cross_entropy(judged_fake, torch.zeros_like(judged_fake))
        self.discriminator_optimizer.zero_grad()
        torch.autograd.backward(discriminator_loss / 2, retain_graph=True)
        self.discriminator_optimizer.step()

        generator_loss = -self.critic(fake).mean()
        generator_loss = generator_loss + self.config.gt_weight * nn.functional.mse_loss(predicted, self.future)
        self.generator_optimizer.zero_grad()
        torch.autograd.backward(generator_loss)
        self.generator_optimizer.step()

    def gradient_penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        share = torch.rand(len(real), 1)
        interpolates = share * real + (1 - share) * fake
        (gradient,) = torch.autograd.grad(
            self.critic(interpolates).sum(), interpolates, create_graph=True, retain_graph=True
        )
        norm: Tensor = gradient.norm(dim=1)
        return (norm - 1).square().mean()
