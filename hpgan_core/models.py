"""Generator, critic and discriminator of a population: a network a member, weights stacked along the first axis.

``S`` members, ``B`` windows, ``D = 3 J`` numbers a pose, ``H`` hidden. Every operation is a batched matrix product over
``S``, so a population costs one kernel launch where separate networks cost ``S``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn


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
        return rows @ self.weight

    def backward(self, errors: Tensor) -> Tensor:
        """Errors of the outputs, ``(S, N, out)``, as errors of the inputs, ``(S, N, in)``."""
        return errors @ self.weight.transpose(1, 2)

    @torch.no_grad()
    def set_gradient(self, rows: Tensor, errors: Tensor) -> None:
        """Set the weight's gradient from inputs ``(S, N, in)`` and errors of the outputs ``(S, N, out)``.

        In place: a fresh buffer of a first layer's size costs a quarter of the product, in page faults.
        """
        if self.weight.grad is None:
            self.weight.grad = torch.empty_like(self.weight)
        torch.bmm(rows.transpose(1, 2), errors, out=self.weight.grad)


class FramewiseLinear(StackedLinear):
    """A linear map of each frame, the same for all: ``(S, N, frames in)`` to ``(S, N, frames out)``; no bias."""

    def __init__(self, generators: Sequence[torch.Generator], n_in: int, n_out: int, frames: int) -> None:
        super().__init__(generators, n_in, n_out, bias=False)
        self.frames = frames

    def product(self, rows: Tensor) -> Tensor:
        return self._joined(super().product(self._by_frame(rows)))

    def backward(self, errors: Tensor) -> Tensor:
        return self._joined(super().backward(self._by_frame(errors)))

    def set_gradient(self, rows: Tensor, errors: Tensor) -> None:
        super().set_gradient(self._by_frame(rows), self._by_frame(errors))

    def _by_frame(self, rows: Tensor) -> Tensor:
        return rows.reshape(rows.shape[0], rows.shape[1] * self.frames, -1)

    def _joined(self, frames: Tensor) -> Tensor:
        return frames.view(frames.shape[0], frames.shape[1] // self.frames, -1)


class StackedGRU(nn.Module):
    """``S`` stacks of gated recurrent units, torch.nn.GRU's equations."""

    def __init__(self, generators: Sequence[torch.Generator], n_in: int, hidden_size: int, layers: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        sizes = [n_in] + [hidden_size] * (layers - 1)
        gates = 3 * hidden_size
        self.inputs = in_order(StackedLinear(generators, size, gates, fan=hidden_size) for size in sizes)
        self.hidden = in_order(StackedLinear(generators, hidden_size, gates) for _ in sizes)

    def step(self, layer_input: Tensor, states: list[Tensor]) -> list[Tensor]:
        """One frame through every layer: input ``(S, B, in)`` and a state ``(S, B, H)`` a layer, to the new states."""
        new_states: list[Tensor] = []
        for to_gates, from_state, state in zip(self.inputs, self.hidden, states, strict=True):
            layer_input = gru_cell(to_gates(layer_input), from_state(state), state)
            new_states.append(layer_input)
        return new_states

    def scan(self, rows: Tensor) -> list[Tensor]:
        """All frames ``(S, B, T, in)`` from zero states, to the last state of every layer.

        Layer by layer, since the input's share of the gates is then one matrix product over all frames.
        """
        members, batch, frames, _ = rows.shape
        last_states = []
        for to_gates, from_state in zip(self.inputs, self.hidden, strict=True):
            gates = to_gates(rows.flatten(1, 2)).unflatten(1, (batch, frames)).unbind(2)
            state = rows.new_zeros(members, batch, self.hidden_size)
            outputs = []
            for frame_gates in gates:
                state = gru_cell(frame_gates, from_state(state), state)
                outputs.append(state)
            rows = torch.stack(outputs, dim=2)
            last_states.append(state)
        return last_states


def gru_cell(input_gates: Tensor, state_gates: Tensor, state: Tensor) -> Tensor:
    """One gated recurrent unit from the two linear maps' results, ``(S, B, 3 H)`` each, order reset, update, new."""
    hidden_size = state.shape[-1]
    reset_update = torch.sigmoid(input_gates[..., : 2 * hidden_size] + state_gates[..., : 2 * hidden_size])
    reset, update = reset_update.chunk(2, dim=-1)
    new = torch.tanh(torch.addcmul(input_gates[..., 2 * hidden_size :], reset, state_gates[..., 2 * hidden_size :]))
    return torch.lerp(new, state, update)


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
        layer_input = self.feed_back(states[-1])
        states = [state + from_z(z) for state, from_z in zip(states, self.from_z, strict=True)]
        outputs = []
        for _ in range(frames):
            states = self.cells.step(layer_input, states)
            outputs.append(states[-1])
            layer_input = self.feed_back(states[-1])
        poses: Tensor = self.head(torch.stack(outputs, dim=2).flatten(1, 2))
        return poses.view(*states[-1].shape[:2], frames, -1)


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
        layer_input = self.to_input(states[-1])
        states = [self.to_state(torch.cat([state, z], dim=-1)) for state in states]
        poses = []
        for _ in range(frames):
            states = self.cells.step(layer_input, states)
            layer_input = states[-1]
            poses.append(layer_input)
        return torch.stack(poses, dim=2)


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
        if self.embed is not None:
            past = self.embed(past.flatten(1, 2)).unflatten(1, past.shape[1:3])
        return self.encoder.scan(past)

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
        self.embed = FramewiseLinear(generators, sizes.pose, sizes.embedding, frames) if sizes.embedding else None
        widths = [frames * (sizes.embedding or sizes.pose)] + [sizes.hidden] * sizes.layers + [1]
        self.layers = in_order(StackedLinear(generators, *ends) for ends in pairwise(widths))

    def forward(self, motion: Tensor) -> Tensor:
        if self.embed is not None:
            motion = self.embed(motion)
        for layer in self.layers[:-1]:
            motion = nn.functional.leaky_relu(layer(motion), self.slope)
        values: Tensor = self.layers[-1](motion)
        return values.squeeze(-1)

    def slopes(self, pre_activation: Tensor) -> Tensor:
        """The derivative of the activation."""
        return torch.full_like(pre_activation, self.slope).masked_fill_(pre_activation > 0, 1.0)


def in_order(layers: Iterable[StackedLinear]) -> Sequence[StackedLinear]:
    """A module list that types as what it holds."""
    return cast(Sequence[StackedLinear], nn.ModuleList(layers))


def uniform(generators: Sequence[torch.Generator], bound: float, shape: tuple[int, ...]) -> Tensor:
    return torch.stack([torch.empty(shape).uniform_(-bound, bound, generator=generator) for generator in generators])
