"""Jobs in folders of their own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpgan_core.config import TrainingConfig
from study.job import Job

MakeJob = Callable[..., Job]


@pytest.fixture
def make_job(tmp_path: Path, tiny: TrainingConfig) -> MakeJob:
    def make(key: str, **settings: Any) -> Job:
        folder = tmp_path / key
        folder.mkdir()
        return Job(key, tiny.to_mapping() | settings, (0, 1), str(folder), test=False)

    return make
