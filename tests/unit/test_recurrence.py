"""The backward pass of recurrent layers against finite differences; the forward pass is compared in test_models.py."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from hpgan_core.recurrence import recur

MEMBERS, ROWS, HIDDEN = 2, 3, 2
GATES = 3 * HIDDEN


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed + len(shape))
    return torch.randn(MEMBERS, *shape, generator=generator, dtype=torch.float64).requires_grad_()


def layer(n_in: int | None, seed: int) -> list[Tensor | None]:
    """A start, the weights and biases of the input (None where its gates are given) and of the state."""
    inputs = [None, None] if n_in is None else [random(n_in, GATES, seed=seed), random(1, GATES, seed=seed)]
    return [
        random(ROWS, HIDDEN, seed=seed),
        *inputs,
        random(HIDDEN, GATES, seed=seed + 1),
        random(1, GATES, seed=seed + 2),
    ]


def assert_gradients(
    frames: int, given: Tensor, feed_back: Tensor | None, layers: Sequence[list[Tensor | None]]
) -> None:
    def states(*tensors: Tensor | None) -> Tensor:
        head, *rest = tensors
        return recur(frames, head, rest[0], *(rest[first : first + 5] for first in range(1, len(rest), 5)))

    flat = [tensor for its_layer in layers for tensor in its_layer]
    assert torch.autograd.gradcheck(states, (given, feed_back, *flat))


@pytest.mark.parametrize("frames", [1, 4])
def test_gradients_where_every_frame_is_given(frames: int) -> None:
    assert_gradients(frames, random(frames, ROWS, GATES), None, [layer(None, 10)])


@pytest.mark.parametrize("frames", [2, 4])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("width", [None, 3])
def test_gradients_where_a_frame_follows_from_the_one_before(frames: int, layers: int, width: int | None) -> None:
    feed_back = None if width is None else random(HIDDEN, width, seed=5)
    stack = [layer((width or HIDDEN) if number == 0 else HIDDEN, 10 * number) for number in range(layers)]
    assert_gradients(frames, random(1, ROWS, GATES), feed_back, stack)


def test_a_single_frame_feeds_nothing_back() -> None:
    given, feed_back, its_layer = random(1, ROWS, GATES), random(HIDDEN, 3), layer(3, 10)
    recur(1, given, feed_back, its_layer).sum().backward()
    assert given.grad is not None
    assert feed_back.grad is None


def test_without_gradients_the_states_are_the_same() -> None:
    arguments = 4, random(1, ROWS, GATES), None, layer(HIDDEN, 10), layer(HIDDEN, 20)
    with torch.no_grad():
        states = recur(*arguments)
    assert torch.equal(states, recur(*arguments))
