"""A study that is interrupted in every way ends as one that was not."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

RunStudy = Callable[..., subprocess.CompletedProcess[str]]
ARMS = ("none", "gt", "paper")

# Five studies are run before the first test.
pytestmark = pytest.mark.timeout(900)


def recorded_epochs(study: Path) -> int:
    return sum(file.read_bytes().count(b"\n") for file in study.glob("trials/*/t*/epochs.jsonl"))


def curves(study: Path) -> dict[str, Any]:
    """What every trial trained, and every number that it gave."""
    found = {}
    for file in sorted(study.glob("trials/*/*/epochs.jsonl")):
        request = json.loads((file.parent / "trial.json").read_text())
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        numbers = [(line["epoch"], line["members"]) for line in lines]
        found[f"{request['arm']}/{request['trial']}"] = (request["parameters"], request["seeds"], numbers)
    return found


@contextmanager
def driver(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command in the background, with all that it starts ended afterwards."""
    command = [str(Path(sys.executable).with_name("study")), *arguments]
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "RAY_"))}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 180
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@dataclass(frozen=True)
class Interruption:
    returncode: int
    stderr: str
    epochs: int
    states: tuple[str, ...]


@dataclass(frozen=True)
class Story:
    folder: Path
    interruptions: dict[str, Interruption]
    last: subprocess.CompletedProcess[str]

    @property
    def study(self) -> Path:
        return self.folder / "studies" / "small"


@pytest.fixture(scope="module")
def story(launched: Any, run_study: RunStudy, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The study of ``launched`` in another folder, interrupted three times before it ends."""
    folder = tmp_path_factory.mktemp("interrupted")
    (folder / "small.yaml").write_text((launched.folder / "small.yaml").read_text())
    study, interruptions = folder / "studies" / "small", {}
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with driver(folder, "launch", "small.yaml") as process:
            # In the middle of some later trial than the first.
            before = recorded_epochs(study)
            wait_for(lambda before=before: recorded_epochs(study) >= before + 14, process)  # type: ignore[misc]
            process.send_signal(stop)
            _, stderr = process.communicate(timeout=60)
            states = tuple(json.loads(file.read_text())["state"] for file in study.glob("trials/*/*/outcome.json"))
            interruptions[stop.name] = Interruption(process.returncode, stderr, recorded_epochs(study), states)
    return Story(folder, interruptions, run_study(folder, "launch", "small.yaml"))


@pytest.mark.parametrize("stop", ["SIGINT", "SIGTERM"])
def test_an_interruption_exits_with_75_and_says_how_to_go_on(story: Story, stop: str) -> None:
    interruption = story.interruptions[stop]
    assert interruption.returncode == 75, interruption.stderr
    assert "study 'small' was interrupted" in interruption.stderr
    assert "the same command goes on with it" in interruption.stderr
    assert "Traceback" not in interruption.stderr
    assert "failed" not in interruption.states


def test_the_driver_was_killed_before_the_search_had_ended(story: Story, launched: Any) -> None:
    assert story.interruptions["SIGKILL"].returncode == -signal.SIGKILL
    assert story.interruptions["SIGKILL"].epochs < recorded_epochs(launched.study)


def test_the_same_command_ends_it(story: Story) -> None:
    assert story.last.returncode == 0, story.last.stderr
    trials = list(story.study.glob("trials/*/*/trial.json"))
    assert len(trials) == 12
    assert all((file.parent / "outcome.json").exists() for file in trials)


def test_an_interrupted_study_has_the_trials_and_curves_of_an_uninterrupted_one(story: Story, launched: Any) -> None:
    interrupted, uninterrupted = curves(story.study), curves(launched.study)
    assert interrupted.keys() == uninterrupted.keys()
    for key, curve in uninterrupted.items():
        assert interrupted[key] == curve, key


def test_no_epoch_is_recorded_twice(story: Story) -> None:
    for key, (_, _, numbers) in curves(story.study).items():
        assert [epoch for epoch, _ in numbers] == list(range(1, len(numbers) + 1)), key


def test_nothing_is_left_running_in_optuna(story: Story) -> None:
    with sqlite3.connect(story.study / "optuna.db") as database:
        states = [state for (state,) in database.execute("SELECT state FROM trials")]
    database.close()
    assert len(states) == 9
    assert set(states) <= {"COMPLETE", "PRUNED"}


def test_mlflow_has_one_finished_run_a_trial_with_every_epoch_once(story: Story) -> None:
    client = MlflowClient(f"sqlite:///{story.folder}/studies/mlflow.db")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    trials = [run for run in runs if run.data.tags["study.kind"] in ("trial", "arm")]
    recorded = curves(story.study)
    assert sorted(run.data.tags["study.key"] for run in trials) == sorted(recorded)
    for run in trials:
        history = client.get_metric_history(run.info.run_id, "val/ade")
        epochs = [epoch for epoch, _ in recorded[run.data.tags["study.key"]][2]]
        assert [point.step for point in history] == epochs


def test_a_second_launch_of_a_running_study_is_refused(run_study: RunStudy, small_file: Path) -> None:
    folder = small_file.parent
    with driver(folder, "launch", "small.yaml", "--set", "search.epochs=500") as process:
        wait_for(lambda: recorded_epochs(folder / "studies" / "small") > 0, process)
        second = run_study(folder, "launch", "small.yaml", "--set", "search.epochs=500")
        status = run_study(folder, "status", "small", "--json")
        assert process.poll() is None
    assert second.returncode == 1
    assert f"study 'small' is being run by process {process.pid} on " in second.stderr
    assert json.loads(status.stdout)["state"] == "running"
