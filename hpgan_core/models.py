"""Generator, critic and discriminator of a population: a network a member, weights stacked along the first axis.

``S`` members, ``B`` windows, ``D = 3 J`` numbers a pose, ``H`` hidden. Every operation is a batched matrix product over
``S``, so a population costs one kernel launch where separate networks cost ``S``.
"""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from hpgan_core.recurrence import recur


@dataclass(frozen=True)
class GeneratorSizes:
    """Widths of a pose, of what enters the first layers, of hidden states and of z; and the number of layers."""

    pose: int
    embedding: int
    hidden: int
    z: int
    layers: int


@dataclass(frozen=True)
class CriticSizes:
    """Widths of a pose, of its embedding (0 is none) and of hidden layers; and the number of layers."""

    pose: int
    embedding: int
    hidden: int
    layers: int


class StackedLinear(nn.Module):
    """``S`` linear layers side by side: ``(S, N, in)`` to ``(S, N, out)``.

    Weights and biases start uniform in +-1/sqrt(``fan``), ``fan`` being ``in`` unless given, as torch.nn.Linear's do;
    each member draws from its own generator.
    """

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        n_in: int,
        n_out: int,
        bias: bool = True,
        fan: int | None = None,
    ) -> None:
        super().__init__()
        bound = (fan or n_in) ** -0.5
        self.weight = nn.Parameter(uniform(generators, bound, (n_in, n_out)))
        self.bias = nn.Parameter(uniform(generators, bound, (1, n_out))) if bias else None

    def forward(self, rows: Tensor) -> Tensor:
        return self.product(rows) if self.bias is None else torch.baddbmm(self.bias, rows, self.weight)

    def product(self, rows: Tensor) -> Tensor:
        """``forward`` without the bias."""
        return torch.bmm(rows, self.weight)

    def backward(self, errors: Tensor) -> Tensor:
        """Errors of the outputs, ``(S, N, out)``, as errors of the inputs, ``(S, N, in)``."""
        return torch.bmm(errors, self.weight.transpose(1, 2))


class FramewiseLinear(StackedLinear):
    """A linear map of each frame, the same for all: ``(S, N, frames in)`` to ``(S, N, frames out)``; no bias."""

    def __init__(self, generators: Sequence[torch.Generator], n_in: int, n_out: int) -> None:
        super().__init__(generators, n_in, n_out, bias=False)

    def product(self, rows: Tensor) -> Tensor:
        return super().product(self._by_frame(rows, 1)).view(*rows.shape[:2], -1)

    def backward(self, errors: Tensor) -> Tensor:
        return super().backward(self._by_frame(errors, 2)).view(*errors.shape[:2], -1)

    def gradient(self, rows: Tensor, errors: Tensor) -> Tensor:
        """The weight's gradient from inputs and from errors of the outputs."""
        return torch.bmm(self._by_frame(rows, 1).transpose(1, 2), self._by_frame(errors, 2))

    def _by_frame(self, rows: Tensor, end: int) -> Tensor:
        return rows.reshape(len(rows), -1, self.weight.shape[end])


class StackedGRU(nn.Module):
    """``S`` stacks of gated recurrent units, torch.nn.GRU's equations."""

    def __init__(self, generators: Sequence[torch.Generator], n_in: int, hidden_size: int, layers: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        sizes = [n_in] + [hidden_size] * (layers - 1)
        gates = 3 * hidden_size
        self.inputs = in_order(StackedLinear(generators, size, gates, fan=hidden_size) for size in sizes)
        self.hidden = in_order(StackedLinear(generators, hidden_size, gates) for _ in sizes)

    def scan(self, rows: Tensor) -> list[Tensor]:
        """All frames ``(S, T, N, in)`` from zero states, to the last state ``(S, N, H)`` of every layer.

        Layer by layer, since the input's share of the gates is then one matrix product over all frames.
        """
        members, frames, batch, _ = rows.shape
        start = rows.new_zeros(members, batch, self.hidden_size)
        last_states = []
        for to_gates, from_state in zip(self.inputs, self.hidden, strict=True):
            gates = to_gates(rows.flatten(1, 2)).unflatten(1, (frames, batch))
            layer = (start, None, None, from_state.weight, from_state.bias)
            rows = recur(frames, gates, None, layer)
            last_states.append(rows[:, -1])
        return last_states

    def unroll(self, first_input: Tensor, starts: Sequence[Tensor], feed_back: Tensor | None, frames: int) -> Tensor:
        """Frames whose input is the frame before.

        Args:
            first_input: ``(S, N, in)``.
            starts: a state ``(S, N, H)`` a layer.
            feed_back: makes an input of the last layer's state, ``(S, H, in)``; without it the state is the input.
            frames: how many.

        Returns:
            The last layer's states, ``(S, frames, N, H)``.
        """
        layers = [
            (start, to_gates.weight, to_gates.bias, from_state.weight, from_state.bias)
            for start, to_gates, from_state in zip(starts, self.inputs, self.hidden, strict=True)
        ]
        first_gates = self.inputs[0](first_input).unsqueeze(1)
        return recur(frames, first_gates, feed_back, *layers)


class HpganDecoder(nn.Module):
    """The original's decoder: hidden states that a linear head reads as poses.

    Each layer's state starts as the encoder's plus a linear map of z. One linear map feeds the top layer's output back
    as the next input; the first is the encoder's last output.
    """

    def __init__(self, generators: Sequence[torch.Generator], sizes: GeneratorSizes) -> None:
        super().__init__()
        self.from_z = in_order(
            StackedLinear(generators, sizes.z, sizes.hidden, bias=False) for _ in range(sizes.layers)
        )
        self.feed_back = StackedLinear(generators, sizes.hidden, sizes.embedding, bias=False)
        self.cells = StackedGRU(generators, sizes.embedding, sizes.hidden, sizes.layers)
        self.head = StackedLinear(generators, sizes.hidden, sizes.pose)

    def forward(self, states: list[Tensor], z: Tensor, frames: int) -> Tensor:
        """States ``(S, N, H)`` a layer and z ``(S, N, Z)`` to poses ``(S, N, frames, D)``."""
        starts = [state + from_z(z) for state, from_z in zip(states, self.from_z, strict=True)]
        outputs = self.cells.unroll(self.feed_back(states[-1]), starts, self.feed_back.weight, frames)
        poses: Tensor = self.head(outputs.flatten(1, 2)).unflatten(1, outputs.shape[1:3])
        return poses.transpose(1, 2)


class ReportDecoder(nn.Module):
    """The report's decoder: its units are as wide as a pose, and the top layer's state is the pose.

    One linear map, shared by the layers, makes each state's start of the encoder's state and z; another the first input
    of the encoder's last output. From then on each pose is the next input.

    A gated recurrent unit's state never leaves the range of its start and [-1, 1]: poses beyond it can only be copied.
    """

    def __init__(self, generators: Sequence[torch.Generator], sizes: GeneratorSizes) -> None:
        super().__init__()
        self.to_state = StackedLinear(generators, sizes.hidden + sizes.z, sizes.pose)
        self.to_input = StackedLinear(generators, sizes.hidden, sizes.pose)
        self.cells = StackedGRU(generators, sizes.pose, sizes.pose, sizes.layers)

    def forward(self, states: list[Tensor], z: Tensor, frames: int) -> Tensor:
        """States ``(S, N, H)`` a layer and z ``(S, N, Z)`` to poses ``(S, N, frames, D)``."""
        starts = [self.to_state(torch.cat([state, z], dim=-1)) for state in states]
        return self.cells.unroll(self.to_input(states[-1]), starts, None, frames).transpose(1, 2)


class Generator(nn.Module):
    """Past poses and a random vector to future poses, all normalised.

    An encoder of gated recurrent units reads the past; one of two decoders starts from its last states. The original's
    encoder reads a linear map of each pose, the report's the pose itself. With ``residual`` the decoder's output is the
    change from one frame to the next, which removes the jump at the first predicted frame.

    Source:
        Barsoum et al. 2018 and its code, and the report; torch's GRU applies the reset gate after the matrix product,
        TensorFlow's before.
    """

    def __init__(
        self, generators: Sequence[torch.Generator], sizes: GeneratorSizes, decoder: str, residual: bool
    ) -> None:
        super().__init__()
        self.residual = residual
        self.embed = StackedLinear(generators, sizes.pose, sizes.embedding) if decoder == "hpgan" else None
        encoder_input = sizes.embedding if decoder == "hpgan" else sizes.pose
        self.encoder = StackedGRU(generators, encoder_input, sizes.hidden, sizes.layers)
        self.decoder = {"hpgan": HpganDecoder, "report": ReportDecoder}[decoder](generators, sizes)

    def encode(self, past: Tensor) -> list[Tensor]:
        """``(S, B, T_past, D)`` to a state ``(S, B, H)`` for each layer."""
        rows = past.transpose(1, 2)
        if self.embed is not None:
            rows = self.embed(rows.flatten(1, 2)).unflatten(1, rows.shape[1:3])
        return self.encoder.scan(rows)

    def forward(self, past: Tensor, z: Tensor, frames: int) -> Tensor:
        """K futures for each past, which is encoded once.

        Args:
            past: ``(S, B, T_past, D)``.
            z: ``(S, B, K, Z)``.
            frames: how many to predict.

        Returns:
            ``(S, B, K, frames, D)``.
        """
        batch, futures = z.shape[1:3]
        states = [state.repeat_interleave(futures, dim=1) for state in self.encode(past)]
        poses: Tensor = self.decoder(states, z.flatten(1, 2), frames).unflatten(1, (batch, futures))
        return past[:, :, None, -1:] + poses.cumsum(3) if self.residual else poses


class Critic(nn.Module):
    """A fully connected network that gives one number to a whole motion, ``(S, N, frames D)`` to ``(S, N)``.

    The original's maps each frame linearly first. Leaky ReLU makes the network piecewise linear. Its gradient with
    respect to the input is therefore a product of its weights and of the activations' slopes, and the slopes are
    constants almost everywhere: the gradient penalty and the penalty's own gradient need no double backward pass.

    Attributes:
        frames: of a motion.
        embed: the linear map of each frame, or None.
        layers: fully connected; an activation follows each but the last.
        slope: of the activation below zero.
    """

    def __init__(self, generators: Sequence[torch.Generator], frames: int, sizes: CriticSizes, slope: float) -> None:
        super().__init__()
        self.frames, self.slope = frames, slope
        self.embed = FramewiseLinear(generators, sizes.pose, sizes.embedding) if sizes.embedding else None
        widths = [frames * (sizes.embedding or sizes.pose)] + [sizes.hidden] * sizes.layers + [1]
        self.layers = in_order(StackedLinear(generators, *ends) for ends in pairwise(widths))

    def members(self, kept: slice) -> "Critic":
        """The critics of some members, which share their weights with this one."""
        # What a copy finds in its memo it takes for copied already.
        shared = {id(weight): nn.Parameter(weight.detach()[kept]) for weight in self.parameters()}
        return copy.deepcopy(self, shared)

    def forward(self, motion: Tensor) -> Tensor:
        if self.embed is not None:
            motion = self.embed(motion)
        for layer in self.layers[:-1]:
            motion = nn.functional.leaky_relu(layer(motion), self.slope)
        values: Tensor = self.layers[-1](motion)
        return values.squeeze(-1)

    def above(self, first_outputs: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """The rest of the way from the first layer's outputs, ``(S, N, H)``.

        Returns:
            Values ``(S, N)``; outputs of each layer but the last, ``(S, N, H)``, the given ones first, and what the
            activation makes of them, which is the next layer's input.
        """
        outputs, inputs = [first_outputs], []
        _, *above = self.layers  # slices of a module list are new module lists
        for layer in above:
            inputs.append(nn.functional.leaky_relu(outputs[-1], self.slope))
            outputs.append(layer(inputs[-1]))
        return outputs.pop().squeeze(-1), outputs, inputs

    def below_activation(self, errors: Tensor, outputs: Tensor) -> Tensor:
        """Errors of a layer's outputs from those of what the activation makes of them: times its slopes there."""
        product: Tensor = torch.ops.aten.leaky_relu_backward(errors, outputs, self.slope, False)
        return product

    def errors_above(self, error: Tensor, outputs: Sequence[Tensor]) -> list[Tensor]:
        """Errors of all layers' outputs, the first layer's first, from those of the values, ``(S, N, 1)``."""
        errors = [error]
        _, *above = self.layers
        for layer, its_input in zip(reversed(above), reversed(outputs), strict=True):
            errors.append(self.below_activation(layer.backward(errors[-1]), its_input))
        return errors[::-1]


def in_order(layers: Iterable[StackedLinear]) -> Sequence[StackedLinear]:
    """A module list that types as what it holds."""
    return cast(Sequence[StackedLinear], nn.ModuleList(layers))


def uniform(generators: Sequence[torch.Generator], bound: float, shape: tuple[int, ...]) -> Tensor:
    return torch.stack([torch.empty(shape).uniform_(-bound, bound, generator=generator) for generator in generators])
