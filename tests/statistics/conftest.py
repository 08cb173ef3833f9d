"""What the checks of the statistics share."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def little_garbage() -> Iterator[None]:
    """statsmodels collects garbage with each correction; of what has been imported there is much to look at."""
    gc.freeze()
    yield
    gc.unfreeze()
