"""Layers of gated recurrent units over many frames, with a backward pass of their own.

Autograd would compute and add up a gradient of every weight in every frame. Here each is one product over all frames.
A state's error reaches the gates through factors of each number by itself, so that these are made for all frames at
once, and going back through a frame is little more than a product with the weights.

Source:
    torch.nn.GRU's equations. From the linear maps ``i`` of the input and ``s`` of the state: ``reset, update =
    sigmoid(i + s)``, ``new = tanh(i + reset s)``, ``state = (1 - update) new + update state``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass
class Layer:
    """A layer's tensors and, frame by frame, what it has been through; ``S`` members, ``N`` rows, ``H`` units.

    Attributes:
        start: state before the first frame, ``(S, N, H)``.
        input_weight, input_bias: ``(S, in, 3 H)`` and ``(S, 1, 3 H)`` in the order reset, update, new; None where the
            gates' share of the input is given for every frame.
        state_weight, state_bias: ``(S, H, 3 H)`` and ``(S, 1, 3 H)``.
        states: before each frame and after the last, ``(S, N, H)`` each.
        inputs: of the frames whose gates are not given, ``(S, N, in)`` each.
        gates: reset and update together, new, and the state's share of new, before its reset.
    """

    start: Tensor
    input_weight: Tensor | None
    input_bias: Tensor | None
    state_weight: Tensor
    state_bias: Tensor
    states: list[Tensor] = field(default_factory=list)
    inputs: list[Tensor] = field(default_factory=list)
    gates: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.states.append(self.start)

    def input_gates(self, layer_input: Tensor) -> Tensor:
        assert self.input_weight is not None
        assert self.input_bias is not None
        self.inputs.append(layer_input)
        return torch.baddbmm(self.input_bias, layer_input, self.input_weight)

    def step(self, input_gates: Tensor) -> Tensor:
        """Go through a frame; returns the new state."""
        state, sizes = self.states[-1], [2 * self.start.shape[2], self.start.shape[2]]
        state_gates = torch.baddbmm(self.state_bias, state, self.state_weight)
        input_both, input_new = torch.split_with_sizes(input_gates, sizes, dim=2)
        state_both, state_new = torch.split_with_sizes(state_gates, sizes, dim=2)
        reset_update = torch.sigmoid(input_both + state_both)
        reset, update = torch.split_with_sizes(reset_update, sizes[1:] * 2, dim=2)
        new = torch.tanh(torch.addcmul(input_new, reset, state_new))
        self.states.append(torch.lerp(new, state, update))
        self.gates.append((reset_update, new, state_new))
        return self.states[-1]

    def factors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of each number of a state with respect to its own gates, for all frames.

        Returns:
            With respect to the input's share of the gates and to the state's, ``(S, T, N, 3, H)`` each, and to the
            state before, its share of the gates apart, ``(S, T, N, H)``.
        """
        reset_update, new, state_new = (torch.stack(parts, dim=1) for parts in zip(*self.gates, strict=True))
        reset, update = reset_update.chunk(2, dim=3)
        to_new = (1 - update) * (1 - new * new)
        to_reset = to_new * state_new * reset * (1 - reset)
        to_update = (torch.stack(self.states[:-1], dim=1) - new) * update * (1 - update)
        by_input = torch.stack([to_reset, to_update, to_new], dim=3)
        return by_input, torch.stack([to_reset, to_update, to_new * reset], dim=3), update


def recur(frames: int, given: Tensor, feed_back: Tensor | None, *layers: Sequence[Tensor | None]) -> Tensor:
    """Take layers of units through frames.

    Args:
        frames: T.
        given: the input's share of the first layer's gates in the first frames, ``(S, T_given, N, 3 H)``. In all others
            its input comes from the last layer's state of the frame before.
        feed_back: the linear map by which it does, ``(S, H, in)``; None where the state is the input.
        layers: of each, the first five attributes of ``Layer``.

    Returns:
        The last layer's states, ``(S, T, N, H)``.
    """
    tensors = [tensor for layer in layers for tensor in layer]
    states: Tensor = _Recurrence.apply(frames, torch.is_grad_enabled(), given, feed_back, *tensors)  # type: ignore[no-untyped-call]
    return states


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, frames: int, keep: bool, given: Tensor, feed_back: Tensor | None, *tensors: Any) -> Tensor:
        layers = [Layer(*tensors[first : first + 5]) for first in range(0, len(tensors), 5)]
        for frame in range(frames):
            if frame < given.shape[1]:
                state = layers[0].step(given[:, frame])
            else:
                state = layers[-1].states[-1] if feed_back is None else torch.bmm(layers[-1].states[-1], feed_back)
                state = layers[0].step(layers[0].input_gates(state))
            for layer in layers[1:]:
                state = layer.step(layer.input_gates(state))
            if not keep:  # nobody will ask for a gradient
                for layer in layers:
                    layer.inputs.clear()
                    layer.gates.clear()
        if keep:
            ctx.layers, ctx.given_frames, ctx.feed_back = layers, given.shape[1], feed_back
        return torch.stack(layers[-1].states[1:], dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, output_errors: Tensor) -> tuple[Any, ...]:
        layers: list[Layer] = ctx.layers
        given_frames, feed_back = ctx.given_frames, ctx.feed_back
        by_input, by_state, by_carry = zip(*(layer.factors() for layer in layers), strict=True)
        # Of each layer, frame by frame; every look at a tensor costs as much as a small product.
        to_input, to_state, to_carry = ([f.unbind(1) for f in factors] for factors in (by_input, by_state, by_carry))
        from_state = [layer.state_weight.transpose(1, 2) for layer in layers]
        from_input = [None if layer.input_weight is None else layer.input_weight.transpose(1, 2) for layer in layers]
        carried = [torch.zeros_like(layer.start) for layer in layers]
        fed_errors: list[Tensor] = []
        for frame, error in reversed(list(enumerate(output_errors.unbind(1)))):
            for number in reversed(range(len(layers))):
                error = error + carried[number]
                kept, each_gate = error * to_carry[number][frame], error.unsqueeze(2)
                # A state's error times the factors is that of its gates, which takes their place.
                input_gates = to_input[number][frame].mul_(each_gate).flatten(2)
                state_gates = to_state[number][frame].mul_(each_gate).flatten(2)
                carried[number] = torch.baddbmm(kept, state_gates, from_state[number])
                to_below = from_input[number]
                if to_below is not None and (number > 0 or frame >= given_frames):
                    error = torch.bmm(input_gates, to_below)
            if frame >= given_frames:
                fed_errors.append(error)
                fed_error = error if feed_back is None else torch.bmm(error, feed_back.transpose(1, 2))
                carried[-1] = carried[-1] + fed_error

        gradients: list[Tensor | None] = []
        for number, layer in enumerate(layers):
            input_gates, state_gates = by_input[number].flatten(3), by_state[number].flatten(3)
            if number == 0:
                given_error, input_gates = torch.split(input_gates, [given_frames, len(layer.inputs)], dim=1)
            gradients += [carried[number], *linear_gradients(layer.inputs, input_gates)]
            gradients += linear_gradients(layer.states[:-1], state_gates)
        fed_gradient = None
        if feed_back is not None and fed_errors:
            fed = torch.stack(fed_errors[::-1], dim=1)
            fed_gradient, _ = linear_gradients(layers[-1].states[given_frames:-1], fed)
        return None, None, given_error, fed_gradient, *gradients


def linear_gradients(inputs: list[Tensor], errors: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of a weight and a bias from inputs ``(S, N, in)`` of T frames and errors ``(S, T, N, out)``."""
    if not inputs:
        return None, None
    rows, errors = torch.cat(inputs, dim=1), errors.flatten(1, 2)
    return torch.bmm(rows.transpose(1, 2), errors), errors.sum(1, keepdim=True)
