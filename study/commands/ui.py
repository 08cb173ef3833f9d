"""``study ui``: MLflow's pages on a study."""

import os
import shutil
import sys
from pathlib import Path

from rich.console import Console

from study.errors import StudyError
from study.record import Record
from study.tracking import Tracker


def run(name: str, *, studies: Path, port: int, console: Console) -> None:
    """Print the link that compares the arms, and serve MLflow's UI until Ctrl-C where no server does.

    Raises:
        StudyError: MLflow cannot be reached.
    """
    record = Record.open(studies, name)
    tracker = Tracker(record, record.study_file)
    if record.holder() is None:
        # Else its driver publishes.
        tracker.publish()
    path = tracker.compare_path()
    if tracker.address.is_server:
        console.print(f"{tracker.uri.rstrip('/')}/{path}", soft_wrap=True)
        return
    console.print(f"Arms side by side: http://127.0.0.1:{port}/{path}", soft_wrap=True)
    console.print("Ctrl-C ends the server.")
    mlflow = shutil.which("mlflow", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if mlflow is None:
        raise StudyError("the command `mlflow` is not installed beside this Python; reinstall with `make install`")
    # The address of a database may hold a password, which everybody could read on a command line.
    settings = {"MLFLOW_BACKEND_STORE_URI": tracker.address.uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    arguments = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    console.file.flush()
    os.execve(mlflow, [mlflow, *arguments], os.environ | settings)  # noqa: S606 - no shell is what we want
