"""A trial out of an MLflow that others can write to."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from mlflow import MlflowClient

from study.errors import BadStudyInput
from study.reading import read_study_file
from study.record import Request
from study.tracking import fetch_trial
from study.tracking.entries import RECORD
from tests.documents import ROOT

TAGS = {"study.name": "Small_1.0", "study.arm": "gt", "study.trial": "shortlist-t00"}


def run_of(database: Path, tags: dict[str, str], artifacts: Path) -> str:
    client = MlflowClient(f"sqlite:///{database}")
    experiment = client.create_experiment("small", artifacts.as_uri())
    run: str = client.create_run(experiment, tags=tags).info.run_id
    request = Request("gt", "shortlist-t00", "shortlist", 0, {}, {"epochs": 4}, [0], 0.0)
    file = read_study_file(ROOT / "search_spaces" / "quick.yaml").canonical()
    plan = {"id": "1", "file": file, "data_digest": "2", "environment": {}, "created_at": 0.0}
    for name, content in {"plan.json": plan, "trial.json": asdict(request)}.items():
        client.log_text(run, json.dumps(content), f"{RECORD}/{name}")
    return run


def test_the_names_that_there_are_become_folders(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    (tmp_path / "there").mkdir()
    run = run_of(database, TAGS, tmp_path / "artifacts")
    record, trial = fetch_trial(run, tmp_path / "studies", tmp_path / "there")
    assert record.paths.folder == tmp_path / "there" / "Small_1.0"
    assert trial.paths.folder == tmp_path / "there" / "Small_1.0" / "trials" / "gt" / "shortlist-t00"


@pytest.mark.parametrize("name", ["../../out", "/{tmp}/out", None])
@pytest.mark.parametrize("tag", ["study.name", "study.arm", "study.trial"])
def test_a_name_in_mlflow_cannot_leave_the_folder(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag: str, name: str | None
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    tags = TAGS | ({} if name is None else {tag: name.format(tmp=tmp_path)})
    if name is None:
        del tags[tag]
    run = run_of(database, tags, tmp_path / "artifacts")
    (tmp_path / "there").mkdir()
    with pytest.raises(BadStudyInput, match=f"run {run} .*(cannot be|none of a trial)"):
        fetch_trial(run, tmp_path / "studies", tmp_path / "there")
    assert not (tmp_path / "out").exists()
