"""Programs that tests start, look at and kill: the `study` command in the background, and an MLflow server."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

STUDY, MLFLOW = (str(Path(sys.executable).with_name(name)) for name in ("study", "mlflow"))
PATIENCE_S = 180


def environment() -> dict[str, str]:
    """Without what would send a study elsewhere than into its own folder."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "RAY_"))}


def start_study(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """The `study` command in a session of its own, running on."""
    return subprocess.Popen(
        [STUDY, *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill_session(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Kill a process with all that it has started; returns what it had printed."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()


@contextmanager
def driver(folder: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """The command in the background, with all that it starts ended afterwards."""
    process = start_study(folder, *arguments)
    try:
        yield process
    finally:
        kill_session(process)


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Wait while a process goes on running."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    """Wait for something in this process or in one that somebody else watches."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def answers(url: str) -> bool:
    """Whether a server answers there."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


def wait_for_answer(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until a server that is starting answers there."""
    deadline = time.monotonic() + PATIENCE_S
    while not answers(url):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


@dataclass
class Server:
    """A real MLflow server on one port and one database, with whatever happens to it."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        return self.folder / "server.db"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [MLFLOW, "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.database}"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        settings = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=settings, stdout=log, stderr=log, start_new_session=True, cwd=self.folder
            )
        wait_for_answer(f"{self.uri}/health", self.process, self.folder / "server.log")

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None
