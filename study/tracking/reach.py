"""Whether MLflow would answer, without making anything there."""

from mlflow import MlflowClient

from study.errors import StudyError
from study.paths import StudyPaths
from study.sections import Tracking
from study.tracking import address


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
        raise StudyError(f"{found.shown} does not answer: {_reason(error)}") from error
    return found.shown


def _reason(error: BaseException) -> str:
    """What the system said, which MLflow and its HTTP library wrap in an exception each."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    said = error.strerror if isinstance(error, OSError) else None
    return said or next(iter(str(error).splitlines()), type(error).__name__)
