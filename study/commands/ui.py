"""``study ui``: MLflow's pages on a study."""

import os
import shutil
import socket
import sys
from pathlib import Path

from rich.console import Console

from study.errors import StudyError
from study.lease import keep_out
from study.record import Record
from study.tracking import Tracker

HOST = "127.0.0.1"


def run(name: str, *, studies: Path, port: int, console: Console) -> None:
    """Print the link that compares the arms, and serve MLflow's UI until Ctrl-C where no server does.

    Raises:
        BadStudyInput: no such study.
        StudyError: MLflow cannot be reached, another process is publishing this study, or the port cannot be listened
            on.
    """
    record = Record.open(studies, name)
    tracker = Tracker(record, record.study_file)
    if not tracker.address.is_server:
        _expect_free(port)
    if record.holder() is None:
        # Else its driver publishes.
        with keep_out(record.paths):
            tracker.publish()
    path = tracker.compare_path()
    if tracker.address.is_server:
        console.print(f"{tracker.uri.rstrip('/')}/{path}", soft_wrap=True)
        return
    console.print(f"Arms side by side: http://{HOST}:{port}/{path}", soft_wrap=True)
    console.print("Ctrl-C ends the server.")
    mlflow = shutil.which("mlflow", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if mlflow is None:
        raise StudyError("the command `mlflow` is not installed beside this Python; reinstall with `make install`")
    # The address of a database may hold a password, which everybody could read on a command line.
    settings = {"MLFLOW_BACKEND_STORE_URI": tracker.address.uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    arguments = ["server", "--host", HOST, "--port", str(port), "--workers", "1"]
    # Else a line for each file of a page drives the link off the screen, and Ctrl-C ends in a traceback.
    arguments += ["--uvicorn-opts", "--log-level critical"]
    console.file.flush()
    os.execve(mlflow, [mlflow, *arguments], os.environ | settings)  # noqa: S606 - no shell is what we want


def _expect_free(port: int) -> None:
    """Raises StudyError where nobody can listen on ``port``: MLflow would say so in a traceback, after seconds."""
    with socket.socket() as listener:
        # As the server will: a port that one has just left can be taken at once.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise StudyError(f"--port: {HOST}:{port} cannot be used: {error.strerror}; name another port") from error
