"""MLflow as a projection of the record: whatever is lost there is rebuilt, and what is there stays as it is."""

import math
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run
from rich.console import Console

from study.commands import publish as verb
from study.errors import StudyError
from study.record import Outcome, Record, Trial
from study.tracking import Published, Tracker

MakeRecord = Callable[..., Record]
Drive = Callable[..., None]
StartTrial = Callable[..., Trial]
Train = Callable[..., None]
Dump = Callable[[Tracker], dict[str, Any]]

NOTHING = Published()


@pytest.fixture(scope="module")
def ended(
    make_record: MakeRecord, drive: Drive, empty_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Record:
    """A study that has ended and nobody has published."""
    folder = tmp_path_factory.mktemp("studies")
    uri = f"sqlite:///{shutil.copy(empty_database, folder / 'tracking.db')}"
    made = make_record(folder, tracking={"uri": uri, "models": False})
    drive(made)
    return made


@pytest.fixture(scope="module")
def published(ended: Record) -> Tracker:
    tracker = Tracker(ended, ended.study_file)
    tracker.publish()
    return tracker


def publish_again(record: Record) -> Published:
    """As another process would."""
    return Tracker(record, record.study_file).publish()


def runs_by_key(tracker: Tracker) -> dict[str, Run]:
    own = f"tags.`study.id` = '{tracker.record.plan['id']}'"
    return {run.data.tags["study.key"]: run for run in tracker.client.search_runs([tracker.experiment_id], own)}


def outcome_of(trial: Trial) -> Outcome:
    assert trial.outcome is not None
    return trial.outcome


def test_mlflow_holds_exactly_the_trials_of_the_record(published: Tracker, ended: Record, dump: Dump) -> None:
    trials = {trial.key: trial for trial in ended.trials()}
    assert {outcome_of(trial).state for trial in trials.values()} == {"complete", "pruned"}
    content = dump(published)
    assert content.keys() == {*trials, "study", "baseline/zero_velocity", "baseline/constant_velocity"}
    for key, trial in trials.items():
        epochs, run = trial.epochs(), content[key]
        assert run["tags"]["study.outcome"] == trial.state
        assert run["run"][1:] == (
            "FINISHED",
            int(trial.request.started_at * 1000),
            int(outcome_of(trial).ended_at * 1000),
        )
        for name in epochs[0]["mean"]:
            expected = [(epoch["epoch"], int(epoch["time"] * 1000), repr(epoch["mean"][name])) for epoch in epochs]
            assert run["points"][name] == expected


def test_runs_carry_their_active_parameters_only(published: Tracker, ended: Record) -> None:
    runs = runs_by_key(published)
    for trial in ended.trials():
        params = runs[trial.key].data.params
        assert params["hidden_size"] == str(trial.request.parameters["hidden_size"])
        assert params["critic_size"] == "12"
        assert ("gt_weight" in params) == (trial.request.arm == "gt")
        assert "bone_weight" not in params


def test_runs_are_found_by_tags_and_named_for_a_legend(published: Tracker) -> None:
    runs = runs_by_key(published)
    assert runs["gt/t01"].info.run_name == "gt/t01"
    assert runs["gt/confirm"].info.run_name == "gt"
    query = "tags.`study.kind` = 'trial' and tags.`study.arm` = 'gt'"
    found = published.client.search_runs([published.experiment_id], filter_string=query)
    assert sorted(run.data.tags["study.key"] for run in found) == ["gt/t00", "gt/t01"]


def test_every_trial_has_its_pictures_and_the_study_its_plan(published: Tracker, ended: Record, dump: Dump) -> None:
    content = dump(published)
    for trial in ended.trials():
        files = list(content[trial.key]["files"])
        assert [file for file in files if file.endswith(".gif")] == [f"motions/clip{n}.gif" for n in (1, 2, 3)]
        for clip in (1, 2, 3):
            stills = [file for file in files if file.startswith(f"images/clip {clip}+step+{outcome_of(trial).epochs}+")]
            assert [Path(still).suffix for still in stills] == [".webp", ".png"]
    assert {"plan/plan.json", "plan/study.yaml"} < content["study"]["files"].keys()


def test_arms_carry_their_interval(published: Tracker, ended: Record) -> None:
    metrics = runs_by_key(published)["gt/confirm"].data.metrics
    members = ended.trial("gt", "confirm").epochs()[-1]["members"]["test/ade"]
    assert metrics["test/ade.mean"] == pytest.approx(sum(members) / 3)
    assert metrics["test/ade.ci_low"] < metrics["test/ade.mean"] < metrics["test/ade.ci_high"]
    assert metrics["n_seeds"] == 3


def test_the_best_value_so_far_stands_beside_the_last(published: Tracker, ended: Record) -> None:
    scores = [epoch["mean"]["val/score"] for epoch in ended.trial("none", "t00").epochs()]
    run = runs_by_key(published)["none/t00"]
    history = published.client.get_metric_history(run.info.run_id, "best/score")
    best = [point.value for point in sorted(history, key=lambda point: point.step)]
    assert best == [min(scores[: epoch + 1]) for epoch in range(len(scores))]


def test_the_link_compares_the_arms(published: Tracker, ended: Record) -> None:
    runs = runs_by_key(published)
    path = published.compare_path()
    assert all(runs[f"{arm}/confirm"].info.run_id in path for arm in ended.study_file.arms)
    note = published.client.get_experiment(published.experiment_id).tags["mlflow.note.content"]
    assert path in note


def test_publishing_again_changes_nothing(published: Tracker, ended: Record, dump: Dump) -> None:
    before = dump(published)
    assert publish_again(ended) == NOTHING
    assert dump(published) == before


def test_a_publisher_that_died_before_the_end_of_a_run_is_put_right(
    published: Tracker, ended: Record, dump: Dump
) -> None:
    before = dump(published)
    run_id = runs_by_key(published)["gt/t00"].info.run_id
    published.client.delete_tag(run_id, "study.outcome")
    published.client.update_run(run_id, status="RUNNING")
    sent = publish_again(ended)
    assert (sent.runs, sent.ended) == (0, 1)
    assert dump(published) == before


def test_a_run_that_mlflow_made_and_nothing_more_is_adopted(published: Tracker, ended: Record, dump: Dump) -> None:
    before = dump(published)
    run = runs_by_key(published)["gt/t01"]
    published.client.delete_run(run.info.run_id)
    own = {name: run.data.tags[name] for name in ("study.id", "study.key")}
    request = ended.trial("gt", "t01").request
    orphan = published.client.create_run(
        published.experiment_id, int(request.started_at * 1000), run.data.tags | own, run.info.run_name
    )
    assert publish_again(ended).runs == 0
    assert runs_by_key(published)["gt/t01"].info.run_id == orphan.info.run_id
    assert dump(published) == before


@pytest.mark.parametrize("key", ["none/confirm", "baseline/zero_velocity", "study"])
def test_a_deleted_run_is_rebuilt(published: Tracker, ended: Record, dump: Dump, key: str) -> None:
    before = dump(published)
    published.client.delete_run(runs_by_key(published)[key].info.run_id)
    assert publish_again(ended).runs == 1
    assert dump(published) == before


def test_a_deleted_experiment_comes_back_as_it_was(published: Tracker, ended: Record, dump: Dump) -> None:
    before = dump(published)
    published.client.delete_experiment(published.experiment_id)
    rebuilt = Tracker(ended, ended.study_file)
    rebuilt.publish()
    assert dump(rebuilt) == before


@pytest.mark.parametrize("lost", ["the experiment for good", "the content of every table"])
def test_what_is_gone_for_good_is_rebuilt_from_the_record_alone(
    published: Tracker, ended: Record, dump: Dump, lost: str
) -> None:
    before = dump(published)
    file = published.address.sqlite_file
    assert file is not None
    if lost == "the experiment for good":
        published.client.delete_experiment(published.experiment_id)
        mlflow = str(Path(sys.executable).with_name("mlflow"))
        where = [f"{option}={published.address.uri}" for option in ("--backend-store-uri", "--tracking-uri")]
        subprocess.run([mlflow, "gc", *where], check=True, capture_output=True)
    else:
        with sqlite3.connect(file) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in set(tables) - {"alembic_version"}:
                connection.execute(f"DELETE FROM {table}")
    sent = publish_again(ended)
    assert sent.runs == sent.ended == len(before)
    rebuilt = dump(Tracker(ended, ended.study_file))
    assert rebuilt == before


def test_a_run_that_no_trial_stands_behind_is_ended(published: Tracker, ended: Record) -> None:
    tags = {"study.id": ended.plan["id"], "study.key": "gt/t77"}
    stray = published.client.create_run(published.client.get_experiment_by_name("small").experiment_id, tags=tags)
    publish_again(ended)
    assert published.client.get_run(stray.info.run_id).info.status == "KILLED"
    published.client.delete_run(stray.info.run_id)


def test_an_interrupted_study_leaves_no_run_running_and_goes_on(
    make_record: MakeRecord, start_trial: StartTrial, train: Train, database: Path, tmp_path: Path, dump: Dump
) -> None:
    record = make_record(tmp_path, tracking={"uri": f"sqlite:///{database}"})
    trial = start_trial(record, 0)
    train(trial, 3)
    driver = Tracker(record, record.study_file)
    driver.publish_trial(trial)
    assert dump(driver)["gt/t00"]["run"][1] == "RUNNING"

    # The driver is killed; somebody publishes, twice.
    assert publish_again(record).ended == 1
    interrupted = dump(driver)
    last_epoch_at = trial.epochs()[-1]["time"]
    assert interrupted["gt/t00"]["run"][1:] == ("KILLED", int(trial.request.started_at * 1000), last_epoch_at * 1000)
    assert interrupted["gt/t00"]["tags"]["study.outcome"] == "interrupted"
    assert publish_again(record) == NOTHING
    assert dump(driver) == interrupted

    next_driver = Tracker(record, record.study_file)
    train(trial, 2)
    next_driver.publish_trial(trial)
    assert dump(driver)["gt/t00"]["run"][1] == "RUNNING"
    trial.close("complete", 0.2)
    next_driver.publish_trial(trial)
    content = dump(driver)["gt/t00"]
    assert content["run"][1] == "FINISHED"
    assert [step for step, _, _ in content["points"]["val/score"]] == [1, 2, 3, 4, 5]
    assert publish_again(record) == NOTHING


def test_every_end_of_a_trial_has_its_status_and_says_why(
    make_record: MakeRecord, start_trial: StartTrial, train: Train, database: Path, tmp_path: Path
) -> None:
    record = make_record(tmp_path, tracking={"uri": f"sqlite:///{database}"})
    for number in range(4):
        train(start_trial(record, number), 1)
    lost = record.trial("gt", "t02")
    lost.end_attempt(lost.begin_attempt("10.0.0.7"), "lost_node", "the node is gone")
    lost.begin_attempt("10.0.0.8")
    record.trial("gt", "t00").close("complete", 0.5)
    record.trial("gt", "t01").close("pruned", 0.5)
    lost.close("failed", None, "does not fit with one member", "out_of_memory")
    tracker = Tracker(record, record.study_file)
    tracker.publish()
    runs = runs_by_key(tracker)
    ends = {key: (run.info.status, run.data.tags["study.outcome"]) for key, run in runs.items()}
    assert ends == {
        "gt/t00": ("FINISHED", "complete"),
        "gt/t01": ("FINISHED", "pruned"),
        "gt/t02": ("FAILED", "failed"),
        "gt/t03": ("KILLED", "interrupted"),
    }
    tags = runs["gt/t02"].data.tags
    assert tags["study.cause"] == "does not fit with one member"
    assert tags["study.failure"] == "out_of_memory"
    assert tags["study.earlier_attempts"] == "10.0.0.7: lost_node"


def test_a_value_that_is_not_finite_is_sent_as_nan_and_only_once(
    make_record: MakeRecord, start_trial: StartTrial, database: Path, tmp_path: Path, dump: Dump
) -> None:
    record = make_record(tmp_path, tracking={"uri": f"sqlite:///{database}"})
    trial = start_trial(record, 0)
    values = [math.inf, 0.5, math.nan, -math.inf, 0.75]
    for epoch, value in enumerate(values, start=1):
        trial.append_epoch(
            {"epoch": epoch, "members": {}, "mean": {"val/score": value, "val/ade": 1.0}, "spread": {}, "diverged": 0}
            | {"seconds": 0.1, "time": 1_700_000_000.0 + epoch}
        )
    every_member = {"epoch": 6, "members": {}, "mean": {}, "spread": {}, "diverged": 2, "seconds": 0.1}
    trial.append_epoch(every_member | {"time": 1_700_000_006.0})
    trial.close("failed", None, "every member diverged by epoch 6", "diverged")
    tracker = Tracker(record, record.study_file)
    tracker.publish()
    points = dump(tracker)["gt/t00"]["points"]
    assert [value for _, _, value in points["val/score"]] == ["nan", "0.5", "nan", "nan", "0.75"]
    assert [(step, value) for step, _, value in points["best/score"]] == [(n, "0.5") for n in (2, 3, 4, 5, 6)]
    assert [value for _, _, value in points["diverged"]] == ["0.0"] * 5 + ["2.0"]
    # Lost on the way: everything is sent again.
    tracker.client.update_run(runs_by_key(tracker)["gt/t00"].info.run_id, status="RUNNING")
    assert publish_again(record).points > 0
    assert dump(tracker)["gt/t00"]["points"] == points


def test_a_second_run_of_one_trial_is_removed(
    make_record: MakeRecord, start_trial: StartTrial, train: Train, database: Path, tmp_path: Path, dump: Dump
) -> None:
    """A server that answers too late has carried out what the client believes to have failed."""
    record = make_record(tmp_path, tracking={"uri": f"sqlite:///{database}"})
    train(start_trial(record, 0), 2)
    tracker = Tracker(record, record.study_file)
    tracker.publish()
    before = dump(tracker)
    tags = runs_by_key(tracker)["gt/t00"].data.tags
    for _ in range(2):
        tracker.client.create_run(tracker.experiment_id, tags=tags)
    assert publish_again(record) == NOTHING
    assert dump(tracker) == before


def test_runs_on_every_page_are_found_again(
    make_record: MakeRecord,
    start_trial: StartTrial,
    train: Train,
    database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("study.tracking.tracker.RUNS_A_PAGE", 3)
    record = make_record(tmp_path, tracking={"uri": f"sqlite:///{database}"})
    for number in range(7):
        train(start_trial(record, number), 1)
    assert publish_again(record).runs == 7
    assert publish_again(record) == NOTHING


def test_one_trial_that_cannot_be_published_does_not_keep_others(
    make_record: MakeRecord, start_trial: StartTrial, train: Train, database: Path, tmp_path: Path, dump: Dump
) -> None:
    record = make_record(tmp_path, tracking={"uri": f"sqlite:///{database}"})
    for number in range(3):
        train(start_trial(record, number), 2)
        record.trial("gt", f"t{number:02d}").close("complete", 0.5)
    broken = record.trial("gt", "t01").paths.epochs
    content = broken.read_text()
    broken.write_text("{" + content)
    with pytest.raises(StudyError, match="gt/t01 cannot be published"):
        publish_again(record)
    tracker = Tracker(record, record.study_file)
    statuses = {key: run["run"][1] for key, run in dump(tracker).items()}
    assert statuses == {"gt/t00": "FINISHED", "gt/t01": "RUNNING", "gt/t02": "FINISHED"}
    broken.write_text(content)
    assert publish_again(record).ended == 1


def test_a_study_run_anew_under_its_old_name_does_not_take_over_the_old_runs(
    make_record: MakeRecord, start_trial: StartTrial, train: Train, database: Path, tmp_path: Path, dump: Dump
) -> None:
    """Somebody removes the study's folder and launches again, or two people share a server."""
    for epochs, folder in ((2, "first"), (3, "second")):
        record = make_record(tmp_path / folder, name="twice", tracking={"uri": f"sqlite:///{database}"})
        train(start_trial(record, 0), epochs)
        tracker = Tracker(record, record.study_file)
        assert tracker.publish().runs == 1
        assert len(dump(tracker)["gt/t00"]["points"]["val/score"]) == epochs


def test_study_publish_says_what_it_sent(
    make_record: MakeRecord, start_trial: StartTrial, train: Train, database: Path, tmp_path: Path
) -> None:
    record = make_record(tmp_path, tracking={"uri": f"sqlite:///{database}"})
    train(start_trial(record, 0), 2, metrics=1)

    def publish() -> str:
        console = Console(file=StringIO(), width=200)
        verb.run("small", studies=tmp_path, as_json=False, console=console)
        return console.file.getvalue()  # type: ignore[attr-defined]

    sent = "1 runs made, 10 points and 0 files sent, 1 runs ended, 0 models registered"
    assert publish() == f"sqlite:///{database}: {sent}\n"
    assert publish() == f"sqlite:///{database}: nothing was missing\n"
    with record.driving(), pytest.raises(StudyError, match=r"is being run by process .*, which publishes it"):
        publish()
