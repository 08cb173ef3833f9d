"""A trial out of an MLflow that others can write to."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from study.errors import BadStudyInput
from study.tracking import fetch_trial
from study.tracking.entries import RECORD


@pytest.mark.parametrize("name", ["../../out", "/{tmp}/out", None])
@pytest.mark.parametrize("tag", ["study.name", "study.arm", "study.trial"])
def test_a_name_in_mlflow_cannot_leave_the_folder(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag: str, name: str | None
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    client = MlflowClient(f"sqlite:///{database}")
    experiment = client.create_experiment("small", (tmp_path / "artifacts").as_uri())
    forged = {} if name is None else {tag: name.format(tmp=tmp_path)}
    tags = {"study.name": "small", "study.arm": "gt", "study.trial": "t00"}
    tags.pop(tag)
    run = client.create_run(experiment, tags=tags | forged).info.run_id
    client.log_text(run, "{}", f"{RECORD}/plan.json")
    (tmp_path / "there").mkdir()
    with pytest.raises(BadStudyInput, match=f"run {run} .*(cannot be|none of a trial)"):
        fetch_trial(run, tmp_path / "studies", tmp_path / "there")
    assert not (tmp_path / "out").exists()
