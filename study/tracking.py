"""MLflow: a projection of the record, written in batches off the training path; nothing else in this package knows it.

Whatever is here can be rebuilt from the record. Runs are flat and found by their ``study.*`` tags; publishing twice
changes nothing, since a metric is sent with its original time and MLflow keeps one of two equal points.
"""

import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property
from queue import Empty, Queue
from threading import Thread
from typing import Any
from urllib.parse import quote

# Before MLflow is imported: with the server away a call fails in seconds, not in 246 of them; nothing is sent to its
# makers.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run

from study.comparison import Comparison, compare
from study.errors import StudyError
from study.paths import StudyPaths
from study.pictures import ClipPictures, draw_arms, draw_trial
from study.record import Outcome, Record, Trial
from study.study_file import StudyFile

METRICS_A_BATCH = 1000
FINAL_STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}
PUBLISH_INTERVAL_S = 2.0
# Without it the UI takes an experiment for one about language models and hides metrics.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


def tracking_uri(paths: StudyPaths, study_file: StudyFile) -> str:
    """The study file's, or ``MLFLOW_TRACKING_URI``, or one SQLite file beside all studies of the folder."""
    return (
        study_file.tracking.uri
        or os.environ.get("MLFLOW_TRACKING_URI")
        or f"sqlite:///{paths.mlflow_database.resolve()}"
    )


class Tracker:
    """One study's experiment in MLflow.

    Raises:
        StudyError: MLflow cannot be reached.
    """

    def __init__(self, record: Record, study_file: StudyFile) -> None:
        self.record = record
        self.name = study_file.tracking.experiment or record.paths.name
        self.uri = tracking_uri(record.paths, study_file)
        self._runs: dict[str, str] = {}
        self._sent: dict[str, int] = {}
        self._closed: set[str] = set()
        if self.uri.startswith("sqlite:///"):
            record.paths.studies.mkdir(parents=True, exist_ok=True)
        try:
            self.client = MlflowClient(self.uri)
            self.client.search_experiments(max_results=1)
        except Exception as error:
            raise StudyError(
                f"cannot reach MLflow at {self.uri}: {_reason(error)}; check tracking.uri or MLFLOW_TRACKING_URI"
            ) from error

    @cached_property
    def experiment_id(self) -> str:
        """The experiment of this study, made when there is none."""
        name = self.name
        existing = self.client.get_experiment_by_name(name)
        if existing is None:
            # A database has no server to keep pictures for it; a server has its own place.
            local = None if self.uri.startswith("http") else self.record.paths.mlflow_artifacts.resolve().as_uri()
            return self.client.create_experiment(name, artifact_location=local, tags=EXPERIMENT_TAGS)
        if existing.lifecycle_stage == "deleted":
            self.client.restore_experiment(existing.experiment_id)
        return existing.experiment_id

    def rename(self, name: str) -> None:
        """Give the experiment another name, where there is one."""
        existing = self.client.get_experiment_by_name(self.name)
        if existing is not None:
            self.client.rename_experiment(existing.experiment_id, name)
        self.name = name

    def publish_trial(self, trial: Trial) -> None:
        """Bring the run of a trial up to what its folder says. A closed run is whole: its outcome is written last."""
        request, outcome = trial.request, trial.outcome
        if request.key in self._closed:
            return
        run_id = self._run(request.key, self._name(trial), self._tags(trial), self._params(trial), request.started_at)
        if request.key in self._closed:
            return
        epochs = trial.epochs()
        new = [epoch for epoch in epochs if epoch["epoch"] > self._sent.get(request.key, 0)]
        best = self._best_so_far(epochs)
        metrics = [
            metric
            for epoch in new
            for metric in [*_metrics(epoch), _metric("best/" + best[0], best[1][epoch["epoch"]], epoch)]
        ]
        if outcome is not None and outcome.state == "complete" and request.phase == "confirm":
            metrics += self._summary_metrics(trial, epochs[-1])
        for first in range(0, len(metrics), METRICS_A_BATCH):
            self.client.log_batch(run_id, metrics=metrics[first : first + METRICS_A_BATCH])
        if new:
            self._sent[request.key] = new[-1]["epoch"]
        if outcome is not None:
            self._publish_pictures(run_id, draw_trial(self.record, trial), outcome.epochs)
            if outcome.cause:
                self.client.set_tag(run_id, "study.cause", outcome.cause[:5000])
            self._close(request.key, run_id, outcome.state, FINAL_STATUS[outcome.state], outcome.ended_at)

    def _close(self, key: str, run_id: str, outcome: str, status: str, ended_at: float) -> None:
        """End a run for good; its outcome is the last thing that it is given."""
        self.client.set_tag(run_id, "study.outcome", outcome)
        self.client.set_terminated(run_id, status, end_time=_milliseconds(ended_at))
        self._closed.add(key)

    def _name(self, trial: Trial) -> str:
        return trial.request.arm if trial.request.phase == "confirm" else trial.key

    def _tags(self, trial: Trial) -> dict[str, str]:
        request = trial.request
        return {
            "study.kind": "arm" if request.phase == "confirm" else "trial",
            "study.arm": request.arm,
            "study.phase": request.phase,
            "study.trial": request.trial,
            "study.losses": ", ".join(request.settings["losses"]) or "none",
            "study.seeds": ", ".join(map(str, request.seeds)),
        } | ({"study.winner": f"t{request.number:02d}"} if request.phase == "confirm" else {})

    def _params(self, trial: Trial) -> dict[str, str]:
        """The configuration; the weight of a loss that the arm does not have is absent, which is not 0."""
        settings = trial.request.settings
        inactive = {
            name
            for name in settings
            if name.endswith("_weight") and name.removesuffix("_weight") not in settings["losses"]
        }
        return {name: str(value) for name, value in settings.items() if name not in inactive}

    def _run(self, key: str, name: str, tags: dict[str, str], params: dict[str, str], started_at: float) -> str:
        """The run with this key, made when there is none: a tag finds it again after any crash."""
        if key in self._runs:
            return self._runs[key]
        found = self._search(f"tags.`study.key` = '{key}'")
        run: Run = found[0] if found else self._new_run(key, name, tags, started_at)
        if "study.outcome" in run.data.tags and run.info.status != "RUNNING":
            self._closed.add(key)
        elif run.info.status == "KILLED":
            # An interrupted study goes on.
            self.client.update_run(run.info.run_id, status="RUNNING")
        # Idempotent: equal parameters may be logged again.
        self.client.log_batch(run.info.run_id, params=[Param(name, value) for name, value in params.items()])
        run_id: str = run.info.run_id
        self._runs[key] = run_id
        return run_id

    def _search(self, condition: str, order_by: list[str] | None = None) -> list[Run]:
        """Runs of this study; another one of the same name may have been here before."""
        own = f"tags.`study.id` = '{self.record.plan['id']}' and {condition}"
        return list(self.client.search_runs([self.experiment_id], filter_string=own, order_by=order_by))

    def _new_run(self, key: str, name: str, tags: dict[str, str], started_at: float) -> Run:
        plan = self.record.plan
        common = {
            "study.id": plan["id"],
            "study.name": self.record.paths.name,
            "study.key": key,
            "study.data_sha": plan["data_digest"][:16],
        }
        run = self.client.create_run(self.experiment_id, _milliseconds(started_at), tags | common, name)
        data = self.record.study_file.data
        dataset = Dataset(
            name=data.dataset, digest=plan["data_digest"][:36], source_type="study", source=str(data.options)
        )
        self.client.log_inputs(run.info.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
        return run

    def _best_so_far(self, epochs: list[dict[str, Any]]) -> tuple[str, dict[int, float]]:
        """The objective's best value up to each epoch: MLflow's tables show the last value, which is not the best."""
        objective = self.record.study_file.objective
        better = min if objective.goal == "minimize" else max
        best: dict[int, float] = {}
        value = float("nan")
        for epoch in epochs:
            current = epoch["mean"].get(objective.metric, float("nan"))
            value = current if value != value else value if current != current else better(value, current)
            best[epoch["epoch"]] = value
        return objective.metric.removeprefix("val/"), best

    def _summary_metrics(self, trial: Trial, last: dict[str, Any]) -> list[Metric]:
        """Mean and interval of an arm: the UI cannot compute them."""
        arm = compare(self.record).arms[trial.request.arm]
        summary = {
            f"{name}.{part}": value
            for name, interval in arm.metrics.items()
            for part, value in (("mean", interval.mean), ("ci_low", interval.low), ("ci_high", interval.high))
        }
        return [_metric(name, value, last) for name, value in (summary | {"n_seeds": float(arm.n_members)}).items()]

    def _publish_pictures(self, run_id: str, pictures: Iterable[ClipPictures], step: int) -> None:
        there = {file.path for file in self.client.list_artifacts(run_id, "images")}
        for clip in pictures:
            if any(path.startswith(f"images/clip {clip.clip}+step+{step}+") for path in there):
                # MLflow would keep both: an image's name holds the time it was sent.
                continue
            self.client.log_artifact(run_id, str(clip.gif), "motions")
            self.client.log_image(run_id, clip.contact_sheet, key=f"clip {clip.clip}", step=step)

    def publish_baselines(self) -> None:
        """Baselines as runs beside the arms, so that a comparison shows both."""
        for name, metrics in self.record.baselines().items():
            created = self.record.plan["created_at"]
            run_id = self._run(
                f"baseline/{name}", name.replace("_", " "), {"study.kind": "baseline", "study.arm": name}, {}, created
            )
            at = {"epoch": 0, "time": created}
            values = [
                _metric(f"test/{metric}{part}", value, at)
                for metric, value in metrics.items()
                for part in ("", ".mean")
            ]
            self.client.log_batch(run_id, metrics=values)
            self.client.set_terminated(run_id, "FINISHED", end_time=_milliseconds(created))

    def publish_study(self) -> None:
        """The study's own run with its plan, and the experiment's note with question, result and links."""
        plan = self.record.plan
        run_id = self._run("study", "study", {"study.kind": "study"}, {}, plan["created_at"])
        self.client.set_experiment_tag(self.experiment_id, "mlflow.note.content", self._note(compare(self.record)))
        conclusion = self.record.conclusion()
        if "study" in self._closed or conclusion is None:
            return
        for path in (self.record.paths.source, self.record.paths.plan):
            self.client.log_artifact(run_id, str(path), "plan")
        self._publish_pictures(run_id, draw_arms(self.record), step=0)
        self._close("study", run_id, conclusion.state, "FINISHED", conclusion.ended_at)

    def _note(self, comparison: Comparison) -> str:
        lines = [self.record.study_file.question or self.record.paths.name, "", comparison.markdown(), ""]
        lines += [f"Arms side by side: `{self.compare_path()}`"]
        return "\n".join(lines)

    def compare_path(self) -> str:
        """Where the UI compares this study's arms and baselines, without scheme and host."""
        runs = self._search("tags.`study.kind` = 'arm'", order_by=["attributes.start_time"])
        run_ids = json.dumps([run.info.run_id for run in runs])
        return f"/#/compare-runs?runs={quote(run_ids)}&experiments={quote(json.dumps([self.experiment_id]))}"

    def publish(self) -> None:
        """Everything the record holds; what nobody works on any more is left as killed, until the study goes on."""
        for trial in self.record.trials():
            self.publish_trial(trial)
        self.publish_baselines()
        self.publish_study()
        self._close_strays()

    def _close_strays(self) -> None:
        """End the runs of interrupted trials, and those that a crash between two writes has left without one."""
        for run in self._search("attributes.status = 'RUNNING'"):
            self.client.set_terminated(run.info.run_id, "KILLED")


class Publisher:
    """Publishes from a thread of its own while a study runs; a server that is away delays nothing.

    A listener of the phases: what happens is only noted, the record says the rest.
    """

    def __init__(self, tracker: Tracker, warn: Callable[[str], None]) -> None:
        self.tracker, self.warn = tracker, warn
        self.queue: Queue[Trial | None] = Queue()
        self.missing = False
        self.thread = Thread(target=self._work, name="publisher", daemon=True)
        self.thread.start()

    def trial_started(self, trial: Trial, place: str) -> None:
        self.queue.put(trial)

    def epoch_reported(self, trial: Trial, epoch: dict[str, Any]) -> None:
        self.queue.put(trial)

    def trial_ended(self, trial: Trial, outcome: Outcome) -> None:
        self.queue.put(trial)

    def close(self) -> None:
        """Publish what is left, and everything that failed before."""
        self.queue.put(None)
        self.thread.join()
        try:
            self.tracker.publish()
        except Exception as error:
            self.warn(
                f"MLflow at {self.tracker.uri} misses some of this study ({_reason(error)}); "
                f"`study ui {self.tracker.record.paths.name}` sends the rest"
            )

    def _work(self) -> None:
        closing = False
        while not closing:
            changed: dict[str, Trial] = {}
            with suppress(Empty):
                item = self.queue.get(timeout=PUBLISH_INTERVAL_S)
                while True:
                    if item is None:
                        closing = True
                    else:
                        changed[item.key] = item
                    item = self.queue.get_nowait()
            for trial in changed.values():
                self._publish(trial)

    def _publish(self, trial: Trial) -> None:
        try:
            self.tracker.publish_trial(trial)
        except Exception as error:
            if not self.missing:
                self.warn(
                    f"MLflow at {self.tracker.uri} does not answer ({_reason(error)}); the study goes on and sends "
                    "the rest later"
                )
            self.missing = True


def _metrics(epoch: dict[str, Any]) -> list[Metric]:
    """Means over members, their standard deviations, and how many diverged."""
    values = epoch["mean"] | {
        f"{name}.std": value for name, value in epoch["spread"].items() if name.startswith("val/")
    }
    return [_metric(name, value, epoch) for name, value in (values | {"diverged": float(epoch["diverged"])}).items()]


def _metric(name: str, value: float, epoch: dict[str, Any]) -> Metric:
    return Metric(name, value, _milliseconds(epoch["time"]), epoch["epoch"])


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _reason(error: BaseException) -> str:
    """The first cause in one line: what the layers above it add is long and helps nobody."""
    while isinstance(cause := error.__cause__ or error.__context__, BaseException):
        error = cause
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
