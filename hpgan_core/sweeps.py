"""A batch's way through a critic and back, and Adam's updates, with the first layer in blocks of frames.

The first layer holds most of a critic's weights, more than a core's cache, and a batch is small: loading the weights
takes about as long as using them. So a sweep does all that can be done with a block before it loads the next. Two
sweeps make an iteration: one back for the gradient penalty; one for the gradient, Adam's update and the next product.

Generated and real windows share their past, which takes one row where their futures take two.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from hpgan_core.adam import Adam, Part
from hpgan_core.models import Critic, FramewiseLinear

# On a CPU, for its cache; a GPU takes the past and the future whole, for fewer launches.
FRAMES_PER_BLOCK = 10
NORM_EPSILON = 1e-12


class Block:
    """Some frames of a batch, and the first layer's weights there.

    Args:
        weight: ``(S, n, H)``, a row for each number that the first layer takes from these frames.
        part: the same for the optimizer.
        embed: the critic's linear map of each frame, if any.
        recorded: ``(S, B, frames D)``.
        outputs: the first layer's, to which these frames add, ``(S, windows, H)``; ``windows`` is ``B`` where generated
            and real windows have the same poses, otherwise ``2 B``.
        interpolates: for how many of them there will be gradients.

    Attributes:
        poses: the windows' poses, then the gradients with respect to interpolates, ``(S, windows + interpolates,
            frames D)``.
        rows: the same as the first layer takes them, ``(S, windows + interpolates, n)``.
        generated: the poses of generated windows alone, ``(S, B, frames D)``.
    """

    def __init__(
        self,
        weight: Tensor,
        part: Part,
        embed: FramewiseLinear | None,
        recorded: Tensor,
        outputs: Tensor,
        interpolates: int,
    ) -> None:
        self.weight, self.part, self.embed, self.outputs = weight, part, embed, outputs
        (members, batch, size), windows = recorded.shape, outputs.shape[1]
        self.poses = recorded.new_empty(members, windows + interpolates, size)
        self.rows = self.poses if embed is None else self.poses.new_empty(*self.poses.shape[:2], weight.shape[1])
        # Every look at a tensor costs as much as a small operation, so each is taken once.
        self.generated = self.poses[:, :batch]
        self._of_windows, self._of_gradients = (
            (self.poses[:, kept], self.rows[:, kept]) for kept in (slice(None, windows), slice(windows, None))
        )
        self.poses[:, windows - batch : windows] = recorded

    def add_product(self) -> None:
        """Add what the first layer makes of the windows to its outputs."""
        self.outputs.baddbmm_(self._embedded(*self._of_windows), self.weight)

    def find_gradient(self, sensitivity: Tensor) -> Tensor:
        """Gradients with respect to interpolates, ``(S, B, frames D)``, from those with respect to first outputs."""
        # The weight is on the left, for speed: on the right it would have to be transposed.
        gradient = torch.bmm(self.weight, sensitivity.transpose(1, 2)).transpose(1, 2)
        return gradient if self.embed is None else self.embed.backward(gradient)

    def add_adjoint(self, gradient: Tensor, adjoint: Tensor) -> None:
        """Keep those gradients; add what the first layer makes of them, ``(S, B, H)``."""
        poses, rows = self._of_gradients
        poses.copy_(gradient)
        adjoint.baddbmm_(gradient if self.embed is None else self._embedded(poses, rows), self.weight)

    def embed_gradient(self, errors: Tensor) -> Tensor:
        """These frames' share of the gradient of ``embed``, from errors of first outputs, ``(S, N + ..., H)``."""
        assert self.embed is not None
        return self.embed.gradient(self.poses, torch.bmm(errors, self.weight.transpose(1, 2)))

    def _embedded(self, poses: Tensor, rows: Tensor) -> Tensor:
        return rows if self.embed is None else rows.copy_(self.embed.product(poses))


class Sweeps:
    """A batch on its way through a critic that learns from it.

    Rows come in the order generated windows, real ones, interpolates of the two, ``B`` each.

    Args:
        critic: is updated.
        optimizer: the critic's.
        past: ``(S, B, T_past, D)``.
        future: recorded, ``(S, B, T, D)``.
        penalised: whether there are interpolates.
    """

    def __init__(self, critic: Critic, optimizer: Adam, past: Tensor, future: Tensor, penalised: bool) -> None:
        self.critic, self.optimizer = critic, optimizer
        self.members, self.batch, past_frames, self.pose_size = past.shape
        self._length = FRAMES_PER_BLOCK if past.device.type == "cpu" else critic.frames
        interpolates = self.batch if penalised else 0
        self._outputs = past.new_empty(self.members, 2 * self.batch + interpolates, critic.layers[0].weight.shape[2])
        self._generated, self._real, _ = self._outputs.tensor_split((self.batch, 2 * self.batch), dim=1)
        self._blocks = self._cut(past, 0, self._generated, interpolates)
        self._past_blocks = len(self._blocks)
        self._blocks += self._cut(future, past_frames, self._outputs[:, : 2 * self.batch], interpolates)
        _, *above = critic.layers
        self._above = [optimizer.part([f"layers.{number}.weight"]) for number, _ in enumerate(above, start=1)]
        self._biases = optimizer.part([name for name, _ in critic.named_parameters() if name.endswith("bias")])
        # All gradients take turns in one buffer, which stays in the cache.
        weights = [layer.weight for layer in above] + [block.weight for block in self._blocks]
        buffer = past.new_empty(max(weight.numel() for weight in weights))
        gradients = [buffer[: weight.numel()].view(weight.shape) for weight in weights]
        self._gradients_above, self._gradients = gradients[: len(above)], gradients[len(above) :]

    def _cut(self, recorded: Tensor, first_frame: int, outputs: Tensor, interpolates: int) -> list[Block]:
        layer, blocks = self.critic.layers[0], []
        width = layer.weight.shape[1] // self.critic.frames
        for frames in torch.split(recorded, self._length, dim=2):
            rows = slice(first_frame * width, (first_frame + frames.shape[2]) * width)
            part = self.optimizer.part(["layers.0.weight"], rows)
            weight = layer.weight.detach()[:, rows]
            blocks.append(Block(weight, part, self.critic.embed, frames.flatten(2), outputs, interpolates))
            first_frame += frames.shape[2]
        return blocks

    def first_outputs(self, generated: Tensor | None, blocks: Iterable[Block] | None = None) -> Tensor:
        """What the first layer makes of generated and real windows, and room for as much of interpolates.

        Args:
            generated: futures, ``(S, B, T, D)``; None where they are those of the last time.
            blocks: where they are still being ``updated``.

        Returns:
            ``(S, 2 B + interpolates, H)``, the same tensor every time.
        """
        bias = self.critic.layers[0].bias
        assert bias is not None
        self._generated.copy_(bias.detach())
        futures = None if generated is None else iter(torch.split(generated, self._length, dim=2))
        for number, block in enumerate(self._blocks if blocks is None else blocks):
            if number == self._past_blocks:  # the past is over, and windows part
                self._real.copy_(self._generated)
            if number >= self._past_blocks and futures is not None:
                block.generated.copy_(next(futures).flatten(2))
            block.add_product()
        return self._outputs

    def penalise(self, sensitivity: Tensor, lambda_gp: Tensor, by_frame: bool) -> tuple[Tensor, Tensor]:
        """The gradient penalty, one sweep.

        Args:
            sensitivity: gradients of the interpolates' values with respect to first outputs, ``(S, B, H)``. They are
                scaled in place to give, by ``updated``, the penalty's share of the first layer's gradient.
            lambda_gp: ``(S,)``.
            by_frame: penalise the norm of each frame's gradient instead of the whole window's.

        Returns:
            The norms, ``(S, B, frames or 1)``, and the weighted penalty's gradient with respect to ``sensitivity``.
        """
        share = 2 / self.batch / (self.critic.frames if by_frame else 1) * lambda_gp.view(-1, 1, 1)
        adjoint, norms = torch.zeros_like(sensitivity), []
        # The other way round: the cache still holds what the sweep before came to last.
        for block in reversed(self._blocks):
            gradient = block.find_gradient(sensitivity)
            if by_frame:
                frames = gradient.view(*gradient.shape[:2], -1, self.pose_size)
                norms.append(_norm(frames.square().sum(3)))
                frames.mul_((_pull(norms[-1]) * share).unsqueeze(3))
            block.add_adjoint(gradient, adjoint)
        if by_frame:
            return torch.cat(norms, dim=2), adjoint
        # Of W s, from W^T W s. Rounding may leave a norm of nearly 0 below it.
        norm = _norm((sensitivity * adjoint).sum(2, keepdim=True).clamp_(min=0))
        scale = _pull(norm) * share
        sensitivity.mul_(scale)
        adjoint.mul_(scale)
        return norm, adjoint

    def update(self, inputs: Sequence[Tensor], errors: Sequence[Tensor]) -> None:
        """Update the critic; arguments as of ``updated``."""
        deque(self.updated(inputs, errors), maxlen=0)

    def updated(self, inputs: Sequence[Tensor], errors: Sequence[Tensor]) -> Iterator[Block]:
        """Update the critic: all but the first layer at once, then each block of that when it is asked for.

        Args:
            inputs: of each layer but the first, ``(S, N, in)``.
            errors: of each layer's outputs, ``(S, N, out)``.
        """
        self.optimizer.begin()
        for part, rows, error, gradient in zip(self._above, inputs, errors[1:], self._gradients_above, strict=True):
            self._update(part, rows, error, gradient)
        self.optimizer.update(self._biases, [error[:, : 2 * self.batch].sum(1, keepdim=True) for error in errors])
        generated, real, interpolates = errors[0].tensor_split((self.batch, 2 * self.batch), dim=1)
        common = torch.cat([generated + real, interpolates], dim=1)
        block_errors = [common] * self._past_blocks + [errors[0]] * (len(self._blocks) - self._past_blocks)
        if self.critic.embed is not None:
            shares = [block.embed_gradient(error) for block, error in zip(self._blocks, block_errors, strict=True)]
            self.optimizer.update(self.optimizer.part(["embed.weight"]), [torch.stack(shares).sum(0)])
        return map(self._update_block, self._blocks, block_errors, self._gradients)

    def _update_block(self, block: Block, errors: Tensor, gradient: Tensor) -> Block:
        self._update(block.part, block.rows, errors, gradient)
        return block

    def _update(self, part: Part, rows: Tensor, errors: Tensor, gradient: Tensor) -> None:
        torch.bmm(rows.transpose(1, 2), errors, out=gradient)
        self.optimizer.update(part, [gradient])


def _norm(squared: Tensor) -> Tensor:
    return (squared + NORM_EPSILON).sqrt()


def _pull(norm: Tensor) -> Tensor:
    """The gradient of ``(norm - 1)^2 / 2``, as a multiple of the vector of that norm."""
    return (norm - 1) / norm
