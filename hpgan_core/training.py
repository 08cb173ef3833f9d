"""Training a population of HP-GANs: the step and the epoch."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hpgan_core.adam import Adam
from hpgan_core.capture import CapturedStep
from hpgan_core.config import TrainingConfig
from hpgan_core.initialisation import initialise
from hpgan_core.losses import LOSSES
from hpgan_core.models import Critic, CriticSizes, Generator
from hpgan_core.normalise import Normaliser
from hpgan_core.predictor import build_generator, predict, sample_z
from hpgan_core.streams import sample_uniform, streams
from hpgan_core.sweeps import Sweeps
from hpgan_core.wgan_gp import train_critic, values_and_gradients
from hpgan_core.windows import MotionData, gather

# How many numbers critics may have together for all to make each update at once on a CPU. Stacking saves calls, and
# brings all of them and Adam's two for each through the caches for every update: three critics of 512 units gain, eight
# lose. More take turns of all their updates.
NUMBERS_AT_ONCE = 4_500_000


class Population:
    """Members that differ in their seed alone, trained together.

    Args:
        config: settings of every member.
        data: training and validation clips.
        seeds: one member each.
        device: where to train, e.g. ``cpu`` or ``cuda``.
        dtype: float32 to train; float64 to compare implementations.
        cuda_graph: launch a step as one CUDA graph; see ``capture.py``.
    """

    def __init__(
        self,
        config: TrainingConfig,
        data: MotionData,
        seeds: Sequence[int],
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        cuda_graph: bool = False,
    ) -> None:
        self.config, self.data, self.seeds = config, data, tuple(seeds)
        self.device, self.dtype, self.cuda_graph = torch.device(device), dtype, cuda_graph
        self.past_frames, self.future_frames = data.past_frames, data.future_frames
        self.pose_size = 3 * data.skeleton.n_joints
        self.frames = torch.tensor(data.train.frames, device=device, dtype=dtype)
        self.normaliser = fit_normaliser(data, config.normalisation).to(device, dtype)

        self.generator = self._build_generator()
        self.critic = self._build_critic("critic")
        self.discriminator = self._build_critic("discriminator")
        self.averaged = copy.deepcopy(self.generator).requires_grad_(False)
        betas = (config.adam_beta1, config.adam_beta2)
        self.generator_optimizer = Adam(self.generator, config.generator_learning_rate, betas)
        self._whole_generator = self.generator_optimizer.part([name for name, _ in self.generator.named_parameters()])
        self.critic_optimizer, self.discriminator_optimizer = (
            Adam(network, learning_rate, betas, config.weight_decay)
            for network, learning_rate in (
                (self.critic, config.critic_learning_rate),
                (self.discriminator, config.discriminator_learning_rate),
            )
        )
        self._critics = [
            (kept, self.critic.members(kept), self.critic_optimizer.members(kept)) for kept in self._critics_at_once()
        ]
        self.lambda_gp = self._for_each_member(config.lambda_gp)
        self.weights = {name: self._for_each_member(getattr(config, f"{name}_weight")) for name in config.losses}
        self.epochs_done = 0
        self._captured: CapturedStep | None = None

    def _build_generator(self) -> Generator:
        generators = streams(self.seeds, "generator")
        generator = build_generator(self.config, self.pose_size, generators)
        initialise(generator, self.config.initialisation, generators)
        return generator.to(self.device, self.dtype)

    def _build_critic(self, purpose: str) -> Critic:
        config, generators = self.config, streams(self.seeds, purpose)
        sizes = CriticSizes(self.pose_size, config.critic_embedding_size, config.critic_size, config.critic_layers)
        critic = Critic(generators, self.data.window, sizes, config.critic_slope)
        initialise(critic, config.initialisation, generators)
        return critic.to(self.device, self.dtype)

    def _critics_at_once(self) -> list[slice]:
        """Members whose critics make their updates of a step together."""
        members = at_once = len(self.seeds)
        if self.device.type == "cpu":
            at_once = max(1, NUMBERS_AT_ONCE // sum(weight[0].numel() for weight in self.critic.parameters()))
        return [slice(first, first + at_once) for first in range(0, members, at_once)]

    def _for_each_member(self, value: float) -> Tensor:
        return torch.full((len(self.seeds),), value, device=self.device, dtype=self.dtype)

    @property
    def batch_size(self) -> int:
        """The configured batch, or all clips where there are fewer."""
        return min(self.config.batch_size, len(self.data.train))

    @property
    def steps_per_epoch(self) -> int:
        full, left = divmod(len(self.data.train), self.batch_size)
        return full + (left > 0 and not self.config.drop_last)

    def train_epoch(self) -> dict[str, Tensor]:
        """One window of every training clip; returns the mean of every training loss, ``(S,)`` each."""
        losses = self.train_steps(self.epochs_done + 1, self.steps_per_epoch)
        self.epochs_done += 1
        return losses

    def train_steps(self, epoch: int, steps: int) -> dict[str, Tensor]:
        """The first ``steps`` steps of an epoch; returns means over them, ``(S,)`` each.

        All random numbers are drawn first, from streams that depend on seed and epoch alone.
        """
        config, shape = self.config, (self.steps_per_epoch, self.batch_size)
        starts = torch.split(self._sample_starts(epoch).to(self.device), self.batch_size, dim=1)
        z = self._sample_epochs_z(epoch, *shape)
        mixed = 1 if config.gp_alpha == "batch" else self.batch_size
        mixes = sample_uniform(
            streams(self.seeds, "interpolation", epoch), shape[0], mixed, config.critic_iterations
        ).to(self.device, self.dtype)

        sums: dict[str, Tensor] = {}
        steps = min(steps, self.steps_per_epoch)
        for step, its_starts in enumerate(starts[:steps]):
            windows = gather(self.frames, its_starts, self.data.window)
            batch = windows.shape[1]
            losses = self._launch(windows, z[:, step, :batch], mixes[:, step, :batch])
            for name, values in losses.items():
                sums[name] = sums[name] + values if name in sums else values
        if not self.config.averaging:  # only the last weights count
            self._average_generator()
        return {name: values / steps for name, values in sums.items()}

    def _launch(self, *inputs: Tensor) -> Mapping[str, Tensor]:
        """A step, as a CUDA graph where that is asked for and the batch is whole."""
        if not self.cuda_graph or inputs[0].shape[1] < self.batch_size:
            return self.train_step(*inputs)
        if self._captured is None:
            self._captured = CapturedStep(self.train_step, inputs, self._tensors)
        return self._captured(*inputs)

    def _tensors(self) -> dict[str, Tensor]:
        """Every tensor that a step changes."""
        tensors: dict[str, Tensor] = {}
        for name in (*_NETWORKS, "averaged"):
            tensors |= {f"{name}.{part}": value for part, value in getattr(self, name).named_parameters()}
        for name in _NETWORKS:
            tensors |= {
                f"{name}_optimizer.{part}": value
                for part, value in getattr(self, f"{name}_optimizer").state_dict().items()
            }
        return tensors

    def _sample_starts(self, epoch: int) -> Tensor:
        """First frames of an epoch's windows, ``(S, clips)``."""
        orders = streams(self.seeds, "windows", epoch if self.config.reshuffle else 0)
        crops = orders if self.config.reshuffle else streams(self.seeds, "windows", epoch)
        return torch.stack(
            [
                self.data.train.epoch_starts(self.data.window, order, crop if self.config.crop == "random" else None)
                for order, crop in zip(orders, crops, strict=True)
            ]
        )

    def _sample_epochs_z(self, epoch: int, *shape: int) -> Tensor:
        """An epoch's random vectors, ``(S, *shape, z, Z)``, ``z`` of them for each window as ``train_step`` takes them.

        Those of the critic's updates have a stream of their own, so that the generator's do not depend on how many
        updates the critic makes.
        """
        counts = {"critic_z": self.config.critic_iterations, "z": self.config.generator_iterations}
        if not self.config.resample_z:
            counts = {"z": 1}
        drawn = [
            self.sample_z(streams(self.seeds, purpose, epoch), *shape, count, self.config.z_size)
            for purpose, count in counts.items()
        ]
        return torch.cat(drawn, dim=-2)

    def train_step(self, windows: Tensor, z: Tensor, mixes: Tensor) -> dict[str, Tensor]:
        """``critic_iterations`` critic updates, one of the discriminator, ``generator_iterations`` of the generator.

        All are on one batch. The generator does not change while the critic trains, so whatever the critic is shown is
        predicted at once; what the generator's first update needs a graph for also serves the discriminator and, where
        all share one z, the critic.

        Args:
            windows: metres, ``(S, B, T, J, 3)``.
            z: ``(S, B, z, Z)``: one for all updates or, with ``resample_z``, one for each, the critic's first.
            mixes: interpolation factors, ``(S, B, critic_iterations)`` or, one a batch, ``(S, 1, critic_iterations)``.
        """
        anchor = self.normaliser.anchor(windows[:, :, : self.past_frames])
        real = self.normaliser.normalise(windows, anchor).flatten(-2)
        past, future = real[:, :, : self.past_frames], real[:, :, self.past_frames :]
        n_generator_z = self.config.generator_iterations if self.config.resample_z else 1
        critic_z, generator_z = z[:, :, :-n_generator_z], z[:, :, -n_generator_z:]
        predicted = self.generator(past, generator_z[:, :, :1], self.future_frames).squeeze(2)
        shown = predicted.detach().unsqueeze(2)
        if self.config.resample_z:
            with torch.no_grad():
                shown = self.generator(past, critic_z, self.future_frames)

        losses = self._train_critic(past, future, shown, mixes)
        losses |= self._train_discriminator(past, future, predicted.detach())
        for iteration in range(self.config.generator_iterations):
            if iteration > 0:
                its_z = generator_z[:, :, iteration % n_generator_z, None]
                predicted = self.generator(past, its_z, self.future_frames).squeeze(2)
            losses |= self._train_generator(past, predicted, future, anchor)
        if self.config.averaging:
            self._average_generator()
        return losses

    def _train_critic(self, past: Tensor, future: Tensor, shown: Tensor, mixes: Tensor) -> dict[str, Tensor]:
        """``critic_iterations`` updates on predictions ``(S, B, iterations or 1, T, D)``."""
        by_frame = self.config.gp_norm == "frame"
        parts = [
            train_critic(
                critic, optimizer, past[kept], future[kept], shown[kept], mixes[kept], self.lambda_gp[kept], by_frame
            )
            for kept, critic, optimizer in self._critics
        ]
        difference, penalty = (torch.cat(members) for members in zip(*parts, strict=True))
        return {"critic": difference, "gradient_penalty": penalty}

    @torch.no_grad()
    def _train_discriminator(self, past: Tensor, future: Tensor, predicted: Tensor) -> dict[str, Tensor]:
        share = 0.5 if self.config.discriminator_loss == "mean" else 1.0
        sweeps = Sweeps(self.discriminator, self.discriminator_optimizer, past, future, penalised=False)
        logits, outputs, inputs = self.discriminator.above(sweeps.first_outputs(predicted))
        judged_predicted, judged_real = logits.chunk(2, dim=1)
        loss = (nn.functional.softplus(judged_predicted) + nn.functional.softplus(-judged_real)).mean(1) * share
        error = torch.cat([judged_predicted.sigmoid(), -(-judged_real).sigmoid()], dim=1) * (share / past.shape[1])
        sweeps.update(inputs, self.discriminator.errors_above(error.unsqueeze(2), outputs))
        return {"discriminator": loss}

    def _train_generator(self, past: Tensor, predicted: Tensor, future: Tensor, anchor: Tensor) -> dict[str, Tensor]:
        values, gradients_by_pose = values_and_gradients(self.critic, past, predicted.detach())
        motion_losses = self.motion_losses(past, predicted, future, anchor)
        roots, root_gradients = [predicted], [-gradients_by_pose / past.shape[1]]
        if motion_losses:
            roots.append(torch.stack([self.weights[name] * loss for name, loss in motion_losses.items()]).sum())
            root_gradients.append(torch.ones_like(roots[-1]))
        gradients = torch.autograd.grad(roots, list(self.generator.parameters()), root_gradients)
        self.generator_optimizer.begin()
        self.generator_optimizer.update(self._whole_generator, gradients)
        return {"adversarial": -values.mean(1)} | {name: loss.detach() for name, loss in motion_losses.items()}

    def motion_losses(self, past: Tensor, predicted: Tensor, future: Tensor, anchor: Tensor) -> dict[str, Tensor]:
        """The unweighted losses of this arm, ``(S,)`` each, from normalised flattened poses ``(S, B, T, D)``."""
        normalised = [poses.view(*poses.shape[:-1], -1, 3) for poses in (past, predicted, future)]
        losses = {}
        for name in self.config.losses:
            loss, motions = LOSSES[name], normalised
            if getattr(self.config, f"{name}_space", loss.space) == "metres":
                motions = [self.normaliser.metres(motion, anchor) for motion in normalised]
            function = loss.forms[getattr(self.config, f"{name}_form", "mean")]
            losses[name] = function(motions[0], motions[1], motions[2], self.data.skeleton)
        return losses

    @torch.no_grad()
    def _average_generator(self) -> None:
        for averaged, weight in zip(self.averaged.parameters(), self.generator.parameters(), strict=True):
            averaged.lerp_(weight, 1 - self.config.averaging)

    def sample_z(self, generators: Sequence[torch.Generator], *shape: int) -> Tensor:
        """Random vectors by the configured distribution, ``(S, *shape)``."""
        return sample_z(self.config, generators, *shape).to(self.device, self.dtype)

    @torch.no_grad()
    def predict(self, past: Tensor, z: Tensor) -> Tensor:
        """Futures in metres of the averaged generator.

        Args:
            past: metres, the same for every member, ``(N, T_past, J, 3)``.
            z: ``(S, N, K, Z)``.

        Returns:
            ``(S, N, K, T, J, 3)``.
        """
        return predict(self.averaged, self.normaliser, past, z, self.future_frames)

    @torch.no_grad()
    def probabilities(self, past: Tensor, futures: Tensor) -> Tensor:
        """How real each member's discriminator takes its futures to be; more is better.

        Each has learned from its own generator alone, so that members cannot be compared by it.

        Args:
            past: metres, ``(N, T_past, J, 3)``.
            futures: metres, ``(S, N, K, T, J, 3)``.

        Returns:
            Probabilities, ``(S, N)`` in [0, 1]: ``mean_k sigmoid(D(past, future_k))``.

        Source:
            Barsoum et al. 2018, arXiv:1711.09561, who count the share of futures at 0.5 or more; the mean has no
            threshold.
        """
        anchor = self.normaliser.anchor(past).unsqueeze(1)
        whole = torch.cat([past.unsqueeze(1).expand(*futures.shape[:3], *past.shape[1:]), futures], dim=3)
        rows = self.normaliser.normalise(whole, anchor).flatten(3).flatten(1, 2)
        return torch.sigmoid(self.discriminator(rows)).view(futures.shape[:3]).mean(2)

    def view(self) -> dict[str, Any]:
        """How its networks see poses, which is all that a generator needs besides its weights to predict metres."""
        normaliser = self.normaliser.to("cpu", self.dtype)
        return {
            "mean": normaliser.mean,
            "scale": normaliser.scale,
            "root": normaliser.root,
            "past_frames": self.past_frames,
            "future_frames": self.future_frames,
        }

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
