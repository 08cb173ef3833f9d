"""Real MLflow: databases, a server process that comes and goes, and all that a study is there."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from study.record import Record, Request, Trial
from study.tracking import Tracker
from tests.processes import Server

STARTED_AT = 1_700_000_000.0

MakeRecord = Callable[..., Record]
StartTrial = Callable[..., Trial]
Train = Callable[..., None]
Drive = Callable[..., None]
EndStudy = Callable[..., Record]
Dump = Callable[[Tracker], dict[str, Any]]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables and nothing in them: making them takes seconds, copying does not."""
    from study.tracking.tracker import create_database

    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    create_database(file, file.with_name("artifacts"))
    return file


@pytest.fixture
def database(empty_database: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(empty_database, tmp_path / "tracking.db"))


@pytest.fixture(scope="session")
def start_trial() -> StartTrial:
    """Enter a search trial in a record, as the driver does."""

    def start(record: Record, number: int, arm: str = "gt") -> Trial:
        settings = {"losses": [arm] if arm != "none" else [], "gt_weight": 0.5, "epochs": 1000}
        request = Request(arm, f"t{number:02d}", "search", number, {"gt_weight": 0.5}, settings, [0, 1], STARTED_AT)
        return record.start(request)

    return start


@pytest.fixture(scope="session")
def train() -> Train:
    """Record so many more epochs, all different, at known times."""

    def run(trial: Trial, epochs: int, metrics: int = 4) -> None:
        first = trial.last_epoch() + 1
        for epoch in range(first, first + epochs):
            mean = {f"val/metric{index}": epoch + index / 8 for index in range(metrics)}
            trial.append_epoch(
                {"epoch": epoch, "members": {}, "mean": mean | {"val/score": 1 / epoch}, "spread": {"val/score": 0.25}}
                | {"diverged": 0, "seconds": 0.1, "time": STARTED_AT + epoch + trial.request.number / 4}
            )

    return run


@pytest.fixture(scope="session")
def end_study(make_record: MakeRecord, drive: Drive) -> EndStudy:
    """The record of a study that has been driven to its end, and that nobody has published."""

    def end(studies: Path, **sections: Any) -> Record:
        record = make_record(studies, **sections)
        with record.driving():
            drive(record)
        return record

    return end


@pytest.fixture(scope="session")
def dump() -> Dump:
    """Everything MLflow keeps of the study's runs, but for the names that it gives them itself."""

    def content(tracker: Tracker) -> dict[str, Any]:
        client, found = tracker.client, {}
        runs = client.search_runs([tracker.experiment_id], f"tags.`study.id` = '{tracker.record.plan['id']}'")
        for run in runs:
            key, info = run.data.tags["study.key"], run.info
            assert key not in found, f"two runs of {key}"
            histories = {name: client.get_metric_history(info.run_id, name) for name in run.data.metrics}
            points = {
                name: sorted((point.step, point.timestamp, repr(point.value)) for point in history)
                for name, history in histories.items()
            }
            datasets = [(input_.dataset.name, input_.dataset.digest) for input_ in run.inputs.dataset_inputs]
            found[key] = {
                "run": (info.run_name, info.status, info.start_time, info.end_time),
                "tags": run.data.tags,
                "params": run.data.params,
                "points": points,
                "datasets": datasets,
                "files": _files(tracker, info.run_id),
            }
        return found

    return content


def _files(tracker: Tracker, run_id: str) -> dict[str, str]:
    if not tracker.client.list_artifacts(run_id):
        return {}
    folder = Path(tracker.client.download_artifacts(run_id, ""))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def server(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Not started yet."""
    folder = tmp_path_factory.mktemp("server")
    made = Server(folder)
    shutil.copy(empty_database, made.database)
    yield made
    made.kill()
