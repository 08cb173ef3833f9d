"""What `study ls`, `show`, `rm`, `gc` and `ui` do to a folder of studies."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hpgan_core.checkpoint import write_checkpoint
from study.cli import app
from study.lease import keep_out
from study.record import Record, Trial
from tests.processes import STUDY, environment, free_port

AddTrial = Callable[..., Trial]
NewRecord = Callable[..., Record]


def study(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--studies", str(folder)])


@pytest.fixture
def record(new_record: NewRecord, add_trial: AddTrial) -> Record:
    """A study with a beaten trial, a confirmed winner and an interrupted one, all with checkpoints."""
    record = new_record(question="Can gt replace both?")
    add_trial(record, "gt", "t00", [0.5])
    add_trial(record, "gt", "t01", [0.9])
    add_trial(record, "gt", "confirm", [0.5])
    add_trial(record, "paper", "t00", [0.3], state=None)
    for trial in record.trials():
        trial.paths.checkpoints.mkdir()
        (trial.paths.checkpoints / "000001.pt").write_bytes(b"x" * 1000)
    return record


def test_ls_lists_every_study_with_its_question(record: Record, tmp_path: Path) -> None:
    shutil.copytree(record.paths.folder, tmp_path / "copy")
    (tmp_path / "copy" / "plan.json").write_text("{")
    lines = study(tmp_path, "ls").stdout.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["copy", "small"]
    assert "damaged" in lines[2]
    assert "Can gt replace both?" in lines[3]
    rows = json.loads(study(tmp_path, "ls", "--json").stdout)
    assert [row["study"] for row in rows] == ["copy", "small"]
    assert rows[1]["bytes"] > 4000
    assert rows[1].keys() >= rows[0].keys()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plan.json", "{}"),
        ("amendments.jsonl", "{}\n"),
        ("amendments.jsonl", '{"kind": "more_seeds", "members": 2}\n'),
        ("trials/gt/t01/outcome.json", '{"state": "no"}'),
        ("trials/gt/t01/trial.json", "{}"),
        ("trials/paper/t00/epochs.jsonl", "{}\n"),
    ],
)
def test_a_damaged_study_is_a_row_beside_the_others(record: Record, tmp_path: Path, name: str, content: str) -> None:
    shutil.copytree(record.paths.folder, tmp_path / "copy")
    (tmp_path / "copy" / name).write_text(content)
    rows = {row["study"]: row for row in json.loads(study(tmp_path, "ls", "--json").stdout)}
    assert (rows["copy"]["state"], rows["small"]["state"]) == ("damaged", "interrupted")
    assert f"{name} is damaged" in rows["copy"]["reason"]
    alone = study(tmp_path, "status", "copy")
    assert alone.exit_code == 1
    assert f"{name} is damaged" in alone.stderr.replace("\n", "")


def test_ls_of_an_empty_folder_says_how_to_begin(tmp_path: Path) -> None:
    assert "study launch FILE" in study(tmp_path, "ls").stdout
    assert json.loads(study(tmp_path, "ls", "--json").stdout) == []


def test_status_without_a_name_lists_all(record: Record, tmp_path: Path) -> None:
    assert study(tmp_path, "status").stdout == study(tmp_path, "ls").stdout


def test_show_prints_the_locked_plan(record: Record, tmp_path: Path) -> None:
    record.amend("add_trials", trials=2)
    shown = json.loads(study(tmp_path, "show", "small", "--json").stdout)
    assert shown["file"] == record.plan["file"]
    assert shown["amendments"]["trials"] == 2
    assert shown["data_digest"] == record.plan["data_digest"]
    assert "data_digest: 0000" in study(tmp_path, "show", "small").stdout.replace("'", "")


def test_show_tells_people_clips_and_windows_of_each_split(new_record: NewRecord, tmp_path: Path) -> None:
    new_record(people_tested=1)
    shown = json.loads(study(tmp_path, "show", "small", "--json").stdout)
    assert shown["splits"] == {"test": {"people": 1, "clips": 2, "windows": 9}}
    assert "  test:\n    people: 1\n" in study(tmp_path, "show", "small").stdout


def test_show_of_an_older_record_has_no_sizes_of_splits(record: Record, tmp_path: Path) -> None:
    plan = json.loads(record.paths.plan.read_text())
    del plan["splits"]
    record.paths.plan.write_text(json.dumps(plan))
    assert json.loads(study(tmp_path, "show", "small", "--json").stdout)["splits"] == {}


@pytest.mark.parametrize("trial", [(), ("gt/t01",)])
def test_show_refuses_a_plan_that_was_edited_after_the_lock(
    record: Record, tmp_path: Path, trial: tuple[str, ...]
) -> None:
    plan = json.loads(record.paths.plan.read_text())
    plan["file"]["question"] = "Another one?"
    record.paths.plan.write_text(json.dumps(plan))
    refused = study(tmp_path, "show", "small", *trial)
    assert refused.exit_code == 1
    assert "it has been changed since it was locked" in refused.stderr.replace("\n", " ")
    assert refused.stdout == ""


def test_show_prints_one_trial(record: Record, tmp_path: Path) -> None:
    shown = json.loads(study(tmp_path, "show", "small", "gt/t01", "--json").stdout)
    assert shown["state"] == "complete"
    assert shown["outcome"]["objective"] == 0.9
    assert shown["request"]["seeds"] == [0, 1]
    missing = study(tmp_path, "show", "small", "gt/t09")
    assert missing.exit_code == 2
    assert "gt/t01" in missing.stderr


def test_show_prints_dates_for_a_person_and_seconds_for_a_program(record: Record, tmp_path: Path) -> None:
    started = json.loads(study(tmp_path, "show", "small", "gt/t01", "--json").stdout)["request"]["started_at"]
    date = datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds")
    assert f"started_at: '{date}'" in study(tmp_path, "show", "small", "gt/t01").stdout


def test_gc_frees_what_no_winner_and_no_open_trial_needs(record: Record, tmp_path: Path) -> None:
    kept = {"gt/confirm", "paper/t00"}
    before = {trial.key for trial in record.trials() if trial.paths.checkpoints.exists()}
    assert "2.0 kB could be freed" in study(tmp_path, "gc", "--dry-run").stdout
    assert {trial.key for trial in record.trials() if trial.paths.checkpoints.exists()} == before
    assert "2.0 kB have been freed" in study(tmp_path, "gc", "small").stdout
    assert {trial.key for trial in record.trials() if trial.paths.checkpoints.exists()} == kept
    assert "0 bytes have been freed" in study(tmp_path, "gc").stdout


def test_gc_leaves_a_winner_its_last_checkpoint_alone(record: Record, tmp_path: Path) -> None:
    folder = record.trial("gt", "confirm").paths.checkpoints
    shutil.rmtree(folder)
    older, newest = (write_checkpoint(folder, epoch, {"epoch": epoch}) for epoch in (1, 2))
    could = json.loads(study(tmp_path, "gc", "--dry-run", "--json").stdout)["bytes"]
    assert could == 2000 + older.stat().st_size
    assert study(tmp_path, "gc").exit_code == 0
    assert list(folder.iterdir()) == [newest]


def test_gc_leaves_a_running_study_alone(record: Record, tmp_path: Path) -> None:
    with record.driving():
        assert "left alone" in study(tmp_path, "gc").stdout
    assert all(trial.paths.checkpoints.exists() for trial in record.trials())


def test_gc_names_a_damaged_study_and_frees_the_others(record: Record, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "plan.json").write_text("{")
    ended = study(tmp_path, "gc", "--json")
    assert ended.exit_code == 1
    assert "damaged: bad" in ended.stderr
    told = json.loads(ended.stdout)
    assert told["studies"] == {"bad": None, "small": 2000}
    assert "plan.json is damaged" in told["damaged"]["bad"]
    assert not record.trial("gt", "t00").paths.checkpoints.exists()
    assert study(tmp_path, "gc", "small").exit_code == 0


def test_rm_asks_before_it_removes(record: Record, tmp_path: Path) -> None:
    refused = study(tmp_path, "rm", "small")
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert record.exists
    assert study(tmp_path, "rm", "small", "--yes").exit_code == 0
    assert list(tmp_path.iterdir()) == []


def test_rm_removes_all_or_none(record: Record, tmp_path: Path) -> None:
    assert study(tmp_path, "rm", "small", "other", "--yes").exit_code == 2
    with record.driving():
        running = study(tmp_path, "rm", "small", "--yes")
    assert running.exit_code == 1
    assert "stop it first" in running.stderr
    assert record.exists


@pytest.mark.parametrize("port", ["0", "65536", "80000"])
def test_ui_takes_no_number_that_is_no_port(record: Record, tmp_path: Path, port: str) -> None:
    ended = study(tmp_path, "ui", "small", "--port", port)
    assert ended.exit_code == 2
    assert "--port" in ended.stderr


def test_ui_says_that_its_port_is_taken_before_it_begins(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = study(tmp_path, "ui", "small", "--port", str(port))
    assert ended.exit_code == 1
    assert (
        ended.stderr == f"study: --port: 127.0.0.1:{port} cannot be used: Address already in use; name another port\n"
    )
    assert not record.paths.mlflow_database.exists()


def test_ui_does_not_publish_beside_another_process(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with keep_out(record.paths):
        ended = study(tmp_path, "ui", "small", "--port", str(free_port()))
    assert ended.exit_code == 1
    assert ended.stderr.startswith("study: another process publishes study 'small'")
    assert not record.paths.mlflow_database.exists()


@pytest.mark.parametrize("form", ["--json", "table"])
def test_a_reader_that_has_seen_enough_is_no_failure(record: Record, tmp_path: Path, form: str) -> None:
    gone, output = os.pipe()
    os.close(gone)
    command = [STUDY, "show", "small", "--studies", str(tmp_path), *([form] if form == "--json" else [])]
    run = subprocess.run(command, env=environment(), stdout=output, stderr=subprocess.PIPE, text=True, check=False)
    os.close(output)
    assert (run.returncode, run.stderr) == (0, "")


def test_a_place_that_cannot_be_written_is_named_without_a_traceback(record: Record, tmp_path: Path) -> None:
    result = study(tmp_path, "export", "small", "/sys/small.tar.gz")
    assert result.exit_code == 1
    assert "cannot write /sys/small.tar.gz: " in result.stderr
    assert "name another place" in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_a_bundle_is_not_blamed_for_a_folder_that_cannot_be_written(record: Record, tmp_path: Path) -> None:
    bundle = tmp_path / "small.tar.gz"
    assert study(tmp_path, "export", "small", str(bundle)).exit_code == 0
    result = study(Path("/sys"), "import", str(bundle))
    assert result.exit_code == 1
    assert "cannot write /sys/" in result.stderr


@pytest.mark.parametrize(
    ("verb", "complaint"),
    [
        (("report", "small", "--out", "file"), "--out file: file is no folder; name another place"),
        (("report", "small", "--out", "/dev/null/report"), "/dev/null is no folder; name another place"),
        (("export", "small", "nowhere/small.tar.gz"), "nowhere is no folder; make it"),
    ],
)
def test_what_is_to_be_written_needs_a_folder(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: tuple[str, ...], complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    result = study(tmp_path, *verb)
    assert result.exit_code == 2
    assert complaint in result.stderr


def test_a_study_that_is_being_started_is_not_called_missing(tmp_path: Path) -> None:
    with Record.named(tmp_path, "young").driving():
        result = study(tmp_path, "compare", "young")
    assert result.exit_code == 2
    assert "study 'young' is being started by process " in result.stderr


def test_rm_removes_nothing_outside_the_folder_of_studies(record: Record, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    refused = study(other, "rm", "../small", "--yes")
    assert refused.exit_code == 2
    assert "'../small' is no name of a study" in refused.stderr
    assert record.exists


def test_rm_asks_about_a_damaged_study_as_well(record: Record, tmp_path: Path) -> None:
    record.paths.plan.write_text("{}")
    assert "--yes" in study(tmp_path, "rm", "small").stderr
    assert study(tmp_path, "rm", "small", "--yes").exit_code == 0
    assert not record.paths.folder.exists()


def test_validate_tells_of_an_earlier_study_that_is_not_there(record: Record, tmp_path: Path) -> None:
    file = tmp_path / "next.yaml"
    file.write_text(
        "arms: {gt: [gt]}\nparameters: {hidden_size: {type: int, min: 8, max: 64, default: 16}}\n"
        "search: {warm_start: nobody}\n"
    )
    refused = study(tmp_path, "validate", str(file), "--json")
    assert refused.exit_code == 2
    (problem,) = json.loads(refused.stdout)["problems"]
    assert "no study 'nobody' in" in problem
    shutil.copytree(record.paths.folder, tmp_path / "next")
    assert study(tmp_path, "validate", str(file)).exit_code == 0, "it has begun, and learned all that it was to learn"
