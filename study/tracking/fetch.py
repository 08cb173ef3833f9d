"""A trial out of MLflow alone: its run's files hold what the record held of it."""

import shutil
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from pydantic import TypeAdapter, ValidationError

from study.errors import BadStudyInput, StudyError
from study.paths import StudyPaths
from study.record import Record, Trial
from study.sections import ArmName, Name, Tracking
from study.tracking import address
from study.tracking.entries import RECORD

# What the names in its tags become: folders, and whoever reaches MLflow may have written them.
NAMES: dict[str, TypeAdapter[str]] = {
    "study.name": TypeAdapter(Name),
    "study.arm": TypeAdapter(ArmName),
    "study.trial": TypeAdapter(Name),
}


def fetch_trial(run_id: str, studies: Path, folder: Path) -> tuple[Record, Trial]:
    """Rebuild in ``folder`` the record of one trial.

    Args:
        run_id: of the trial's run, in MLflow at ``MLFLOW_TRACKING_URI`` or beside the studies.
        studies: folder of all studies.
        folder: an empty one.

    Raises:
        BadStudyInput: there is no such run, or it is not that of a trial that has ended.
        StudyError: MLflow does not answer.
    """
    there = address.find(StudyPaths(studies, "any"), Tracking())
    if (file := there.sqlite_file) is not None and not file.exists():
        raise BadStudyInput(f"there is no MLflow database at {file}; set MLFLOW_TRACKING_URI")
    client = MlflowClient(there.uri)
    try:
        tags = client.get_run(run_id).data.tags
        kept = [file.path for file in client.list_artifacts(run_id, RECORD)]
        if "study.trial" not in tags or not kept:
            raise BadStudyInput(f"run {run_id} at {there.shown} is none of a trial that has ended")
        study, arm, name = (kind.validate_python(tags.get(tag)) for tag, kind in NAMES.items())
        files = Path(client.download_artifacts(run_id, RECORD, str(folder)))
    except ValidationError as error:
        raise BadStudyInput(f"run {run_id} at {there.shown} is of a study, arm or trial that cannot be") from error
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise BadStudyInput(f"no run {run_id} at {there.shown}: {error.message}") from error
        raise StudyError(f"cannot read run {run_id} at {there.shown}: {error.message}") from error
    paths = StudyPaths(folder, study)
    trial = paths.trial(arm, name)
    trial.folder.parent.mkdir(parents=True)
    shutil.move(files, trial.folder)
    (trial.folder / paths.plan.name).rename(paths.plan)
    record = Record.open(folder, paths.name)
    return record, record.find(f"{arm}/{name}")
