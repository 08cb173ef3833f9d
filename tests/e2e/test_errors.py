"""Whatever a person can do wrong: one message, the right exit code, nothing written."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hpgan_core.data.synthetic import write_synthetic
from study.record import _digest
from tests.ledgers import check_ledgers

RunStudy = Callable[..., subprocess.CompletedProcess[str]]


def refused(run: subprocess.CompletedProcess[str], folder: Path, *, exit_code: int = 2) -> str:
    """The message of a run that ended before it wrote anything."""
    assert run.returncode == exit_code, (run.returncode, run.stdout, run.stderr)
    assert run.stderr.startswith("study: ")
    assert "Traceback" not in run.stderr
    assert not (folder / "studies").exists()
    return run.stderr


def unused_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
    return port


def test_a_missing_folder_of_recordings(run_study: RunStudy, small_file: Path) -> None:
    message = refused(run_study(small_file.parent, "launch", "small.yaml", "--data", "no/such"), small_file.parent)
    assert "no/such" in message


def test_a_folder_without_recordings(run_study: RunStudy, small_file: Path) -> None:
    (small_file.parent / "empty").mkdir()
    message = refused(run_study(small_file.parent, "launch", "small.yaml", "--data", "empty"), small_file.parent)
    assert "empty" in message
    assert ".skeleton" in message


@pytest.mark.parametrize("damage", ["truncated", "malformed"])
def test_a_damaged_recording(run_study: RunStudy, small_file: Path, damage: str) -> None:
    folder = small_file.parent
    write_synthetic(folder / "motion", people=5, clips_per_action=1, frames=31)
    victim = sorted((folder / "motion").glob("*.skeleton"))[3]
    text = victim.read_text()
    half = text[: len(text) // 2]
    victim.write_text(
        half if damage == "truncated" else half.rstrip().rpartition(" ")[0] + " zebra" + text[len(half) :]
    )
    message = refused(run_study(folder, "launch", "small.yaml", "--data", "motion"), folder)
    assert victim.name in message
    assert "expected" in message


def test_a_missing_study_file(run_study: RunStudy, tmp_path: Path) -> None:
    assert "nothing.yaml" in refused(run_study(tmp_path, "launch", "nothing.yaml"), tmp_path)


def test_every_problem_of_a_study_file_with_line_and_suggestion(run_study: RunStudy, small_file: Path) -> None:
    text = small_file.read_text()
    for right, wrong in (
        ("gt: [gt]", "gt: [gtt]"),
        ("name: tpe", "name: tpee"),
        ("metrics: [ade]", "metrics: [adee]"),
        ("reference: paper", "reference: papper"),
        ("members: 3", "members: three"),
    ):
        assert right in text
        text = text.replace(right, wrong)
    small_file.write_text(text)
    message = refused(run_study(small_file.parent, "launch", "small.yaml"), small_file.parent)
    lines = message.splitlines()
    for name, suggestion in (("gtt", "gt"), ("papper", "paper"), ("adee", "ade")):
        (line,) = [line for line in lines if f"{name!r}" in line]
        assert f"did you mean {suggestion!r}" in line
        assert "small.yaml:" in line
    assert "tpee" in message
    assert "three" in message
    assert len(lines) >= 5


def test_unknown_names_are_answered_with_known_ones(run_study: RunStudy, small_file: Path) -> None:
    known = {
        "objective.metric=val/scroe": "did you mean 'score'",
        "arms.other=[nonsense]": "known: gt, consistency, bone",
        "search.sampler.name=genetic": "tpe",
        "search.pruner.name=bayesian": "successive_halving",
        "search.epohcs=3": "did you mean 'epochs'",
        "data.people=two": "must be a whole number, found 'two'",
    }
    settings = [word for setting in known for word in ("--set", setting)]
    message = refused(run_study(small_file.parent, "launch", "small.yaml", *settings), small_file.parent)
    for setting, answer in known.items():
        (line,) = [line for line in message.splitlines() if f"--set {setting}" in line]
        assert answer in line


@pytest.mark.parametrize("verb", ["status", "compare", "reproduce", "ui"])
def test_an_unknown_study(run_study: RunStudy, tmp_path: Path, verb: str) -> None:
    message = refused(run_study(tmp_path, verb, "nobody"), tmp_path)
    assert "no study 'nobody' in studies" in message
    assert "Traceback" not in message


def test_an_unknown_trial_is_answered_with_those_there_are(launched: Any, run_study: RunStudy) -> None:
    run = run_study(launched.folder, "reproduce", "small", "gt/t99")
    assert run.returncode == 2
    assert "no trial 'gt/t99'; there are: none/t00, none/t01" in run.stderr
    assert "Traceback" not in run.stderr


def test_other_data_than_was_recorded_cannot_be_reproduced(launched: Any, run_study: RunStudy, tmp_path: Path) -> None:
    shutil.copytree(launched.study, tmp_path / "studies" / "small")
    file = tmp_path / "studies" / "small" / "plan.json"
    plan = json.loads(file.read_text()) | {"data_digest": "f" * 64}
    file.write_text(json.dumps(plan | {"digest": _digest(plan)}))
    run = run_study(tmp_path, "reproduce", "small")
    assert run.returncode == 2
    assert "the data of 'small' has changed" in run.stderr


def test_an_unreachable_ray_is_named_within_seconds(run_study: RunStudy, small_file: Path) -> None:
    address = f"127.0.0.1:{unused_port()}"
    started = time.monotonic()
    run = run_study(small_file.parent, "launch", "small.yaml", "--address", address)
    assert time.monotonic() - started < 40
    assert f"cannot reach Ray at {address}" in refused(run, small_file.parent, exit_code=1)
    run = run_study(small_file.parent, "launch", "small.yaml", RAY_ADDRESS=address)
    assert f"cannot reach Ray at {address}" in refused(run, small_file.parent, exit_code=1)


def test_resources_that_no_machine_has_lock_no_plan(run_study: RunStudy, small_file: Path) -> None:
    run = run_study(small_file.parent, "launch", "small.yaml", "--set", "resources.cpus_per_trial=999")
    assert run.returncode == 1
    assert "a trial needs 999 CPUs" in run.stderr
    assert not (small_file.parent / "studies" / "small").exists()


def test_debug_shows_the_traceback(run_study: RunStudy, tmp_path: Path) -> None:
    run = run_study(tmp_path, "status", "nobody", "--debug")
    assert run.returncode != 0
    assert "Traceback" in run.stderr


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    program = """
import sys
from study.cli import main
sys.argv = ["study", "--help"]
try:
    main()
except SystemExit as exit:
    assert exit.code == 0
heavy = {"ray", "torch", "mlflow", "optuna", "pandas", "numpy", "pydantic"} & sys.modules.keys()
assert not heavy, heavy
"""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        times.append(time.perf_counter() - started)
        assert run.returncode == 0, run.stderr
        assert "launch" in run.stdout
    assert min(times) < 0.5


# Studies that end otherwise than as planned

QUICK = ("--set", "search.epochs=1", "--set", "search.pruner.grace_epochs=1", "--set", "confirm.epochs=1")


def ledgers_agree(folder: Path) -> None:
    check_ledgers(folder / "studies" / "small", f"sqlite:///{folder}/studies/mlflow.db")


@pytest.mark.timeout(900)
def test_too_many_failed_trials_end_a_study_and_can_be_run_again(run_study: RunStudy, small_file: Path) -> None:
    folder = small_file.parent
    # No training can write its checkpoint here.
    obstacle = folder / "studies" / "small" / "trials" / "none" / "t00" / "checkpoints"
    obstacle.parent.mkdir(parents=True)
    obstacle.touch()
    run = run_study(folder, "launch", "small.yaml", *QUICK, "--set", "budget.failed_fraction=0")
    assert run.returncode == 4, (run.stdout, run.stderr)
    assert "1 of 9 planned trials have failed, and budget.failed_fraction is 0" in run.stderr
    assert "`study resume small --retry-failed`" in run.stderr
    status = json.loads(run_study(folder, "status", "small", "--json").stdout)
    assert (status["state"], status["arms"]["none"]["failed_by"]) == ("too_many_failed", {"bug": 1})
    assert "FileExistsError" in run_study(folder, "logs", "small", "none/t00").stdout
    again = run_study(folder, "launch", "small.yaml", *QUICK, "--set", "budget.failed_fraction=0")
    assert (again.returncode, "nothing is left to run" in again.stdout) == (4, True)

    obstacle.unlink(missing_ok=True)
    run = run_study(folder, "resume", "small", "--retry-failed")
    assert run.returncode == 0, (run.stdout, run.stderr)
    assert "To run again: none/t00" in run.stdout
    requests = [json.loads(file.read_text()) for file in folder.glob("studies/small/trials/none/t*/trial.json")]
    assert sorted(str(request["retry_of"]) for request in requests) == ["None", "None", "None", "t00"]
    ledgers_agree(folder)


@pytest.mark.timeout(900)
def test_a_budget_that_is_spent_first_says_so_and_a_greater_one_goes_on(run_study: RunStudy, small_file: Path) -> None:
    folder = small_file.parent
    run = run_study(folder, "launch", "small.yaml", *QUICK, "--set", "budget.trials=3")
    assert run.returncode == 5, (run.stdout, run.stderr)
    assert "budget.trials is 3: 1 trials an arm instead of 3" in run.stderr
    status = json.loads(run_study(folder, "status", "small", "--json").stdout)
    assert status["state"] == "budget_spent"
    # What there is has been confirmed.
    assert {arm["confirm"] for arm in status["arms"].values()} == {"complete"}
    run = run_study(folder, "launch", "small.yaml", *QUICK, "--set", "budget.trials=9")
    assert run.returncode == 0, (run.stdout, run.stderr)
    assert len(list(folder.glob("studies/small/trials/*/t*/outcome.json"))) == 9
    ledgers_agree(folder)


@pytest.mark.timeout(900)
def test_without_mlflow_a_study_is_run_and_published_later(run_study: RunStudy, small_file: Path) -> None:
    folder, uri = small_file.parent, f"http://127.0.0.1:{unused_port()}"
    quick = (*QUICK, "--set", "search.trials_per_arm=1")
    run = run_study(folder, "launch", "small.yaml", *quick, MLFLOW_TRACKING_URI=uri)
    assert run.returncode == 0, (run.stdout, run.stderr)
    assert uri in run.stdout
    assert "study publish small" in run.stdout
    assert run_study(folder, "publish", "small").returncode == 0
    ledgers_agree(folder)


# Disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own for `studies`, which holds the small study with all its pictures."""
    disk = tmp_path / "studies"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mount.returncode:
        pytest.skip(f"no file system can be mounted here: {mount.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.timeout(900)
def test_a_full_disk_ends_a_study_that_goes_on_once_there_is_space(
    run_study: RunStudy, small_file: Path, small_disk: Path
) -> None:
    folder, study = small_file.parent, small_disk / "small"
    elsewhere = f"sqlite:///{folder}/mlflow.db"
    arguments = ("--set", "search.epochs=40", "--set", "search.trials_per_arm=1", "--set", f"tracking.uri={elsewhere}")
    command = [sys.executable, "-c", "from study.cli import main; main()", "launch", "small.yaml", *arguments]
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "RAY_"))}
    process = subprocess.Popen(
        command, cwd=folder, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    epochs = study / "trials" / "none" / "t00" / "epochs.jsonl"
    deadline = time.monotonic() + 200
    while not (epochs.exists() and epochs.read_bytes().count(b"\n") >= 3):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 512):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert "No space left on device" in err
    assert "study resume small" in err
    assert "Traceback" not in err

    ballast.unlink()
    status = json.loads(run_study(folder, "status", "small", "--json").stdout)
    assert (status["state"], status["arms"]["none"]["failed"]) == ("interrupted", 0)
    run = run_study(folder, "resume", "small")
    assert run.returncode == 0, (run.stdout, run.stderr)
    check_ledgers(study, elsewhere)

    # What is left of Ray may hold a file open for some seconds more.
    deadline = time.monotonic() + 60
    while subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], capture_output=True, check=False).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert json.loads(run_study(folder, "status", "small", "--json").stdout)["state"] == "finished"
    assert run_study(folder, "compare", "small").returncode == 0
    run = run_study(folder, "resume", "small", "--add-trials", "1")
    assert run.returncode == 1, (run.stdout, run.stderr)
    assert "cannot write to studies/small: Read-only file system" in run.stderr
    assert "Traceback" not in run.stderr
