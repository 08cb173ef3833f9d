"""Training a population of HP-GANs: the step and the epoch."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hpgan_core.config import TrainingConfig
from hpgan_core.losses import LOSSES
from hpgan_core.models import Critic, Generator
from hpgan_core.normalise import Normaliser
from hpgan_core.streams import sample_normal, sample_uniform, streams
from hpgan_core.wgan_gp import accumulate_critic_gradients, input_gradient
from hpgan_core.windows import MotionData, gather


class Population:
    """Members that differ in their seed alone, trained together.

    Args:
        config: settings of every member.
        data: training and validation clips.
        seeds: one member each.
        dtype: float32 to train; float64 to compare implementations.
    """

    def __init__(
        self,
        config: TrainingConfig,
        data: MotionData,
        seeds: Sequence[int],
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.config, self.data, self.seeds = config, data, tuple(seeds)
        self.device, self.dtype = torch.device(device), dtype
        self.past_frames, self.future_frames = data.past_frames, data.future_frames
        self.pose_size = 3 * data.skeleton.n_joints
        self.frames = torch.tensor(data.train.frames, device=device, dtype=dtype)
        self.normaliser = fit_normaliser(data, config.normalisation).to(device, dtype)

        self.generator = Generator(
            streams(seeds, "generator"),
            self.pose_size,
            config.hidden_size,
            config.generator_layers,
            config.z_size,
            config.residual,
        ).to(device, dtype)
        self.critic = self._build_critic("critic")
        self.discriminator = self._build_critic("discriminator")
        self.averaged = copy.deepcopy(self.generator).requires_grad_(False)
        self.generator_optimizer = self._build_optimizer(self.generator, config.generator_learning_rate)
        self.critic_optimizer = self._build_optimizer(self.critic, config.critic_learning_rate)
        self.discriminator_optimizer = self._build_optimizer(self.discriminator, config.discriminator_learning_rate)
        self.lambda_gp = torch.full((len(self.seeds),), config.lambda_gp, device=device, dtype=dtype)
        self.epochs_done = 0

    def _build_critic(self, purpose: str) -> Critic:
        window_size = self.data.window * self.pose_size
        critic = Critic(streams(self.seeds, purpose), window_size, self.config.critic_size, self.config.critic_layers)
        return critic.to(self.device, self.dtype)

    def _build_optimizer(self, network: nn.Module, learning_rate: float) -> torch.optim.Adam:
        betas = (self.config.adam_beta1, self.config.adam_beta2)
        return torch.optim.Adam(network.parameters(), lr=learning_rate, betas=betas, fused=True)

    @property
    def batch_size(self) -> int:
        """The configured batch, or all clips where there are fewer: the last, smaller batch of an epoch is dropped."""
        return min(self.config.batch_size, len(self.data.train))

    @property
    def steps_per_epoch(self) -> int:
        return len(self.data.train) // self.batch_size

    def train_epoch(self) -> dict[str, Tensor]:
        """One random window of every training clip; returns the mean of every training loss, ``(S,)`` each."""
        losses = self.train_steps(self.epochs_done + 1, self.steps_per_epoch)
        self.epochs_done += 1
        return losses

    def train_steps(self, epoch: int, steps: int) -> dict[str, Tensor]:
        """The first ``steps`` steps of an epoch; returns means over them, ``(S,)`` each.

        All random numbers are drawn first, from streams that depend on seed and epoch alone.
        """
        shape = (self.steps_per_epoch, self.batch_size)
        starts = torch.stack(
            [
                self.data.train.random_starts(random, self.data.window)
                for random in streams(self.seeds, "windows", epoch)
            ]
        )
        starts = starts[:, : math.prod(shape)].view(-1, *shape).to(self.device)
        z = self.sample_z(streams(self.seeds, "z", epoch), *shape, self.config.z_size)
        mixes = sample_uniform(streams(self.seeds, "interpolation", epoch), *shape, self.config.critic_iterations)
        mixes = mixes.to(self.device, self.dtype)

        sums: dict[str, Tensor] = {}
        steps = min(steps, self.steps_per_epoch)
        for step in range(steps):
            windows = gather(self.frames, starts[:, step], self.data.window)
            losses = self.train_step(windows, z[:, step], mixes[:, step])
            for name, values in losses.items():
                sums[name] = sums[name] + values if name in sums else values
        return {name: values / steps for name, values in sums.items()}

    def train_step(self, windows: Tensor, z: Tensor, mixes: Tensor) -> dict[str, Tensor]:
        """``critic_iterations`` critic updates, then one of the discriminator and one of the generator, on one batch.

        The generator does not change while the critic trains, so it runs once a step: its futures serve the critic and
        the discriminator detached, and the generator's own update with their graph.

        Args:
            windows: metres, ``(S, B, T, J, 3)``.
            z: ``(S, B, Z)``.
            mixes: interpolation factors, ``(S, B, critic_iterations)``.
        """
        anchor = self.normaliser.anchor(windows[:, :, : self.past_frames])
        real = self.normaliser.normalise(windows, anchor).flatten(-2)
        past, future = real[:, :, : self.past_frames], real[:, :, self.past_frames :]
        predicted = self.generator(past, z.unsqueeze(2), self.future_frames).squeeze(2)
        real_window, fake_window = real.flatten(2), torch.cat([past, predicted.detach()], dim=2).flatten(2)

        for iteration in range(self.config.critic_iterations):
            difference, penalty = accumulate_critic_gradients(
                self.critic, real_window, fake_window, mixes[..., iteration, None], self.lambda_gp
            )
            self.critic_optimizer.step()

        judged_fake, judged_real = self.discriminator(torch.cat([fake_window, real_window], dim=1)).chunk(2, dim=1)
        discriminator_loss = (nn.functional.softplus(judged_fake) + nn.functional.softplus(-judged_real)).mean(1)
        self.discriminator_optimizer.zero_grad()
        torch.autograd.backward(discriminator_loss.sum())
        self.discriminator_optimizer.step()

        with torch.no_grad():
            adversarial_gradient = -input_gradient(self.critic, fake_window) / fake_window.shape[1]
            adversarial = -self.critic(fake_window).mean(1)
        motion_losses = self.motion_losses(past, predicted, future, anchor)
        self.generator_optimizer.zero_grad()
        future_part = adversarial_gradient[:, :, self.past_frames * self.pose_size :].reshape_as(predicted)
        roots, gradients = [predicted], [future_part]
        if motion_losses:
            roots.append(torch.stack([self.weight(name) * loss for name, loss in motion_losses.items()]).sum())
            gradients.append(torch.ones_like(roots[-1]))
        torch.autograd.backward(roots, gradients)
        self.generator_optimizer.step()
        self._average_generator()
        losses = {
            "critic": difference,
            "gradient_penalty": penalty,
            "discriminator": discriminator_loss,
            "adversarial": adversarial,
        }
        return {name: loss.detach() for name, loss in (losses | motion_losses).items()}

    def motion_losses(self, past: Tensor, predicted: Tensor, future: Tensor, anchor: Tensor) -> dict[str, Tensor]:
        """The unweighted losses of this arm, ``(S,)`` each, from normalised flattened poses ``(S, B, T, D)``."""
        normalised = [poses.view(*poses.shape[:-1], -1, 3) for poses in (past, predicted, future)]
        losses = {}
        for name in self.config.losses:
            loss, motions = LOSSES[name], normalised
            if loss.space == "metres":
                motions = [self.normaliser.metres(motion, anchor) for motion in normalised]
            losses[name] = loss.function(motions[0], motions[1], motions[2], self.data.skeleton)
        return losses

    def weight(self, loss: str) -> float:
        return float(getattr(self.config, f"{loss}_weight"))

    @torch.no_grad()
    def _average_generator(self) -> None:
        for averaged, weight in zip(self.averaged.parameters(), self.generator.parameters(), strict=True):
            averaged.lerp_(weight, 1 - self.config.averaging)

    def sample_z(self, generators: Sequence[torch.Generator], *shape: int) -> Tensor:
        """Random vectors by the configured distribution, ``(S, *shape)``."""
        if self.config.z_distribution == "normal":
            return sample_normal(generators, *shape).to(self.device, self.dtype)
        return sample_uniform(generators, *shape, low=-0.1, high=0.1).to(self.device, self.dtype)

    @torch.no_grad()
    def predict(self, past: Tensor, z: Tensor) -> Tensor:
        """Futures in metres of the averaged generator.

        Args:
            past: metres, the same for every member, ``(N, T_past, J, 3)``.
            z: ``(S, N, K, Z)``.

        Returns:
            ``(S, N, K, T, J, 3)``.
        """
        anchor = self.normaliser.anchor(past)
        poses = self.normaliser.normalise(past, anchor).flatten(-2).expand(len(z), -1, -1, -1)
        predicted = self.averaged(poses, z, self.future_frames)
        return self.normaliser.metres(predicted.unflatten(-1, (-1, 3)), anchor.unsqueeze(1))

    @torch.no_grad()
    def probabilities(self, past: Tensor, futures: Tensor) -> Tensor:
        """How real each member's discriminator takes its futures to be, mean over the K, ``(S, N)`` in [0, 1].

        Args:
            past: metres, ``(N, T_past, J, 3)``.
            futures: metres, ``(S, N, K, T, J, 3)``.
        """
        anchor = self.normaliser.anchor(past).unsqueeze(1)
        whole = torch.cat([past.unsqueeze(1).expand(*futures.shape[:3], *past.shape[1:]), futures], dim=3)
        rows = self.normaliser.normalise(whole, anchor).flatten(3).flatten(1, 2)
        return torch.sigmoid(self.discriminator(rows)).view(futures.shape[:3]).mean(2)

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs; the random streams need nothing."""
        return {"epochs_done": self.epochs_done} | {name: getattr(self, name).state_dict() for name in _STATEFUL}

    def load_state(self, state: dict[str, Any]) -> None:
        self.epochs_done = state["epochs_done"]
        for name in _STATEFUL:
            getattr(self, name).load_state_dict(state[name])


_NETWORKS = ("generator", "critic", "discriminator")
_STATEFUL = (*_NETWORKS, "averaged", *(f"{network}_optimizer" for network in _NETWORKS))


def fit_normaliser(data: MotionData, kind: str) -> Normaliser:
    """Statistics of the training people's windows, one every ``past_frames``."""
    starts = data.train.strided_starts(data.past_frames, data.window)
    windows = gather(torch.tensor(data.train.frames), starts, data.window)
    return Normaliser.fit(windows, data.past_frames, kind, data.skeleton.root)
