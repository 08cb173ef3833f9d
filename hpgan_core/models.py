"""Generator, critic and discriminator of a population: a network a member, weights stacked along the first axis.

``S`` members, ``B`` windows, ``D = 3 J`` numbers a pose, ``H`` hidden. Every operation is a batched matrix product over
``S``, so a population costs one kernel launch where separate networks cost ``S``.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

LEAK = 0.01
# The head starts near zero, as the original's does (sigma 0.001): the first predictions are the mean pose or, residual,
# the last one.
HEAD_SPREAD = 0.01


class StackedLinear(nn.Module):
    """``S`` linear layers side by side: ``(S, N, in)`` to ``(S, N, out)``.

    Weights and biases start uniform in +-``spread``/sqrt(in), as torch.nn.Linear's do; each member draws from its own
    generator.
    """

    def __init__(
        self, generators: Sequence[torch.Generator], n_in: int, n_out: int, bias: bool = True, spread: float = 1.0
    ) -> None:
        super().__init__()
        bound = spread * n_in**-0.5
        self.weight = nn.Parameter(uniform(generators, bound, (n_in, n_out)))
        self.bias = nn.Parameter(uniform(generators, bound, (1, n_out))) if bias else None

    def forward(self, rows: Tensor) -> Tensor:
        return rows @ self.weight if self.bias is None else torch.baddbmm(self.bias, rows, self.weight)


class StackedGRU(nn.Module):
    """``S`` stacks of gated recurrent units, torch.nn.GRU's equations."""

    def __init__(self, generators: Sequence[torch.Generator], n_in: int, hidden_size: int, layers: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        sizes = [n_in] + [hidden_size] * (layers - 1)
        self.inputs = nn.ModuleList(StackedLinear(generators, size, 3 * hidden_size) for size in sizes)
        self.hidden = nn.ModuleList(StackedLinear(generators, hidden_size, 3 * hidden_size) for _ in sizes)

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


class Generator(nn.Module):
    """Past poses and a random vector to future poses, all normalised.

    The original code's network: a linear map of each observed pose into a GRU; a second GRU starts from the first one's
    states plus a linear map of z for each layer, is fed its own output through one linear map, and a linear head reads
    the poses. With ``residual`` the head's output is the change from one frame to the next, which removes the jump at
    the first predicted frame.

    Source:
        Barsoum et al. 2018 and its code; torch's GRU applies the reset gate after the matrix product, TensorFlow's
        before.
    """

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        pose_size: int,
        hidden_size: int,
        layers: int,
        z_size: int,
        residual: bool,
    ) -> None:
        super().__init__()
        self.residual = residual
        self.embed = StackedLinear(generators, pose_size, hidden_size)
        self.encoder = StackedGRU(generators, hidden_size, hidden_size, layers)
        self.from_z = nn.ModuleList(StackedLinear(generators, z_size, hidden_size, bias=False) for _ in range(layers))
        self.feed_back = StackedLinear(generators, hidden_size, hidden_size, bias=False)
        self.decoder = StackedGRU(generators, hidden_size, hidden_size, layers)
        self.head = StackedLinear(generators, hidden_size, pose_size, spread=HEAD_SPREAD)

    def encode(self, past: Tensor) -> list[Tensor]:
        """``(S, B, T_past, D)`` to a state ``(S, B, H)`` for each layer."""
        return self.encoder.scan(self.embed(past.flatten(1, 2)).unflatten(1, past.shape[1:3]))

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
        layer_input = self.feed_back(states[-1])
        states = [state + from_z(z.flatten(1, 2)) for state, from_z in zip(states, self.from_z, strict=True)]
        outputs = []
        for _ in range(frames):
            states = self.decoder.step(layer_input, states)
            outputs.append(states[-1])
            layer_input = self.feed_back(states[-1])
        poses: Tensor = self.head(torch.stack(outputs, dim=2).flatten(1, 2)).unflatten(1, (batch, futures, frames))
        return past[:, :, None, -1:] + poses.cumsum(3) if self.residual else poses


class Critic(nn.Module):
    """A fully connected network that gives one number to a whole motion, ``(S, N, in)`` to ``(S, N)``.

    Leaky ReLU makes it piecewise linear. Its gradient with respect to the input is therefore a product of its weights
    and of the activations' slopes, and the slopes are constants almost everywhere: the gradient penalty and the
    penalty's own gradient need no double backward pass.
    """

    def __init__(self, generators: Sequence[torch.Generator], n_in: int, hidden_size: int, layers: int) -> None:
        super().__init__()
        sizes = [n_in] + [hidden_size] * layers + [1]
        layers_in_order = nn.ModuleList(StackedLinear(generators, *ends) for ends in pairwise(sizes))
        self.layers = cast(Sequence[StackedLinear], layers_in_order)

    def forward(self, motion: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            motion = nn.functional.leaky_relu(layer(motion), LEAK)
        values: Tensor = self.layers[-1](motion)
        return values.squeeze(-1)


def slopes(pre_activation: Tensor) -> Tensor:
    """The derivative of leaky ReLU."""
    return torch.full_like(pre_activation, LEAK).masked_fill_(pre_activation > 0, 1.0)


def uniform(generators: Sequence[torch.Generator], bound: float, shape: tuple[int, ...]) -> Tensor:
    return torch.stack([torch.empty(shape).uniform_(-bound, bound, generator=generator) for generator in generators])
