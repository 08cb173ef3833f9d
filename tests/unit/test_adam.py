"""Adam in parts against torch's own."""

import pytest
import torch
from torch import Tensor

from hpgan_core.adam import Adam
from hpgan_core.models import StackedLinear
from hpgan_core.streams import streams

MEMBERS, N_IN, N_OUT = 3, 7, 4


def build_layer() -> StackedLinear:
    return StackedLinear(streams(range(MEMBERS), "critic"), N_IN, N_OUT).double()


def gradients(updates: int) -> list[tuple[Tensor, Tensor]]:
    """Of the weight and of the bias."""
    random = torch.Generator().manual_seed(0)
    weights = torch.randn(updates, MEMBERS, N_IN, N_OUT, generator=random, dtype=torch.float64)
    biases = torch.randn(updates, MEMBERS, 1, N_OUT, generator=random, dtype=torch.float64)
    return list(zip(weights, biases, strict=True))


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("cuts", [(N_IN,), (3, 4), (1, 5, 1)])
def test_updates_in_parts_are_those_of_torchs_adam(weight_decay: float, cuts: tuple[int, ...]) -> None:
    ours, theirs = build_layer(), build_layer()
    adam = Adam(ours, 0.1, (0.5, 0.9), weight_decay)
    groups = [{"params": [theirs.weight], "weight_decay": weight_decay}, {"params": [theirs.bias]}]
    reference = torch.optim.Adam(groups, lr=0.1, betas=(0.5, 0.9))
    for weight_gradient, bias_gradient in gradients(4):
        adam.begin()
        adam.update(adam.part(["bias"]), [bias_gradient])
        first = 0
        for size in cuts:
            rows = slice(first, first := first + size)
            adam.update(adam.part(["weight"], rows), [weight_gradient[:, rows]])
        theirs.weight.grad, theirs.bias.grad = weight_gradient, bias_gradient
        reference.step()
    for weight, expected in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(weight, expected, rtol=1e-12, atol=1e-12)


def test_a_loaded_state_goes_on_bit_for_bit() -> None:
    networks = [build_layer() for _ in range(2)]
    first, second = (Adam(network, 0.1, (0.5, 0.9)) for network in networks)
    *before, last = gradients(3)
    for both in before:
        first.begin()
        first.update(first.part(["weight", "bias"]), both)
    networks[1].load_state_dict(networks[0].state_dict())
    second.load_state_dict(first.state_dict())
    for adam in (first, second):
        adam.begin()
        adam.update(adam.part(["weight", "bias"]), last)
    for weight, expected in zip(*(network.parameters() for network in networks), strict=True):
        assert torch.equal(weight, expected)
    assert first.updates.tolist() == second.updates.tolist() == [3] * MEMBERS


def test_what_decays_is_not_updated_with_what_does_not() -> None:
    with pytest.raises(AssertionError):
        Adam(build_layer(), 0.1, (0.5, 0.9), weight_decay=0.1).part(["weight", "bias"])
