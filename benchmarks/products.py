"""How fast the products of a critic's step can be: single ones, with weights that are not in the processor's cache.

A step goes through the critic's weights and Adam's two means of them again and again, some twenty megabytes, so that a
product finds its weights in no cache but the last. Its rate depends on how many rows use a weight once it is there.
"""

from collections.abc import Callable, Iterator

import torch

from benchmarks.step import CRITIC_SIZE, ROUNDS, LargeProduct, case_config
from benchmarks.timing import interleaved_medians

# Ten frames of a critic's first layer, as the step takes them at once.
BLOCK = 750
# Weights, their gradients and Adam's means: so many blocks lie between two uses of one.
BLOCKS = 12
# Of the interpolates alone, with real or generated windows, and all three: batches of 16.
ROWS = (16, 32, 48)


def measurements() -> Iterator[tuple[str, float]]:
    """Rates of products of so many rows as shares of the large-matrix rate: forwards, backwards, of the gradient."""
    assert case_config(256, 10).batch_size == min(ROWS)
    for rows in ROWS:
        seconds = interleaved_medians({"matrix": LargeProduct()} | _products(rows), ROUNDS)
        rate = LargeProduct.FLOP / seconds.pop("matrix")
        for name, taken in seconds.items():
            yield f"products.{name}.rows{rows}.of_large_matrix", 2 * rows * BLOCK * CRITIC_SIZE * BLOCKS / taken / rate


def _products(rows: int) -> dict[str, Callable[[], object]]:
    """Each product once with every block of weights."""
    weights = [torch.randn(BLOCK, CRITIC_SIZE) for _ in range(BLOCKS)]
    inputs, errors = torch.randn(rows, BLOCK), torch.randn(rows, CRITIC_SIZE)
    outputs, back = torch.zeros(rows, CRITIC_SIZE), torch.empty(BLOCK, rows)
    return {
        "forward": lambda: [outputs.addmm_(inputs, weight, beta=0.0) for weight in weights],
        "backward": lambda: [torch.mm(weight, errors.T, out=back) for weight in weights],
        "gradient": lambda: [torch.mm(inputs.T, errors, out=weight) for weight in weights],
    }
