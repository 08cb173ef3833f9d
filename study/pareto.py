"""What is best when several numbers count: the points that no other beats."""

from collections.abc import Sequence

import numpy as np


def pareto_front(points: Sequence[Sequence[float]], minimize: Sequence[bool]) -> list[int]:
    """Indices of the points that no other point dominates, in their order.

    A point dominates another if it is nowhere worse and somewhere better; equal points are all on the front.

    Args:
        points: finite values, ``(points, goals)``.
        minimize: for each goal, whether less of it is better.
    """
    values = np.asarray(points, dtype=float).reshape(len(points), len(minimize)) * np.where(minimize, 1.0, -1.0)
    # In lexicographic order, in which what comes later dominates nothing that came before.
    remaining, front = np.lexsort(values.T[::-1]), list[int]()
    while len(remaining):
        first = values[remaining[0]]
        is_equal = (values[remaining] == first).all(axis=1)
        front.extend(remaining[is_equal].tolist())
        remaining = remaining[(values[remaining] < first).any(axis=1)]
    return sorted(front)
