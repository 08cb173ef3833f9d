"""The stack that the tests of this folder share, one after the other; ``make test-cluster`` runs them."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.cluster.engine import Engine, reason_to_skip
from tests.cluster.stack import Stack


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    if reason := reason_to_skip():
        pytest.skip(f"no containers: {reason}")
    # A short path: sockets lie in it.
    folder = Path(mkdtemp(prefix="hpgan-cluster-"))
    engine = Engine(folder)
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """Built, not yet started."""
    engine.make_base_images()
    stack = Stack(engine, tmp_path_factory.mktemp("repository"))
    image = stack.config("study")["services"]["study"]["image"]
    engine.docker("build", "--quiet", "--tag", image, str(stack.folder))
    return stack
