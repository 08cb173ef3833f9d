"""How weights start where they do not start as torch's do.

Networks are made with torch's defaults, each member from its own generator; what is here changes or redraws them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hpgan_core.models import Critic, FramewiseLinear, Generator, HpganDecoder, StackedGRU, StackedLinear, uniform

# How far below torch's spread a small head starts: the first predictions are the mean pose or, residual, the last one.
SMALL_HEAD = 0.01
# Standard deviations of the original's linear maps, truncated at twice that: the generator's, and of a critic's frames.
LINEAR_DEVIATION, FRAME_DEVIATION = 0.001, 1.0


@torch.no_grad()
def initialise(network: Generator | Critic, kind: str, generators: Sequence[torch.Generator]) -> None:
    """Change a network's weights from torch's defaults to those of ``TrainingConfig.initialisation``."""
    if kind == "small_head" and isinstance(network, Generator) and isinstance(network.decoder, HpganDecoder):
        for weight in network.decoder.head.parameters():
            weight.mul_(SMALL_HEAD)
    if kind == "original":
        _initialise_as_original(network, generators)


def _initialise_as_original(network: Generator | Critic, generators: Sequence[torch.Generator]) -> None:
    """Redraw all weights as the original code does.

    Its GRU biases the gates by 1; torch's convention for the update gate is TensorFlow's.
    """
    for part in network.modules():
        if isinstance(part, StackedLinear):
            if part.bias is not None:
                part.bias.zero_()
            if isinstance(part, FramewiseLinear):
                part.weight.copy_(_truncated_normal(generators, FRAME_DEVIATION, part.weight))
            elif isinstance(network, Generator):
                part.weight.copy_(_truncated_normal(generators, LINEAR_DEVIATION, part.weight))
            else:
                _draw_by_glorot(part.weight, generators, part.weight.shape[1])
    for part in network.modules():
        if isinstance(part, StackedGRU):
            _initialise_units(part, generators)


def _initialise_units(units: StackedGRU, generators: Sequence[torch.Generator]) -> None:
    gates = 2 * units.hidden_size
    for to_gates, from_state in zip(units.inputs, units.hidden, strict=True):
        n_in = to_gates.weight.shape[1] + units.hidden_size  # TensorFlow's kernels map input and state together
        for layer in (to_gates, from_state):
            _draw_by_glorot(layer.weight[..., :gates], generators, n_in)
            _draw_by_glorot(layer.weight[..., gates:], generators, n_in)
        if to_gates.bias is not None:
            to_gates.bias[..., :gates] = 1.0


def _draw_by_glorot(weight: Tensor, generators: Sequence[torch.Generator], n_in: int) -> None:
    weight.copy_(uniform(generators, (6 / (n_in + weight.shape[2])) ** 0.5, tuple(weight.shape[1:])))


def _truncated_normal(generators: Sequence[torch.Generator], deviation: float, like: Tensor) -> Tensor:
    shape, most = like.shape[1:], 2 * deviation
    return torch.stack(
        [nn.init.trunc_normal_(torch.empty(shape), 0.0, deviation, -most, most, generator) for generator in generators]
    )
