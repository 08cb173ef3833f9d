"""Whether MLflow would answer, without making anything there."""

from mlflow import MlflowClient

from study.errors import StudyError
from study.paths import StudyPaths
from study.sections import Tracking
from study.tracking import address
from study.tracking.causes import first_cause, reason


def reach(paths: StudyPaths, tracking: Tracking) -> str:
    """Ask MLflow for its newest experiment; returns where it is, without secrets.

    Raises:
        BadStudyInput: no MLflow can be at the address that study file or environment give.
        StudyError: it does not answer.
    """
    found = address.find(paths, tracking)
    if (file := found.sqlite_file) is not None and not file.exists():
        return f"{found.shown}, made at the first launch"
    try:
        MlflowClient(found.uri).search_experiments(max_results=1)
    except Exception as error:
        cause = first_cause(error)
        said = cause.strerror if isinstance(cause, OSError) else None
        raise StudyError(f"{found.shown} does not answer: {said or reason(error)}") from error
    return found.shown
