"""The services of docker-compose.yml, brought up from a copy of the repository, and studies that run on them."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.engine import ROOT, Engine, run

COMPOSE = str(Path(sys.executable).with_name("docker-compose"))
SHIPPED = (
    ".dockerignore", "Dockerfile", "LICENSE", "Makefile", "README.md", "constraints.txt", "deploy",
    "docker-compose.yml", "hpgan_core", "pyproject.toml", "search_spaces", "study",
)  # fmt: skip
PATIENCE_S = 480

# Trials of some ten seconds, and more of them than anybody waits for: there is always one in training to injure.
STUDY_FILE = """\
name: faults
data: {dataset: synthetic, people: 5, clips_per_action: 1, frames: 40}
arms: {none: [], gt: [gt]}
training: {critic_size: 16, z_size: 8, batch_size: 4, evaluation_windows: 8, evaluation_samples: 2, final_samples: 2}
parameters:
  hidden_size: {type: categorical, values: [8, 16], default: 16}
  gt_weight: {type: float, min: 0.01, max: 10.0, log: true, default: 1.0}
search: {trials_per_arm: 40, members: 2, epochs: 60, sampler: {name: tpe, seed: 3}, pruner: {name: none}}
confirm: {members: 3, epochs: 30, shortlist: {trials: 2, members: 1}}
"""
SMALL = (
    STUDY_FILE.replace("name: faults", "name: small").replace("arm: 40", "arm: 4").replace("epochs: 60", "epochs: 5")
)
HEAD = STUDY_FILE.replace("name: faults", "name: head").replace("arm: 40", "arm: 4")
# One configuration fits into a worker, the other one does not.
HOG = """\
name: hog
data: {dataset: synthetic, people: 5, clips_per_action: 1, frames: 40}
arms: {none: []}
training: {critic_size: 16, z_size: 8, batch_size: 4, evaluation_windows: 8, evaluation_samples: 2, final_samples: 2}
parameters:
  hidden_size: {type: categorical, values: [8, 8192], default: 8}
search: {trials_per_arm: 2, members: 1, epochs: 2, sampler: {name: grid}, pruner: {name: none}}
confirm: null
budget: {failed_fraction: 0.4}
"""


def documented(name: str) -> str:
    """A block of docs/cluster.md, by the comment above it."""
    block = re.search(
        rf"^<!-- {name} -->\n```\w+\n(.+?)^```", (ROOT / "docs/cluster.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert block, name
    return block[1]


class Stack:
    """One Compose project.

    Args:
        engine: what runs it.
        folder: becomes a copy of what ships.
    """

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        for name in SHIPPED:
            source, ours = ROOT / name, folder / name
            if source.is_dir():
                shutil.copytree(source, ours, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, ours)
        for text in (STUDY_FILE, HEAD, SMALL, HOG):
            name = text.partition("\n")[0].removeprefix("name: ")
            (folder / "search_spaces" / f"{name}.yaml").write_text(text)
        # As behind a proxy.
        (folder / ".env").write_text(documented("proxy"))
        run("make", "secrets", cwd=folder)
        # What people type is `docker compose`; the shim makes the package's Compose that plugin.
        shim = folder / "bin" / "docker"
        shim.parent.mkdir()
        shim.write_text(
            f'#!/bin/sh\n[ "$1" != compose ] || {{ shift; exec {COMPOSE} "$@"; }}\nexec /usr/bin/docker "$@"\n'
        )
        shim.chmod(0o755)
        limits = {"RAY_WORKER_MEMORY": "1500m", "RAY_OBJECT_STORE": "100000000", "RAY_SHM": "256m"}
        self.environment = engine.environment | limits | {"PATH": f"{shim.parent}:{os.environ['PATH']}"}
        self.secrets = {path.name: path.read_text() for path in (folder / "secrets").iterdir()}

    def compose(self, *arguments: str) -> str:
        return run("docker", "compose", *arguments, environment=self.environment, cwd=self.folder)

    def up(self, *arguments: str) -> float:
        """Start what is to run; returns how many seconds it took until all is healthy."""
        started = time.monotonic()
        self.compose("up", "--detach", "--wait", "--no-build", "--pull", "never", *arguments)
        return time.monotonic() - started

    def execute(self, service: str, *command: str) -> str:
        """What a command prints in a service's container."""
        return self.compose("exec", "-T", service, "with-secrets", *command)

    def python(self, service: str, script: str) -> str:
        return self.execute(service, "python3", "-c", script)

    def config(self, *profiles: str) -> dict[str, Any]:
        """The resolved file."""
        options = [word for profile in profiles for word in ("--profile", profile)]
        resolved: dict[str, Any] = json.loads(self.compose(*options, "config", "--format", "json"))
        return resolved

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "--quiet", service).split()

    def study(self, *arguments: str, name: str = "driver") -> "Drive":
        """`docker compose run --rm study`, in the background."""
        said = self.folder / f"{name}-{time.monotonic_ns()}.txt"
        command = ["docker", "compose", "run", "--rm", "-T", "--name", name, "study", *arguments]
        with said.open("wb") as output:
            process = subprocess.Popen(
                command, env=self.environment, cwd=self.folder, stdout=output, stderr=subprocess.STDOUT
            )
        return Drive(process, said)

    def check_ledgers(self, name: str) -> None:
        """``tests.ledgers`` over record, Optuna and MLflow, where all three can be reached: in a driver's container."""
        check = (
            "from pathlib import Path; from ledgers import check_ledgers; import os; "
            f"check_ledgers(Path('studies/{name}'), os.environ['MLFLOW_TRACKING_URI'], os.environ['OPTUNA_STORAGE'])"
        )
        options = ["--rm", "-T", "--volume", f"{ROOT / 'tests/ledgers.py'}:/app/ledgers.py:ro"]
        self.compose("run", *options, "--entrypoint", "with-secrets", "study", "python", "-c", check)

    def mlflow_states(self, name: str) -> set[str]:
        """In what states MLflow has the runs of a study."""
        script = f"""\
import mlflow
mlflow.set_tracking_uri("http://mlflow:5000")
experiment = mlflow.get_experiment_by_name("{name}").experiment_id
print(*{{run.info.status for run in mlflow.search_runs([experiment], output_format="list")}})
"""
        return set(self.python("ray-worker", script).split())

    def secrets_found(self) -> set[tuple[str, str]]:
        """Which secret is where, but for its own file; a container's /tmp is in its memory."""
        return {
            (name, where)
            for where, text in self._texts()
            for name, secret in self.secrets.items()
            if secret.encode() in text
        }

    def _texts(self) -> Iterator[tuple[str, bytes]]:
        """Whatever is written down somewhere while the stack runs."""
        containers = self.engine.docker("ps", "--quiet", "--all").split()
        yield "docker inspect", self.engine.docker("inspect", *containers).encode()
        yield "a dump of the databases", self.compose("exec", "-T", "-u", "postgres", "postgres", "pg_dumpall").encode()
        # What commands say, logs and volumes.
        kept = self.engine.folder / "data"
        for path in (*self.folder.glob("*.txt"), *_files(kept / "containers"), *_files(kept / "volumes")):
            yield str(path), _content(path)
        for container in self.engine.docker("ps", "--quiet").split():
            template = '{{.State.Pid}} {{index .Config.Labels "com.docker.compose.service"}}'
            first, service = self.engine.docker("inspect", "--format", template, container).split()
            for process in self.engine.docker("top", container, "-o", "pid").split()[1:]:
                for part in ("cmdline", "environ"):
                    yield f"{part} in {service}", _content(Path("/proc") / process / part)
            root = Path("/proc") / first / "root"
            for path in _files(root / "tmp"):
                with suppress(FileNotFoundError):
                    others = " for all to read" if path.stat().st_mode & 0o077 else ""
                    yield f"/{path.relative_to(root)} in {service}{others}", _content(path)

    def wait_for_workers(self, number: int) -> None:
        """Wait until so many nodes where trials may run are part of the cluster."""
        script = """\
import ray
ray.init("auto", log_to_driver=False)
print(sum(node["Alive"] and node["Resources"].get("CPU", 0) > 0 for node in ray.nodes()))
"""
        deadline = time.monotonic() + PATIENCE_S
        while (joined := int(self.python("ray-head", script).split()[-1])) < number:
            assert time.monotonic() < deadline, f"{joined} of {number} workers have joined"

    def record(self, name: str) -> Path:
        """A study's folder on the shared volume."""
        return self.engine.volume("hpgan_studies") / name

    def attempts(self, name: str) -> list[dict[str, Any]]:
        """Every execution of every trial so far."""
        files = sorted(self.record(name).glob("trials/*/*/attempts.jsonl"))
        return [
            json.loads(line)
            for file in files
            for line in file.read_text().splitlines(keepends=True)
            if line[-1] == "\n"
        ]

    def outcomes(self, name: str) -> dict[str, dict[str, Any]]:
        """How trials ended, by their folders."""
        files = self.record(name).glob("trials/*/*/outcome.json")
        return {f"{file.parts[-3]}/{file.parts[-2]}": json.loads(file.read_text()) for file in files}

    def training(self, name: str) -> list[Path]:
        """Folders of the trials that have had an epoch and have not ended."""
        files = self.record(name).glob("trials/*/*/epochs.jsonl")
        return [file.parent for file in files if not (file.parent / "outcome.json").exists()]

    @contextmanager
    def cut_off(self, service: str) -> Iterator[None]:
        """Take a service from the network of the cluster."""
        (container,) = self.containers(service)
        self.engine.docker("network", "disconnect", "hpgan_cluster", container)
        yield
        self.engine.docker("network", "connect", "--alias", service, "hpgan_cluster", container)


def _files(folder: Path) -> Iterator[Path]:
    """Regular ones, below a folder where others come and go."""
    for parent, _, names in os.walk(folder):
        paths = (Path(parent, name) for name in names)
        yield from (path for path in paths if path.is_file() and not path.is_symlink())


def _content(path: Path) -> bytes:
    """Nothing where it is gone by now: processes end, and files are renamed."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return path.read_bytes()
    return b""


@dataclass
class Drive:
    """A `study` that runs in a container of its own."""

    process: "subprocess.Popen[bytes]"
    said: Path

    def wait_until(self, condition: Callable[[], Any]) -> None:
        """Wait for something while it goes on running."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.process.poll() is None, f"exit code {self.process.returncode}\n{self.said.read_text()}"
            assert time.monotonic() < deadline, self.said.read_text()
            time.sleep(0.2)

    def end(self, code: int = 0) -> str:
        """What it has said once it has ended with this code."""
        self.process.wait(timeout=PATIENCE_S)
        text = self.said.read_text()
        assert self.process.returncode == code, f"exit code {self.process.returncode}\n{text}"
        return text
