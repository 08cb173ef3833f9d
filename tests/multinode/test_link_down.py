"""A study on Ray nodes with a network between them, of which one is cut off."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.ledgers import check_ledgers
from tests.processes import STUDY, environment, kill_session, wait_for

RAY = str(Path(sys.executable).with_name("ray"))
HEAD = "10.77.0.1"
# Trials long enough to be in training when the link goes down.
STUDY_FILE = """\
name: nodes
data: {dataset: synthetic, people: 5, clips_per_action: 1, frames: 40}
arms: {none: [], gt: [gt]}
training: {critic_size: 16, z_size: 8, batch_size: 4, evaluation_windows: 8, evaluation_samples: 2, final_samples: 2}
parameters:
  hidden_size: {type: categorical, values: [8, 16], default: 16}
search: {trials_per_arm: 3, members: 2, epochs: 100, sampler: {name: tpe, seed: 3}, pruner: {name: none}}
confirm: {members: 3, epochs: 30}
"""

pytestmark = pytest.mark.timeout(900)


class Network:
    """Machines as network namespaces on one bridge, the first of them Ray's head, without a processor for trials.

    Args:
        folder: for Ray's sessions, whose sockets ask for a short path.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._prefix = f"hpn{os.getpid() % 100_000}"
        self._namespaces: list[str] = []
        self.settings = environment() | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
        self.switch = self._new_namespace("sw")
        self._inside(self.switch, "ip", "link", "add", "bridge", "type", "bridge")
        self._inside(self.switch, "ip", "link", "set", "bridge", "up")

    def add_node(self, number: int, *ray: str) -> str:
        """One more machine with ``ray start`` on it; the name of its namespace."""
        node, port = self._new_namespace(f"n{number}"), f"port{number}"
        run("ip", "link", "add", port, "netns", self.switch, "type", "veth", "peer", "name", "eth0", "netns", node)
        self._inside(self.switch, "ip", "link", "set", port, "master", "bridge", "up")
        self._inside(node, "ip", "address", "add", f"10.77.0.{number}/24", "dev", "eth0")
        self._inside(node, "ip", "link", "set", "eth0", "up")
        self._inside(node, RAY, "start", f"--node-ip-address=10.77.0.{number}", *ray)
        return node

    def cut_off(self, number: int) -> None:
        """As if somebody had pulled the cable."""
        self._inside(self.switch, "ip", "link", "set", f"port{number}", "down")

    def start(self, node: str, *command: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*_enter(node), *command],
            cwd=self.folder,
            env=self.settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def remove(self) -> None:
        for name in self._namespaces:
            for process in run("ip", "netns", "pids", name).split():
                with suppress(ProcessLookupError):
                    os.kill(int(process), signal.SIGKILL)
            run("ip", "netns", "delete", name)

    def _new_namespace(self, name: str) -> str:
        name = f"{self._prefix}{name}"
        run("ip", "netns", "add", name)
        self._namespaces.append(name)
        self._inside(name, "ip", "link", "set", "lo", "up")
        return name

    def _inside(self, namespace: str, *command: str) -> None:
        run(*_enter(namespace), *command, env=self.settings)


def run(*command: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def _enter(namespace: str) -> list[str]:
    return ["nsenter", f"--net=/run/netns/{namespace}"]


@pytest.fixture
def network() -> Iterator[Network]:
    if os.getuid() != 0 or shutil.which("ip") is None:
        pytest.skip("no network namespaces: they need root and iproute2")
    if subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode:
        pytest.skip("network namespaces are not permitted here")
    folder = Path(mkdtemp(prefix="hpn-"))
    network = Network(folder)
    try:
        yield network
    finally:
        network.remove()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_node_that_is_cut_off_costs_nothing(network: Network) -> None:
    head = network.add_node(
        1, "--head", "--num-cpus=0", "--include-dashboard=false", f"--temp-dir={network.folder}/ray"
    )
    for number in (2, 3):
        network.add_node(number, f"--address={HEAD}:6379", "--num-cpus=1")
    (network.folder / "nodes.yaml").write_text(STUDY_FILE)
    trials = network.folder / "studies" / "nodes" / "trials"

    def attempts() -> list[dict[str, str]]:
        files = trials.glob("*/*/attempts.jsonl")
        return [
            json.loads(line) for file in files for line in file.read_text().splitlines(keepends=True) if "\n" in line
        ]

    def in_training() -> int:
        folders = [file.parent for file in trials.glob("*/*/epochs.jsonl")]
        return sum(not (folder / "outcome.json").exists() for folder in folders)

    driver = network.start(head, STUDY, "launch", "nodes.yaml", "--address", f"{HEAD}:6379")
    try:
        wait_for(lambda: in_training() == 2, driver)
        network.cut_off(3)
        wait_for(lambda: any(attempt["kind"] == "lost_node" for attempt in attempts()), driver)
        out, err = driver.communicate(timeout=600)
    finally:
        kill_session(driver)
    assert driver.returncode == 0, (out, err)
    check_ledgers(trials.parent, f"sqlite:///{network.folder}/studies/mlflow.db")
