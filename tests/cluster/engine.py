"""A container engine of the tests' own, in a network namespace of its own, with base images that need no registry.

The stand-ins have Debian's Python and PostgreSQL: what they prove is the wiring of docker-compose.yml, not the official
images. What is downloaded once is kept in ``~/.cache/hpgan-cluster``.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
STANDINS = Path(__file__).parent / "standins"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hpgan-cluster"
NAMESPACE = f"hpgan-{os.getpid()}"
PROGRAMS = ("/usr/sbin/dockerd", "/usr/bin/docker", "mmdebstrap", "ip", "nsenter")
SLIM = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale")]
START_S = 60


def reason_to_skip() -> str | None:
    """Why no engine can run here; None where one can."""
    if os.getuid() != 0:
        return "a container engine of our own needs root"
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        return f"missing: {', '.join(missing)}; apt-get install docker.io mmdebstrap iproute2"
    if subprocess.run(["unshare", "--net", "--mount", "true"], check=False, capture_output=True).returncode:
        return "network and mount namespaces are not permitted here"
    return None


class Engine:
    """dockerd, and how to talk to it.

    Args:
        folder: for its images, volumes, socket and log.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._socket = folder / "docker.sock"
        self.environment = os.environ | {"DOCKER_HOST": f"unix://{self._socket}", "DOCKER_BUILDKIT": "1"}
        self._process: subprocess.Popen[bytes] | None = None
        self._network = 0

    def start(self) -> None:
        """Start it, and wait until it answers."""
        run("ip", "netns", "add", NAMESPACE)
        self._network = Path("/run/netns", NAMESPACE).stat().st_ino
        self.run_inside("ip", "link", "set", "lo", "up")
        places = {"data-root": "data", "exec-root": "exec", "pidfile": "dockerd.pid"}
        options = [f"--{option}={self.folder / name}" for option, name in places.items()]
        command = ["/usr/sbin/dockerd", *options, f"--host=unix://{self._socket}", "--log-level=warn"]
        with (self.folder / "dockerd.log").open("wb") as log:
            # The default asks for a privilege that root in a container lacks.
            self._process = subprocess.Popen(
                [*_inside(), *command, "--oom-score-adjust=0"], stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            alive = self._process.poll() is None and time.monotonic() < deadline
            assert alive, (self.folder / "dockerd.log").read_text()
            time.sleep(0.2)

    def stop(self) -> None:
        """End it with all its containers, and its namespace."""
        if self._process is not None:
            # It stops its containers first, and a study has two minutes for that.
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=150)
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._process = None
        subprocess.run(["ip", "netns", "delete", NAMESPACE], check=False, capture_output=True)

    def processes(self) -> list[str]:
        """Command lines of the engine and of all that it has started, but for what runs inside containers."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            # Most end while they are looked at.
            with suppress(OSError):
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if str(self.folder) in words or (process / "ns/net").stat().st_ino == self._network:
                    found.append(words)
        return found

    def docker(self, *arguments: str) -> str:
        return run("/usr/bin/docker", *arguments, environment=self.environment)

    def run_inside(self, *command: str) -> str:
        """Run a command on the engine's network, as a user of its machine would."""
        return run(*_inside(), *command)

    def volume(self, name: str) -> Path:
        """Where a volume lies on this machine."""
        return self.folder / "data" / "volumes" / name / "_data"

    def make_base_images(self) -> None:
        """Stand-ins for the images that Dockerfile and docker-compose.yml name."""
        mirror = _mirror()
        packages = "--include=python3,python3-venv,ca-certificates"
        python = _kept("python.tar", lambda path: run("mmdebstrap", *_BASE, packages, "bookworm", str(path), mirror))
        packages = "--include=postgresql-17"
        postgres = _kept("postgres.tar", lambda path: run("mmdebstrap", *_BASE, packages, "trixie", str(path), mirror))
        self.docker("import", str(python), "debian-python")
        self.docker("import", str(postgres), "debian-postgres")
        self._build("postgres:17-bookworm", "postgres.Dockerfile", STANDINS)
        self._build("python:3.11-slim-bookworm", "python.Dockerfile", _wheels().parent)

    def _build(self, tag: str, file: str, context: Path) -> None:
        self.docker("build", "--quiet", "--tag", tag, "--file", str(STANDINS / file), str(context))

    def _answers(self) -> bool:
        command = ["/usr/bin/docker", "info"]
        return subprocess.run(command, env=self.environment, check=False, capture_output=True).returncode == 0


_BASE = ("--variant=minbase", *SLIM)


def run(*command: str, environment: dict[str, str] | None = None, cwd: Path = ROOT) -> str:
    """Standard output of a command.

    Raises:
        AssertionError: it fails; with all that it said.
    """
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _inside() -> list[str]:
    # Not `ip netns exec`, which mounts another /sys, without control groups.
    return ["nsenter", f"--net=/run/netns/{NAMESPACE}"]


def _kept(name: str, make: Callable[[Path], object]) -> Path:
    """A file or folder of the cache, made when it is not there, whole or not at all."""
    path = CACHE / name
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = CACHE / f"{os.getpid()}-{name}"
        make(unfinished)
        unfinished.rename(path)
    return path


def _wheels() -> Path:
    """A folder with every package that the image installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    constraints = (ROOT / "constraints.txt").read_text()
    wanted = [*project["dependencies"], *project["optional-dependencies"]["cluster"], "hatchling"]
    wanted += [line for line in constraints.splitlines() if line.startswith("torch==")]
    digest = hashlib.sha256("\n".join([*wanted, constraints]).encode()).hexdigest()[:12]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "-c", "constraints.txt"]
    # Docker takes a folder of this name from its parent.
    return _kept(f"context-{digest}", lambda path: run(*pip, "-d", str(path / "wheels"), *wanted)) / "wheels"


def _mirror() -> str:
    """Where this machine's apt has Debian from; mmdebstrap's own choice is a mirror that may be out of reach."""
    listed = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(SUITE)", "Created-By: Packages")
    main = [line.split()[0] for line in listed.splitlines() if "-" not in line.split()[1]]
    return main[0]
