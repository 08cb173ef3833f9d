"""Whether the three ledgers of a study agree: record, Optuna, MLflow."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from mlflow import MlflowClient
from mlflow.entities import Run

STATES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}


def check_ledgers(study: Path, tracking_uri: str, optuna_url: str | None = None) -> None:
    """Assert of a study that has ended that nothing is lost, doubled, or left running.

    Record, Optuna and MLflow have the same trials with the same values, states and epochs, each epoch once; the record
    has an outcome for every trial; no attempt, no trial and no run is open.

    Args:
        study: its folder.
        tracking_uri: MLflow.
        optuna_url: where Optuna's tables are; default: SQLite in the folder.

    Raises:
        AssertionError: names the trial and what differs.
    """
    record = _recorded(study)
    assert record, "the record has no trial"
    for key, trial in record.items():
        assert trial["outcome"] is not None, f"{key} has no outcome"
        epochs = [epoch["epoch"] for epoch in trial["epochs"]]
        assert epochs == list(range(1, trial["outcome"]["epochs"] + 1)), f"{key} has the epochs {epochs}"
    storage = optuna.storages.RDBStorage(optuna_url or f"sqlite:///{study / 'optuna.db'}")
    try:
        _check_optuna(study, record, storage)
    finally:
        # An open file would keep its disk busy.
        storage.remove_session()
        storage.engine.dispose()
    _check_mlflow(study, record, MlflowClient(tracking_uri))


def curves(study: Path) -> dict[str, Any]:
    """What every trial of every phase trained, on which seeds, and every number that it gave."""
    found = {}
    for file in sorted(study.glob("trials/*/*/epochs.jsonl")):
        request = json.loads((file.parent / "trial.json").read_text())
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        numbers = [(line["epoch"], line["members"]) for line in lines]
        trained = (request["number"], request["parameters"])
        found[f"{request['arm']}/{request['trial']}"] = (trained, request["seeds"], numbers)
    return found


def _recorded(study: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for file in sorted(study.glob("trials/*/*/trial.json")):
        outcome, epochs = file.parent / "outcome.json", file.parent / "epochs.jsonl"
        request = json.loads(file.read_text())
        found[f"{request['arm']}/{request['trial']}"] = {
            "request": request,
            "outcome": json.loads(outcome.read_text()) if outcome.exists() else None,
            "epochs": [json.loads(line) for line in epochs.read_text().splitlines()] if epochs.exists() else [],
        }
    return found


def _check_optuna(study: Path, record: dict[str, dict[str, Any]], storage: optuna.storages.RDBStorage) -> None:
    plan = json.loads((study / "plan.json").read_text())
    metric, multiple = plan["file"]["objective"]["metric"], bool(plan["file"].get("objectives"))
    numbers = {arm: list[int]() for arm in plan["file"]["arms"]}
    for trial in record.values():
        if trial["request"]["phase"] == "search":
            numbers[trial["request"]["arm"]].append(trial["request"]["number"])
    # A server has the arms of many studies.
    study_name, known = plan["file"]["name"], set(optuna.get_all_study_names(storage))
    shared = f"{study_name}.{plan['id'][:8]}"
    for arm in plan["file"]["arms"]:
        (name,) = {f"{study_name}/{arm}", f"{shared}/{arm}"} & known
        trials = optuna.load_study(study_name=name, storage=storage).trials
        assert [trial.number for trial in trials] == sorted(numbers[arm]), f"Optuna has other trials of {arm}"
        for there in trials:
            key = f"{arm}/t{there.number:02d}"
            ours = record[key]
            outcome, told = ours["outcome"], {epoch["epoch"]: epoch for epoch in ours["epochs"]}
            assert there.state.name == STATES[outcome["state"]], f"{key} is {there.state.name} in Optuna"
            assert there.params == ours["request"]["parameters"], f"{key} has other parameters in Optuna"
            if not multiple:
                values = {number: epoch["mean"][metric] for number, epoch in told.items() if not epoch["diverged"]}
                assert there.intermediate_values == values, f"{key} has other epochs in Optuna"
                if outcome["state"] != "failed":
                    assert there.value == outcome["objective"], f"{key} has another value in Optuna"


def _check_mlflow(study: Path, record: dict[str, dict[str, Any]], client: MlflowClient) -> None:
    plan = json.loads((study / "plan.json").read_text())
    name = plan["file"]["tracking"]["experiment"] or plan["file"]["name"]
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None, f"MLflow has no experiment {name!r}"
    runs = [run for run in _runs(client, experiment.experiment_id) if run.data.tags.get("study.id") == plan["id"]]
    unended = sorted(run.info.run_name for run in runs if run.info.status not in ("FINISHED", "FAILED"))
    assert not unended, f"MLflow has open runs: {unended}"
    trials = [run for run in runs if run.data.tags["study.kind"] in ("trial", "arm")]
    assert sorted(run.data.tags["study.key"] for run in trials) == sorted(record), "MLflow has other trials"
    metric = plan["file"]["objective"]["metric"]
    for run in trials:
        key = run.data.tags["study.key"]
        outcome = record[key]["outcome"]
        assert run.info.status == STATUS[outcome["state"]], f"{key} is {run.info.status} in MLflow"
        points = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, metric)]
        told = [(epoch["epoch"], epoch["mean"][metric]) for epoch in record[key]["epochs"] if metric in epoch["mean"]]
        assert sorted(points) == told, f"{key} has other epochs in MLflow"


def _runs(client: MlflowClient, experiment_id: str) -> Iterator[Run]:
    page = client.search_runs([experiment_id], max_results=1000)
    while True:
        yield from page
        if not page.token:
            return
        page = client.search_runs([experiment_id], max_results=1000, page_token=page.token)
