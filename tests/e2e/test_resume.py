"""A study that is interrupted in every way ends as one that was not."""

import json
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

from tests.ledgers import check_ledgers, curves
from tests.processes import driver, wait_for

RunStudy = Callable[..., subprocess.CompletedProcess[str]]
ARMS = ("none", "gt", "paper")

# Five studies are run before the first test.
pytestmark = pytest.mark.timeout(1800)


def recorded_epochs(study: Path) -> int:
    return sum(file.read_bytes().count(b"\n") for file in study.glob("trials/*/t*/epochs.jsonl"))


def open_trials(study: Path) -> dict[str, tuple[int, int]]:
    """The last recorded epoch of each trial without an outcome, and that of its newest checkpoint."""
    found = {}
    for request in study.glob("trials/*/*/trial.json"):
        folder = request.parent
        if not (folder / "outcome.json").exists():
            epochs = folder / "epochs.jsonl"
            last = epochs.read_bytes().count(b"\n") if epochs.exists() else 0
            checkpoints = [int(file.name.split("-")[1]) for file in folder.glob("checkpoints/epoch-*.pt")]
            found[f"{folder.parent.name}/{folder.name}"] = (last, max(checkpoints, default=0))
    return found


@dataclass(frozen=True)
class Interruption:
    returncode: int
    stderr: str
    epochs: int
    states: tuple[str, ...]
    open_trials: dict[str, tuple[int, int]]


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
            interruptions[stop.name] = Interruption(
                process.returncode, stderr, recorded_epochs(study), states, open_trials(study)
            )
    return Story(folder, interruptions, run_study(folder, "resume", "small"))


@pytest.mark.parametrize("stop", ["SIGINT", "SIGTERM"])
def test_an_interruption_exits_with_75_and_says_how_to_go_on(story: Story, stop: str) -> None:
    interruption = story.interruptions[stop]
    assert interruption.returncode == 75, interruption.stderr
    assert "study 'small' was interrupted" in interruption.stderr
    assert interruption.stderr.endswith("Go on with:\n  study resume small\n")
    assert "Traceback" not in interruption.stderr
    assert "failed" not in interruption.states


@pytest.mark.parametrize("stop", ["SIGINT", "SIGTERM"])
def test_an_interrupted_trial_has_a_checkpoint_of_its_last_epoch(story: Story, stop: str) -> None:
    for trial, (last, newest) in story.interruptions[stop].open_trials.items():
        assert last == newest, trial


def test_the_driver_was_killed_before_the_search_had_ended(story: Story, launched: Any) -> None:
    assert story.interruptions["SIGKILL"].returncode == -signal.SIGKILL
    assert story.interruptions["SIGKILL"].epochs < recorded_epochs(launched.study)


def test_it_is_gone_on_with_from_its_record_alone(story: Story) -> None:
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


def test_the_three_ledgers_agree(story: Story) -> None:
    check_ledgers(story.study, f"sqlite:///{story.folder}/studies/mlflow.db")


def test_a_study_with_nothing_left_to_do_starts_no_ray(story: Story, run_study: RunStudy) -> None:
    before = sorted((file, file.stat().st_mtime_ns) for file in story.study.glob("trials/*/*/*.json*"))
    greater = ("--set", "budget.wall_time_s=99999")
    for command in (
        ("launch", "small.yaml"),
        ("launch", "small.yaml", *greater),
        ("resume", "small", "--retry-failed"),
    ):
        # At an address where nobody listens: whoever asked for Ray would fail.
        run = run_study(story.folder, *command, "--address", "127.0.0.1:1")
        assert run.returncode == 0, run.stderr
        assert "Study 'small' is finished; nothing is left to run." in run.stdout
    assert sorted((file, file.stat().st_mtime_ns) for file in story.study.glob("trials/*/*/*.json*")) == before
    (amendment,) = (story.study / "amendments.jsonl").read_text().splitlines()
    assert json.loads(amendment)["section"]["wall_time_s"] == 99999


def test_more_trials_and_more_seeds_are_run_on_top(story: Story, run_study: RunStudy) -> None:
    """From here on the story changes the study."""
    before = curves(story.study)
    change_plan(story.study, lambda plan: plan["environment"].update(numpy="1.0"))
    run = run_study(story.folder, "resume", "small", "--add-trials", "1", "--more-seeds", "1")
    assert run.returncode == 0, run.stderr
    assert f"numpy: 1.0 before, {np.__version__} now" in run.stdout
    after = curves(story.study)
    assert {key: after[key] for key in before} == before
    assert {f"{arm}/t03" for arm in ARMS} <= after.keys() - before.keys()
    status = json.loads(run_study(story.folder, "status", "small", "--json").stdout)
    assert status["state"] == "finished"
    assert {arm["planned"] for arm in status["arms"].values()} == {4}
    comparison = json.loads(run_study(story.folder, "compare", "small", "--json").stdout)
    assert {arm["n_members"] for arm in comparison["arms"].values()} == {4}
    check_ledgers(story.study, f"sqlite:///{story.folder}/studies/mlflow.db")


def test_a_plan_that_is_no_longer_the_locked_one_is_not_gone_on_with(story: Story, run_study: RunStudy) -> None:
    change_plan(story.study, lambda plan: plan["file"].update(question="Another?"))
    run = run_study(story.folder, "resume", "small", "--add-trials", "1")
    assert run.returncode == 1
    assert "it has been changed since it was locked" in run.stderr


def change_plan(study: Path, change: Callable[[dict[str, Any]], object]) -> None:
    plan = json.loads((study / "plan.json").read_text())
    change(plan)
    (study / "plan.json").write_text(json.dumps(plan))
