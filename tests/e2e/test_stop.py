"""Stopping a study from another terminal, looking at it while it runs, and ending it without waiting."""

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from study.lease import holder, read_lease
from study.paths import StudyPaths
from tests.ledgers import check_ledgers, curves
from tests.processes import PATIENCE_S, STUDY, driver, environment, wait_for

RunStudy = Callable[..., subprocess.CompletedProcess[str]]
LONG = ("--set", "search.epochs=500", "--set", "search.pruner.grace_epochs=500", "--set", "search.trials_per_arm=1")

pytestmark = pytest.mark.timeout(900)


def epochs_of(study: Path) -> int:
    file = study / "trials" / "none" / "t00" / "epochs.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def wait_for_epochs(study: Path, more: int, process: "subprocess.Popen[str]") -> None:
    wanted, deadline = epochs_of(study) + more, time.monotonic() + 180
    while epochs_of(study) < wanted:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def attempts(study: Path) -> list[dict[str, Any]]:
    lines = (study / "trials" / "none" / "t00" / "attempts.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def statuses(folder: Path) -> set[str]:
    client = MlflowClient(f"sqlite:///{folder}/studies/mlflow.db")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    return {run.info.status for run in client.search_runs([experiment.experiment_id])}


def optuna_states(study: Path) -> list[str]:
    with closing(sqlite3.connect(study / "optuna.db")) as database:
        return [state for (state,) in database.execute("SELECT state FROM trials")]


def newest_checkpoint(study: Path) -> int:
    return max(int(file.name.split("-")[1]) for file in study.glob("trials/none/t00/checkpoints/epoch-*.pt"))


def test_a_running_study_is_seen_and_stopped_from_another_terminal(run_study: RunStudy, small_file: Path) -> None:
    """One story: each part needs the study in the state that the one before has left."""
    folder = small_file.parent
    study = folder / "studies" / "small"
    with driver(folder, "launch", "small.yaml", *LONG) as process:
        wait_for_epochs(study, 3, process)

        status = json.loads(run_study(folder, "status", "small", "--json").stdout)
        assert status["state"] == "running"
        assert status["holder"].startswith(f"process {process.pid} on ")
        (training,) = status["training"]
        assert (training["trial"], training["epochs"], training["attempt"]) == ("none/t00", 500, 1)
        assert training["epoch"] >= 3
        assert training["place"] == os.uname().nodename
        assert status["arms"]["none"]["running"] == 1
        assert status["time_left_s"] > 0

        second = run_study(folder, "launch", "small.yaml", *LONG)
        assert second.returncode == 1
        assert f"study 'small' is being run by process {process.pid} on " in second.stderr
        assert "stop it with `study stop small`" in second.stderr

        assert "none/t00 is started on " in run_study(folder, "logs", "small").stdout
        assert "epoch 1 of 500, " in run_study(folder, "logs", "small", "none/t00").stdout

        stopped = run_study(folder, "stop", "small")
        assert stopped.returncode == 0, stopped.stderr
        assert stopped.stdout.endswith("Study 'small' is stopped. Go on with:\n  study resume small\n")
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 75, (out, err)
    assert err == (
        "study: study 'small' was interrupted; everything up to here is kept. Go on with:\n  study resume small\n"
    )
    assert epochs_of(study) == newest_checkpoint(study)
    assert attempts(study)[-1]["kind"] == "stopped"
    assert statuses(folder) == {"KILLED"}

    again = run_study(folder, "stop", "small")
    assert again.returncode == 1
    assert "study 'small' is not running; it is interrupted" in again.stderr

    with driver(folder, "resume", "small") as process:
        wait_for_epochs(study, 2, process)
        started = time.monotonic()
        assert run_study(folder, "stop", "small", "--now").returncode == 0
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert time.monotonic() - started < 60
    assert statuses(folder) == {"KILLED"}
    assert [attempt["attempt"] for attempt in attempts(study) if attempt["process"] is None] == [1, 2]

    with driver(folder, "resume", "small") as process:
        wait_for_epochs(study, 2, process)
        process.send_signal(signal.SIGINT)
        # Python takes signals between instructions: the second must not melt into the first.
        time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    status = json.loads(run_study(folder, "status", "small", "--json").stdout)
    assert (status["state"], status["arms"]["none"]["interrupted"]) == ("interrupted", 1)


def test_a_study_drains_whatever_ends_its_group_its_terminal_or_its_reader(
    run_study: RunStudy, small_file: Path
) -> None:
    """One story, as above."""
    folder = small_file.parent
    study = folder / "studies" / "small"
    with driver(folder, "launch", "small.yaml", *LONG) as process:
        wait_for_epochs(study, 2, process)
        os.killpg(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 75, err
    assert err.endswith("Go on with:\n  study resume small\n")
    assert epochs_of(study) == newest_checkpoint(study)
    assert statuses(folder) == {"KILLED"}

    terminal, side = os.openpty()
    # Where the tests run under nohup, which a study honours, its terminal's end would not reach it.
    command = ["env", "--default-signal=HUP", "setsid", "--ctty", "--wait", STUDY, "resume", "small"]
    with subprocess.Popen(command, cwd=folder, env=environment(), stdin=side, stdout=side, stderr=side) as process:
        os.close(side)
        wait_for_epochs(study, 2, process)
        os.close(terminal)
        assert process.wait(timeout=PATIENCE_S) == 75
    assert epochs_of(study) == newest_checkpoint(study)
    assert statuses(folder) == {"KILLED"}

    with driver(folder, "resume", "small") as process:
        assert process.stdout
        process.stdout.readline()
        process.stdout.close()
        wait_for_epochs(study, 2, process)
        assert run_study(folder, "stop", "small").returncode == 0
        assert process.wait(timeout=PATIENCE_S) == 75


def test_a_study_drains_when_every_process_of_its_job_is_told_to_end(
    run_study: RunStudy, small_file: Path, launched: Any
) -> None:
    """As a stopped service or a cancelled job has it."""
    folder = small_file.parent
    study = folder / "studies" / "small"
    with driver(folder, "launch", "small.yaml") as process:
        wait_for_epochs(study, 2, process)
        family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
        for member in reversed(family):
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 75, err
    assert err.endswith("Go on with:\n  study resume small\n")
    assert "Traceback" not in err
    assert epochs_of(study) == newest_checkpoint(study)
    assert attempts(study)[-1]["kind"] == "stopped"
    assert statuses(folder) == {"KILLED"}
    assert "RUNNING" not in optuna_states(study)
    lease = read_lease(StudyPaths(folder / "studies", "small"))
    assert lease is not None
    assert lease.released
    assert not any(map(psutil.pid_exists, family))

    assert run_study(folder, "resume", "small").returncode == 0
    assert curves(study) == curves(launched.study)
    check_ledgers(study, f"sqlite:///{folder}/studies/mlflow.db")


def test_a_launch_that_is_starting_can_be_stopped_and_keeps_others_out(run_study: RunStudy, small_file: Path) -> None:
    folder = small_file.parent
    paths = StudyPaths(folder / "studies", "small")
    with driver(folder, "launch", "small.yaml") as process:
        wait_for(lambda: holder(paths) is not None, process)
        assert not any("gcs_server" in child.name() for child in psutil.Process(process.pid).children())
        second = run_study(folder, "launch", "small.yaml")
        assert (second.returncode, second.stdout) == (1, "")
        assert f"study 'small' is being run by process {process.pid} on " in second.stderr
        stopped = run_study(folder, "stop", "small")
        assert stopped.stdout == "Study 'small' is stopped; nothing of it had begun.\n", stopped.stderr
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 75, err
    assert err.endswith("Go on with:\n  the same `study launch`\n")
    assert "Traceback" not in err
    assert [path.name for path in folder.iterdir()] == ["small.yaml"]


def test_a_log_is_followed_until_the_study_has_ended(launched: Any, run_study: RunStudy) -> None:
    log = run_study(launched.folder, "logs", "small", "--follow").stdout.splitlines()
    assert log[-1].endswith(" concluded: finished")
    assert sum(" is started on " in line for line in log) == 12
    trial = run_study(launched.folder, "logs", "small", "paper/confirm", "-f").stdout.splitlines()
    assert [line.partition(" UTC ")[2].split(", ")[0] for line in trial[1:4]] == [
        f"epoch {number} of 3" for number in (1, 2, 3)
    ]


def test_an_unknown_trial_has_no_log(launched: Any, run_study: RunStudy) -> None:
    run = run_study(launched.folder, "logs", "small", "gt/t99")
    assert run.returncode == 2
    assert "no trial 'gt/t99'; there are: none/t00" in run.stderr
