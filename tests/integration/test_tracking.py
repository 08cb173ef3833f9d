"""MLflow as a projection of the record: real trials, real SQLite, a real server that comes and goes."""

import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from study.errors import StudyError
from study.record import Outcome, Record, Trial
from study.tracking import Publisher, Tracker

MakeRecord = Callable[..., Record]
Drive = Callable[..., None]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One database for all studies here: making its tables takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture(scope="module")
def record(make_record: MakeRecord, drive: Drive, database: str, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A study that has ended and nobody has published."""
    made = make_record(tmp_path_factory.mktemp("studies"), tracking={"uri": database})
    drive(made)
    return made


@pytest.fixture(scope="module")
def published(record: Record) -> Tracker:
    tracker = Tracker(record, record.study_file)
    tracker.publish()
    return tracker


def runs_by_key(tracker: Tracker) -> dict[str, Run]:
    runs = tracker.client.search_runs([tracker.experiment_id])
    by_key = {run.data.tags["study.key"]: run for run in runs}
    assert len(by_key) == len(runs)
    return by_key


def artifacts(client: MlflowClient, run_id: str, path: str | None = None) -> list[str]:
    """Every file below a path; image names hold the time they were logged at, which is left out."""
    found = []
    for file in client.list_artifacts(run_id, path):
        found += artifacts(client, run_id, file.path) if file.is_dir else [file.path.partition("+timestamp+")[0]]
    return sorted(found)


def snapshot(tracker: Tracker) -> dict[str, Any]:
    """All that a person sees of the study's runs, under their keys."""
    client, content = tracker.client, {}
    for key, run in runs_by_key(tracker).items():
        history = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
        points = {
            name: [(point.step, point.timestamp, repr(point.value)) for point in sorted(line, key=lambda p: p.step)]
            for name, line in history.items()
        }
        tags = {name: value for name, value in run.data.tags.items() if name.startswith("study.")}
        content[key] = (run.info.status, run.data.params, tags, points, artifacts(client, run.info.run_id))
    return content


def outcome_of(trial: Trial) -> Outcome:
    assert trial.outcome is not None
    return trial.outcome


def assert_whole(tracker: Tracker, record: Record) -> None:
    """MLflow holds exactly the record's trials, none running, each with every epoch once."""
    runs = runs_by_key(tracker)
    trials = {trial.key: trial for trial in record.trials()}
    assert {key for key, run in runs.items() if run.data.tags["study.kind"] in ("trial", "arm")} == trials.keys()
    assert "RUNNING" not in {run.info.status for run in runs.values()}
    for key, trial in trials.items():
        epochs = {epoch["epoch"]: epoch for epoch in trial.epochs()}
        for name in epochs[1]["mean"]:
            points = tracker.client.get_metric_history(runs[key].info.run_id, name)
            assert {point.step: point.value for point in points} == {e: epochs[e]["mean"][name] for e in epochs}
            assert len(points) == len(epochs)


def test_mlflow_holds_exactly_the_trials_of_the_record(published: Tracker, record: Record) -> None:
    assert {outcome_of(trial).state for trial in record.trials()} == {"complete", "pruned"}
    assert_whole(published, record)
    extra = runs_by_key(published).keys() - {trial.key for trial in record.trials()}
    assert extra == {"study", "baseline/zero_velocity", "baseline/constant_velocity"}


def test_runs_carry_their_active_parameters_only(published: Tracker, record: Record) -> None:
    runs = runs_by_key(published)
    for trial in record.trials():
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


def test_every_trial_has_its_pictures(published: Tracker, record: Record) -> None:
    runs = runs_by_key(published)
    clips = len(record.references().past)
    assert clips == 3
    for trial in record.trials():
        files = artifacts(published.client, runs[trial.key].info.run_id)
        assert [file for file in files if file.endswith(".gif")] == [f"motions/clip{n}.gif" for n in (1, 2, 3)]
        assert len([file for file in files if file.startswith("images/")]) >= clips


def test_arms_carry_their_interval(published: Tracker, record: Record) -> None:
    metrics = runs_by_key(published)["gt/confirm"].data.metrics
    members = record.trial("gt", "confirm").epochs()[-1]["members"]["test/ade"]
    assert metrics["test/ade.mean"] == pytest.approx(sum(members) / 3)
    assert metrics["test/ade.ci_low"] < metrics["test/ade.mean"] < metrics["test/ade.ci_high"]
    assert metrics["n_seeds"] == 3


def test_the_best_value_so_far_stands_beside_the_last(published: Tracker, record: Record) -> None:
    key = "none/t00"
    scores = [epoch["mean"]["val/score"] for epoch in record.trial(*key.split("/")).epochs()]
    history = published.client.get_metric_history(runs_by_key(published)[key].info.run_id, "best/score")
    best = [point.value for point in sorted(history, key=lambda point: point.step)]
    assert best == [min(scores[: epoch + 1]) for epoch in range(len(scores))]


def test_publishing_again_changes_nothing(published: Tracker, record: Record) -> None:
    before = snapshot(published)
    published.publish()
    Tracker(record, record.study_file).publish()
    assert snapshot(published) == before


def test_a_publisher_that_died_before_its_last_tag_is_put_right(published: Tracker, record: Record) -> None:
    before = snapshot(published)
    run = runs_by_key(published)["gt/t00"]
    published.client.delete_tag(run.info.run_id, "study.outcome")
    published.client.update_run(run.info.run_id, status="RUNNING")
    Tracker(record, record.study_file).publish()
    assert snapshot(published) == before


def test_a_deleted_experiment_is_rebuilt_from_the_record(published: Tracker, record: Record, database: str) -> None:
    before = snapshot(published)
    for run in runs_by_key(published).values():
        published.client.delete_run(run.info.run_id)
    published.client.delete_experiment(published.experiment_id)
    rebuilt = Tracker(record, record.study_file)
    rebuilt.publish()
    assert snapshot(rebuilt) == before


def test_a_run_that_no_trial_stands_behind_is_ended(published: Tracker, record: Record) -> None:
    tags = {"study.id": record.plan["id"], "study.key": "gt/t77"}
    stray = published.client.create_run(published.experiment_id, tags=tags)
    Tracker(record, record.study_file).publish()
    assert published.client.get_run(stray.info.run_id).info.status == "KILLED"


def test_a_study_run_anew_under_its_old_name_does_not_take_over_the_old_runs(
    make_record: MakeRecord, drive: Drive, database: str, tmp_path: Path
) -> None:
    """Somebody removes the study's folder and launches again, or two people share a server."""
    for folder in ("first", "second"):
        sampler = {"name": "random", "seed": len(folder)}
        search = {"trials_per_arm": 2, "members": 2, "epochs": 2, "sampler": sampler, "pruner": {"name": "none"}}
        one_arm = {"arms": {"gt": ["gt"]}, "reference": "gt", "confirm": None, "search": search}
        again = make_record(tmp_path / folder, name="twice", tracking={"uri": database}, **one_arm)
        drive(again)
        tracker = Tracker(again, again.study_file)
        tracker.publish()
        mine = [
            run
            for run in tracker.client.search_runs([tracker.experiment_id])
            if run.data.tags["study.key"] == "gt/t01"
            and run.data.params["gt_weight"] == str(again.trial("gt", "t01").request.parameters["gt_weight"])
        ]
        assert len(mine) == 1
        last = again.trial("gt", "t01").epochs()[-1]["mean"]["val/score"]
        assert mine[0].data.metrics["val/score"] == last


def test_an_epoch_in_which_every_member_diverged_is_published(
    make_record: MakeRecord, database: str, tmp_path: Path
) -> None:
    record = make_record(tmp_path, name="diverged", tracking={"uri": database})
    trial = record.start(record_request(record))
    for epoch, members in ((1, [0.5, math.inf]), (2, [math.nan, math.nan])):
        healthy = [value for value in members if math.isfinite(value)]
        mean = {"val/score": healthy[0]} if healthy else {}
        trial.append_epoch(
            {"epoch": epoch, "members": {"val/score": members}, "mean": mean, "spread": {}}
            | {"diverged": 2 - len(healthy), "seconds": 0.1, "time": 1_700_000_000.0 + epoch}
        )
    trial.close("failed", None, "every member diverged by epoch 2")
    tracker = Tracker(record, record.study_file)
    tracker.publish()
    once = snapshot(tracker)
    Tracker(record, record.study_file).publish()
    assert snapshot(tracker) == once
    run = runs_by_key(tracker)["gt/t00"]
    assert run.info.status == "FAILED"
    assert run.data.tags["study.cause"] == "every member diverged by epoch 2"
    diverged = tracker.client.get_metric_history(run.info.run_id, "diverged")
    assert [(point.step, point.value) for point in diverged] == [(1, 1.0), (2, 2.0)]


def record_request(record: Record) -> Any:
    from study.phases import SearchPhase

    return SearchPhase(record, []).request("gt", 0, {"hidden_size": 8, "gt_weight": 1.0})


def test_a_server_that_is_not_there_is_named_within_seconds(make_record: MakeRecord, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{unused.getsockname()[1]}"
    record = make_record(tmp_path, tracking={"uri": uri})
    started = time.monotonic()
    with pytest.raises(StudyError, match=f"cannot reach MLflow at {uri}"):
        Tracker(record, record.study_file)
    assert time.monotonic() - started < 20


@contextmanager
def server(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A real MLflow server, as ``study ui`` starts it."""
    command = [str(Path(sys.executable).with_name("mlflow")), "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/server.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    settings = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, env=settings, stdout=log, stderr=log, start_new_session=True, cwd=folder)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "server.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_server_that_dies_delays_nothing_and_gets_the_rest_later(
    make_record: MakeRecord, drive: Drive, tmp_path: Path
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    record = make_record(tmp_path, tracking={"uri": f"http://127.0.0.1:{port}"})
    warnings: list[str] = []

    class Saboteur:
        """Kills the server when the second trial ends, and measures how long the study takes from there."""

        def __init__(self, process: subprocess.Popen[bytes], tracker: Tracker) -> None:
            self.process, self.tracker, self.ended = process, tracker, 0
            self.killed_at = math.inf

        def trial_started(self, trial: Trial, place: str) -> None: ...

        def epoch_reported(self, trial: Trial, epoch: dict[str, Any]) -> None: ...

        def trial_ended(self, trial: Trial, outcome: Outcome) -> None:
            self.ended += 1
            if self.ended == 2:
                deadline = time.monotonic() + 60
                while len(self.tracker.client.search_runs([self.tracker.experiment_id])) < 1:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
                os.killpg(self.process.pid, signal.SIGKILL)
                self.killed_at = time.monotonic()

    with server(tmp_path, port) as process:
        tracker = Tracker(record, record.study_file)
        publisher = Publisher(tracker, warnings.append)
        saboteur = Saboteur(process, tracker)
        drive(record, publisher, saboteur)
        assert saboteur.ended == 6
        assert time.monotonic() - saboteur.killed_at < 10
        publisher.close()
    assert any("misses some of this study" in warning for warning in warnings)
    with server(tmp_path, port):
        later = Tracker(record, record.study_file)
        later.publish()
        assert_whole(later, record)
        for run in runs_by_key(later).values():
            assert run.info.artifact_uri is not None
            assert run.info.artifact_uri.startswith("mlflow-artifacts:/")
