"""One study's experiment in MLflow, brought up to the record: look what is there, send what is missing, end the run."""

import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Param, Run, RunTag
from mlflow.store.db.utils import create_sqlalchemy_engine
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from study.errors import StudyError
from study.record import Record, Trial
from study.study_file import StudyFile
from study.tracking import address
from study.tracking.causes import reason
from study.tracking.entries import (
    ABANDONED,
    End,
    Entry,
    Position,
    baseline_entries,
    milliseconds,
    study_entry,
    trial_entry,
)
from study.tracking.front_page import FrontPage
from study.tracking.models import Models, representative

# MLflow's limit of metrics, parameters and tags in one call.
BATCH = 1000
RUNS_A_PAGE = 200
# Without it the UI takes an experiment for one about language models and hides metrics.
EXPERIMENT_KIND = ("mlflow.experimentKind", "custom_model_development")
# As messages call them.
VIEWS = "the saved views"


class Unreachable(StudyError):
    """MLflow does not answer, or takes nothing."""


@dataclass
class Published:
    """What has been sent: runs made, points of metrics, files, runs ended, models registered."""

    runs: int = 0
    points: int = 0
    files: int = 0
    ended: int = 0
    models: int = 0


@dataclass
class _Run:
    """What is known of a run there; ``end`` is None while it is running."""

    run_id: str
    end: End | None = None
    described: bool = False
    position: Position = field(default_factory=Position)


@dataclass(frozen=True)
class _View:
    """What MLflow is believed to hold of this study: thrown away whenever a call fails."""

    experiment_id: str
    runs: dict[str, _Run]


class Tracker:
    """One study's experiment in MLflow. Making one is cheap: nothing is reached before something is published.

    A run is given its points and files first and ended last, at the moment that the record names: a run that ended so
    is whole, and is never touched again.

    Attributes:
        published: what has been sent.
        steps: grows with whatever is looked at or sent, so that somebody who waits sees that it goes on.
        preparing: while files are made that are to be sent, which is no waiting for MLflow: a report of ten thousand
            trials takes its time.

    Raises:
        BadStudyInput: no MLflow can be at the address that study file or environment give.
    """

    def __init__(self, record: Record, study_file: StudyFile) -> None:
        self.record = record
        self.name = study_file.tracking.experiment or record.paths.name
        self.address = address.find(record.paths, study_file.tracking)
        self.published = Published()
        self.steps = 0
        self.preparing = False
        self._believed: _View | None = None

    @property
    def uri(self) -> str:
        """Where MLflow is, for people: without secrets."""
        return self.address.shown

    @cached_property
    def client(self) -> MlflowClient:
        if (file := self.address.sqlite_file) is not None:
            create_database(file, self.record.paths.mlflow_artifacts)
        elif not self.address.is_server:
            # MLflow itself goes on trying for minutes.
            create_sqlalchemy_engine(self.address.uri).connect().close()  # type: ignore[no-untyped-call]
        return MlflowClient(self.address.uri)

    @property
    def experiment_id(self) -> str:
        return self._view.experiment_id

    def publish(self) -> Published:
        """Everything the record holds, for a study that nobody drives: no run is left running.

        Returns:
            What this tracker has sent so far.

        Raises:
            Unreachable: MLflow does not answer, or takes nothing.
            StudyError: some runs cannot be published, and why; all others are.
        """
        self._probe()
        problems = []
        for what, send in self._everything():
            try:
                self._attempt(what, send)
            except Unreachable:
                raise
            except StudyError as error:
                problems.append(str(error))
        if problems:
            raise StudyError("\n".join(problems))
        return self.published

    def publish_trial(self, trial: Trial) -> None:
        """Bring the run of a trial of the study that is being driven up to what its folder says.

        Raises:
            Unreachable: MLflow does not answer, or takes nothing.
            StudyError: it does, but not this trial.
        """
        self._attempt(trial.key, lambda: self._send(trial_entry(self.record, trial, driven=True)))

    def install_views(self) -> None:
        """Save what MLflow's page is to show of this study.

        Raises:
            Unreachable: MLflow does not answer, or takes nothing.
            StudyError: it does, but not this.
        """
        self._attempt(VIEWS, self._send_views)

    def rename(self, name: str) -> None:
        """Give the experiment another name, where there is one; with MLflow away the next publication makes another."""
        with suppress(Exception):
            existing = self.client.get_experiment_by_name(self.name)
            if existing is not None:
                self.client.rename_experiment(existing.experiment_id, name)
        self.name = name

    def compare_path(self) -> str:
        """Where MLflow's page compares this study's arms, from the page's root.

        Raises:
            Unreachable: MLflow does not answer.
        """
        self._probe()
        runs = self._view.runs
        arms = [runs[trial.key].run_id for trial in self.record.trials(phase="confirm") if trial.key in runs]
        return f"#/compare-runs?runs={quote(json.dumps(arms))}&experiments={quote(json.dumps([self.experiment_id]))}"

    def _everything(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """What there is to send, by name, in its order."""
        trials, baselines = self.record.trials(), list(baseline_entries(self.record))
        for trial in trials:
            yield trial.key, lambda trial=trial: self._send(trial_entry(self.record, trial, driven=False))  # type: ignore[misc]
        for entry in baselines:
            yield entry.key, lambda entry=entry: self._send(entry)  # type: ignore[misc]
        if (conclusion := self.record.conclusion()) is not None:
            yield "study", lambda: self._send(study_entry(self.record, conclusion))
            if self.record.study_file.tracking.models:
                for arm in self.record.study_file.arms:
                    yield f"the model of {arm}", lambda arm=arm: self._send_model(arm)  # type: ignore[misc]
        keys = {trial.key for trial in trials} | {entry.key for entry in baselines} | {"study"}
        yield "the end of other runs", lambda: self._end_strays(keys)
        yield VIEWS, self._send_views
        yield "the experiment's note", self._write_note

    def _attempt(self, what: str, send: Callable[[], None]) -> None:
        """Send something; after a failure look again what is there and try once more: it may have been deleted."""
        problem = f"{what} cannot be published to MLflow"
        self.steps += 1
        try:
            send()
        except StudyError as error:
            # What the record lacks no second try brings back.
            raise StudyError(f"{problem}: {error}") from error
        except Exception:
            self._probe()
            try:
                send()
            except Exception as error:
                self._probe()
                raise StudyError(f"{problem}: {reason(error)}") from error

    def _probe(self) -> None:
        """Look what is there, and write something: what answers may still take nothing.

        Raises:
            Unreachable: MLflow does not answer, or takes nothing.
        """
        self._believed = None
        try:
            self.client.set_experiment_tag(self.experiment_id, *EXPERIMENT_KIND)
        except Exception as error:
            self._believed = None
            raise Unreachable(
                f"cannot reach MLflow at {self.uri}: {reason(error)}; check tracking.uri or MLFLOW_TRACKING_URI"
            ) from error

    def _send(self, entry: Entry) -> None:
        run = self._view.runs.get(entry.key) or self._create(entry)
        if run.end is not None and run.end == entry.end:
            return
        if entry.end is None and run.end is not None:
            # An interrupted study goes on.
            self.client.update_run(run.run_id, status="RUNNING")
            run.end = None
        self._log(run, entry)
        if entry.end is None:
            return
        with TemporaryDirectory() as folder:
            self.preparing = True
            try:
                entry.write_files(Path(folder))
            finally:
                self.preparing = False
            if files := sum(path.is_file() for path in Path(folder).rglob("*")):
                self.client.log_artifacts(run.run_id, folder)
                self.published.files += files
            if (Path(folder) / "images").exists():
                self.client.set_tag(run.run_id, "mlflow.loggedImages", "True")
        status, time = entry.end
        self.client.set_terminated(run.run_id, status, end_time=time)
        run.end = entry.end
        self.published.ended += 1

    def _send_model(self, arm: str) -> None:
        if (chosen := representative(self.record, arm)) is not None:
            models = Models(self.client, self.address, self.record, self.experiment_id)
            self.published.models += models.publish(chosen, self._view.runs[chosen.trial.key].run_id)

    def _log(self, run: _Run, entry: Entry) -> None:
        """Points in full batches, the first of which brings parameters and tags along where they are due."""
        tags: list[RunTag] = []
        params: list[Param] = []
        if not run.described:
            self.client.log_inputs(run.run_id, [self._dataset()])
            params = [Param(name, value) for name, value in entry.params.items()]
        if not run.described or entry.end is not None:
            tags = [RunTag(name, value) for name, value in entry.tags.items()]
        points = entry.points(run.position)
        batch = list(itertools.islice(points, BATCH - len(params) - len(tags)))
        while batch or params or tags:
            self.client.log_batch(run.run_id, metrics=batch, params=params, tags=tags)
            self.published.points += len(batch)
            batch, params, tags = list(itertools.islice(points, BATCH)), [], []
        run.described = True

    def _create(self, entry: Entry) -> _Run:
        own = {"study.id": self.record.plan["id"], "study.key": entry.key, "study.name": self.record.paths.name}
        data = {"study.data_sha": self.record.plan["data_digest"][:16]}
        made = self.client.create_run(
            self._view.experiment_id, milliseconds(entry.started_at), own | data | entry.tags, entry.name
        )
        self.published.runs += 1
        run = self._view.runs[entry.key] = _Run(made.info.run_id)
        return run

    def _dataset(self) -> DatasetInput:
        data, digest = self.record.study_file.data, self.record.plan["data_digest"][:36]
        dataset = Dataset(name=data.dataset, digest=digest, source_type="study", source=str(data.options))
        return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])

    @property
    def _view(self) -> _View:
        if self._believed is None:
            self._believed = self._look()
        return self._believed

    def _look(self) -> _View:
        """Every run of this study, by its key. A call that was carried out though its answer got lost has made a second
        one of a key: the one that got further stays.
        """
        experiment_id = self._find_experiment()
        found: dict[str, list[Run]] = defaultdict(list)
        own, token = f"tags.`study.id` = '{self.record.plan['id']}'", None
        while True:
            page = self.client.search_runs([experiment_id], own, max_results=RUNS_A_PAGE, page_token=token)
            self.steps += 1
            for run in page:
                found[run.data.tags.get("study.key", run.info.run_id)].append(run)
            if not (token := page.token):
                break
        runs = {}
        for key, same in found.items():
            first, *others = sorted(same, key=_lack)
            for other in others:
                self.client.delete_run(other.info.run_id)
            info = first.info
            runs[key] = _Run(info.run_id, None if info.status == "RUNNING" else (info.status, info.end_time))
        return _View(experiment_id, runs)

    def _find_experiment(self) -> str:
        """The experiment of this study, made when there is none."""
        existing = self.client.get_experiment_by_name(self.name)
        if existing is None:
            # A database has no server to keep files for it; a server has its own place.
            local = None if self.address.is_server else self.record.paths.mlflow_artifacts.resolve().as_uri()
            return self.client.create_experiment(self.name, artifact_location=local)
        if existing.lifecycle_stage == "deleted":
            self.client.restore_experiment(existing.experiment_id)
        return existing.experiment_id

    def _end_strays(self, keys: set[str]) -> None:
        """End the runs that no trial stands behind."""
        for key, run in self._view.runs.items():
            if key not in keys and run.end is None:
                self.client.set_terminated(run.run_id, ABANDONED)

    def _send_views(self) -> None:
        self._front_page.install_views(self.experiment_id)

    def _write_note(self) -> None:
        study = self._view.runs.get("study")
        self._front_page.write_note(self.experiment_id, self.compare_path(), study.run_id if study else None)

    @cached_property
    def _front_page(self) -> FrontPage:
        return FrontPage(self.client, self.address, self.record)


def _lack(run: Run) -> tuple[bool, int, str]:
    return run.info.status == "RUNNING", -len(run.data.metrics), run.info.run_id


def create_database(file: Path, artifacts: Path) -> None:
    """MLflow's tables in an SQLite file, made under another name: one process at a time, and none that is killed
    half-way leaves a database that MLflow never opens again.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"):
        if not file.exists() or file.stat().st_size == 0:
            unfinished = file.with_name(f"{file.name}.new")
            unfinished.unlink(missing_ok=True)
            store = SqlAlchemyStore(f"sqlite:///{unfinished}", artifacts.resolve().as_uri())  # type: ignore[no-untyped-call]
            store.engine.dispose()
            unfinished.replace(file)
