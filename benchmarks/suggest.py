"""What the next configuration of an arm costs after 10, 100, 1,000 and 5,000 trials.

``stock`` is Ray Tune's ``OptunaSearch`` with Optuna's storage in SQLite, as one finds it in their documentation.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import create_trial
from ray.tune.search.optuna import OptunaSearch

from study.search import ArmSearch, open_storage
from study.search.distributions import shown_distribution
from study.search.samplers import generator_of
from study.space import Space, active_parameters
from study.study_file import StudyFile

SIZES = (10, 100, 1000, 5000)
# The first suggestion after opening is not counted: it reads what the others have at hand.
SUGGESTIONS = 7
ARM = "paper"
STUDY_FILE = StudyFile.model_validate(
    {
        "name": "suggest",
        "arms": {ARM: ["consistency", "bone"]},
        "parameters": {
            "critic_iterations": {"type": "int", "min": 1, "max": 10, "default": 10},
            "hidden_size": {"type": "categorical", "values": [64, 128, 256], "default": 128},
            "z_distribution": {"type": "categorical", "values": ["uniform", "normal"], "default": "normal"},
            **{
                name: {"type": "float", "min": 1e-4, "max": 1.0, "log": True, "default": 1e-2}
                for name in ("lambda_gp", "consistency_weight", "bone_weight", "critic_learning_rate")
            },
            "generator_learning_rate": {"type": "float", "min": 1e-5, "max": 1e-2, "log": True, "default": 1e-3},
        },
        "search": {"pruner": {"name": "none"}},
    }
)
DISTRIBUTIONS = {name: shown_distribution(p) for name, p in active_parameters(STUDY_FILE, ARM).items()}


def measurements() -> Iterator[tuple[str, float]]:
    """Median milliseconds from the question to the values."""
    with TemporaryDirectory() as folder:
        filled = Path(folder) / "filled.db"
        for earlier, size in zip((0, *SIZES), SIZES, strict=False):
            _fill(filled, earlier, size)
            for key, build in {f"suggest_ms.{size}": _ours, f"suggest_ms.{size}.stock": _stock}.items():
                database = Path(folder) / f"{key}.db"
                shutil.copy(filled, database)
                yield key, 1000 * _median_seconds(build(database))


def _median_seconds(suggest: Callable[[], object]) -> float:
    seconds = []
    for _ in range(1 + SUGGESTIONS):
        started = time.perf_counter()
        suggest()
        seconds.append(time.perf_counter() - started)
    return median(seconds[1:])


def _ours(database: Path) -> Callable[[], object]:
    search = ArmSearch(open_storage(database), STUDY_FILE, ARM, active_parameters(STUDY_FILE, ARM), 0)
    return search.ask


def _stock(database: Path) -> Callable[[], object]:
    search = OptunaSearch(
        DISTRIBUTIONS,
        study_name=f"{STUDY_FILE.name}/{ARM}",
        storage=RDBStorage(f"sqlite:///{database}"),
        metric="score",
        mode="min",
    )
    names = iter(range(10**9))
    return lambda: search.suggest(str(next(names)))


def _fill(database: Path, earlier: int, size: int) -> None:
    """Finished trials with random values and results, written without waiting for the disk."""
    storage = RDBStorage(f"sqlite:///{database}", engine_kwargs={"connect_args": {"isolation_level": None}})
    name = f"{STUDY_FILE.name}/{ARM}"
    study = (
        storage.get_study_id_from_name(name) if earlier else storage.create_new_study([StudyDirection.MINIMIZE], name)
    )
    space, generator = Space.of(STUDY_FILE, ARM), generator_of(0, earlier)
    for _ in range(earlier, size):
        params: dict[str, Any] = space.at(generator.random(len(space.parameters)))
        trial = create_trial(params=params, distributions=DISTRIBUTIONS, value=float(generator.random()))
        storage.create_new_trial(study, trial)
    storage.engine.dispose()
