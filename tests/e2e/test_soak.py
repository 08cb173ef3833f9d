"""A study on a cluster where something is killed again and again, at random moments, and nothing gets lost.

``SOAK_SEED`` and ``SOAK_FAULTS`` choose other moments and more of them.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from hpgan_core.trainable import EpochReport
from study.job import Job, train_job
from study.motion import load_motion_of
from study.paths import StudyPaths
from study.record import Record
from tests.ledgers import check_ledgers
from tests.processes import Server, kill_session, start_study

SEED = int(os.environ.get("SOAK_SEED", "1"))
FAULTS = int(os.environ.get("SOAK_FAULTS", "30"))
LONGEST_QUIET_S = 6.0
NODE = {"num_cpus": 2, "include_dashboard": False}

STUDY_FILE = """\
name: soak
data: {{dataset: synthetic, people: 5, clips_per_action: 1, frames: 40}}
arms: {{none: [], gt: [gt]}}
training: {{critic_size: 16, z_size: 8, batch_size: 4, evaluation_windows: 8, evaluation_samples: 2, final_samples: 2}}
parameters:
  hidden_size: {{type: categorical, values: [8, 16], default: 16}}
  critic_iterations: {{type: int, min: 1, max: 3, default: 2}}
  gt_weight: {{type: float, min: 0.01, max: 10.0, log: true, default: 1.0}}
search:
  trials_per_arm: 4
  members: 2
  epochs: 120
  sampler: {{name: tpe, seed: 3}}
  pruner: {{name: successive_halving, grace_epochs: 40, reduction_factor: 2}}
confirm: {{members: 3, epochs: 60, shortlist: null}}
tracking: {{uri: '{uri}', models: false}}
"""

pytestmark = pytest.mark.timeout(3000)


@dataclass
class Laboratory:
    """A study, the machines that it runs on, and what has happened to them."""

    folder: Path
    machines: Cluster
    server: Server
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))
    faults: Counter[str] = field(default_factory=Counter)
    endings: Counter[int] = field(default_factory=Counter)
    process: "subprocess.Popen[str] | None" = None

    @property
    def study(self) -> Path:
        return self.folder / "studies" / "soak"

    def drive(self, *arguments: str) -> None:
        command = ("resume", "soak", *arguments) if (self.study / "plan.json").exists() else ("launch", "soak.yaml")
        self.process = start_study(self.folder, *command, "--address", self.machines.address)

    def expect_driven(self) -> "subprocess.Popen[str]":
        """The driver; another one where it has ended, with more to do where it had done everything."""
        assert self.process is not None
        if (code := self.process.poll()) is not None:
            out, err = self.process.communicate()
            self.endings[code] += 1
            assert code in (0, 1), f"seed {SEED}: exit code {code}\n{out}\n{err}"
            assert "Traceback" not in err, err
            assert code == 0 or "no result for" in err, err
            self.drive(*(("--add-trials", "2") if code == 0 else ("--retry-failed",)))
        return self.process

    def kill_driver(self) -> None:
        self.expect_driven().kill()
        assert self.process is not None
        self.process.communicate()
        self.drive()

    def stop_driver(self) -> None:
        """As a queue does that wants its machine back; the driver may have ended before, or not begun."""
        process = self.expect_driven()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
        self.endings[process.returncode] += 1
        assert process.returncode in (75, 0, 1, -signal.SIGTERM), (out, err)
        self.drive()

    def kill_trial(self) -> bool:
        for attempts in sorted(self.study.glob("trials/*/*/attempts.jsonl")):
            last = json.loads(attempts.read_text().splitlines()[-1])
            if last["ended_at"] is None and last["process"] is not None:
                with suppress(ProcessLookupError):
                    os.kill(last["process"], signal.SIGKILL)
                    return True
        return False

    def kill_node(self) -> None:
        (node,) = self.machines.worker_nodes
        os.kill(node.all_processes["raylet"][0].process.pid, signal.SIGKILL)
        self.machines.remove_node(node, allow_graceful=False)
        self.machines.add_node(**NODE)

    def kill_server(self) -> None:
        self.server.kill()
        time.sleep(self.chance.uniform(0, LONGEST_QUIET_S))
        self.server.start()

    def injure(self) -> None:
        """One fault after a quiet time of random length, in which the study goes on."""
        kinds: dict[str, Callable[[], bool | None]] = {
            "driver": self.kill_driver,
            "stop": self.stop_driver,
            "trial": self.kill_trial,
            "node": self.kill_node,
            "server": self.kill_server,
        }
        name = self.chance.choice(list(kinds))
        quiet_until = time.monotonic() + self.chance.uniform(0, LONGEST_QUIET_S)
        while time.monotonic() < quiet_until:
            self.expect_driven()
            time.sleep(0.1)
        while kinds[name]() is False:
            # Nothing is in training just now.
            self.expect_driven()
            time.sleep(0.1)
        self.faults[name] += 1

    def end_in_peace(self) -> None:
        assert self.process is not None
        for _ in range(10):
            out, err = self.process.communicate(timeout=600)
            if self.process.returncode == 0:
                return
            assert self.process.returncode == 1, (out, err)
            self.drive("--retry-failed")
        raise AssertionError(f"seed {SEED}: the study does not come to an end: {err}")


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """After all faults, when the study has ended."""
    folder = tmp_path_factory.mktemp("soak")
    server, machines = Server(folder), Cluster(initialize_head=True, head_node_args=NODE | {"num_cpus": 0})
    laboratory = Laboratory(folder, machines, server)
    (folder / "soak.yaml").write_text(STUDY_FILE.format(uri=server.uri))
    try:
        server.start()
        machines.add_node(**NODE)
        laboratory.drive()
        for _ in range(FAULTS):
            laboratory.injure()
        laboratory.end_in_peace()
        yield laboratory
    finally:
        if laboratory.process is not None:
            kill_session(laboratory.process)
        server.kill()
        machines.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def test_the_three_ledgers_agree_after_every_fault(laboratory: Laboratory) -> None:
    print(f"seed {SEED}: {dict(laboratory.faults)}, exit codes of drivers {dict(laboratory.endings)}")
    assert laboratory.faults.total() == FAULTS
    check_ledgers(laboratory.study, laboratory.server.uri)


def test_every_number_is_the_one_of_a_training_that_nobody_disturbed(laboratory: Laboratory, tmp_path: Path) -> None:
    record = Record(StudyPaths(laboratory.folder / "studies", "soak"))
    data = load_motion_of(record)
    disturbed = [trial for trial in record.trials() if len(trial.attempts()) > 1 and trial.epochs()]
    assert disturbed, "every trial has been trained at once"
    # A pruned one is trained on to its end here, which nothing is compared with.
    for trial in random.Random(SEED).sample(disturbed, min(4, len(disturbed))):
        alone: list[EpochReport] = []
        folder = tmp_path / trial.key
        folder.mkdir(parents=True)
        request = trial.request
        job = Job(request.key, request.settings, tuple(request.seeds), str(folder), test=request.phase == "confirm")
        train_job(job, data, alone.append)
        recorded = [epoch["members"] for epoch in trial.epochs()]
        assert recorded == [report.members for report in alone[: len(recorded)]], trial.key
