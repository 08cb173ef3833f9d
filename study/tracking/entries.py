"""What MLflow is to show of a study, run by run, from the record alone."""

import json
import math
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.entities import Metric
from PIL import Image

from study.pictures import ClipPictures, draw_arms, draw_trial
from study.record import CONFIRM, Conclusion, Outcome, Record, Trial
from study.sections import Objective
from study.stats import mean_interval

TRIAL_STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}
STUDY_STATUS = {"finished": "FINISHED", "budget_spent": "FINISHED"}
# Of a run that nobody works on any more, until the study goes on.
ABANDONED = "KILLED"
LONGEST_TAG = 5000
THUMBNAIL_SIZE = 256
# Folder of a run's files that suffices to train its trial again.
RECORD = "record"
# Folder of the study's run that holds its report.
REPORT = "report"

# Of an arm in every chart, in the order of the arms; MLflow's own come from a run's id, and two arms may share one.
# Tableau's ten, which matplotlib draws the report's figures with.
ARM_COLOURS = (
    *("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd"),
    *("#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"),
)
BASELINE_COLOUR = "#aaaaaa"
COLOUR_TAG = "mlflow.runColor"

# How a run ended: MLflow's status, and when in its milliseconds.
End = tuple[str, int]


@dataclass
class Position:
    """How far a run has come: bytes of the trial's epochs that were sent, and the objective's best value in them."""

    offset: int = 0
    best: float | None = None


@dataclass(frozen=True)
class Entry:
    """One run.

    Attributes:
        key: unique within the study.
        name: what a legend shows.
        tags, params: as MLflow takes them.
        started_at: seconds since 1970.
        end: None while somebody works on it.
        points: what follows a position, which moves along.
        write_files: puts what the run keeps into a folder.
    """

    key: str
    name: str
    tags: dict[str, str]
    params: dict[str, str]
    started_at: float
    end: End | None
    points: Callable[[Position], Iterator[Metric]] = lambda position: iter(())
    write_files: Callable[[Path], None] = lambda folder: None


def trial_entry(record: Record, trial: Trial, driven: bool) -> Entry:
    """The run of a trial; one without an outcome is running where the study is ``driven``, and abandoned otherwise."""
    request, outcome = trial.request, trial.outcome
    confirm = request.phase == "confirm"
    state: str = outcome.state if outcome else "running" if driven else "interrupted"
    end: End | None = None
    if outcome is not None:
        end = TRIAL_STATUS[outcome.state], milliseconds(outcome.ended_at)
    elif not driven:
        end = ABANDONED, milliseconds(_last_sign(trial))
    tags = {
        "study.kind": "arm" if confirm else "trial",
        "study.arm": request.arm,
        "study.phase": request.phase,
        "study.trial": request.trial,
        "study.losses": ", ".join(request.settings["losses"]) or "none",
        "study.seeds": ", ".join(map(str, request.seeds)),
        "study.outcome": state,
        COLOUR_TAG: ARM_COLOURS[[*record.study_file.arms].index(request.arm) % len(ARM_COLOURS)],
    }
    if confirm:
        tags["study.winner"] = f"t{request.number:02d}"
    if request.phase == "shortlist":
        tags["study.repeats"] = f"t{request.number:02d}"
    if outcome is not None and outcome.cause:
        tags["study.cause"] = outcome.cause[:LONGEST_TAG]
    if outcome is not None and outcome.kind:
        tags["study.failure"] = outcome.kind
    if request.retry_of:
        tags["study.retry_of"] = request.retry_of
    if earlier := trial.attempts()[:-1]:
        # The last one ends as the trial does.
        ends = [f"{attempt.place}: {attempt.kind or 'interrupted'}" for attempt in earlier]
        tags["study.earlier_attempts"] = "; ".join(ends)[:LONGEST_TAG]

    def write_files(folder: Path) -> None:
        if outcome is not None:
            _write_pictures(folder, trial.key, draw_trial(record, trial), outcome.epochs, outcome.ended_at)
            paths = trial.paths
            (folder / RECORD).mkdir()
            for path in (record.paths.plan, paths.request, paths.attempts, paths.epochs, paths.outcome):
                if path.exists():
                    shutil.copy(path, folder / RECORD)

    return Entry(
        key=request.key,
        name=request.arm if request.trial == CONFIRM else request.key,
        tags=tags,
        params=_active_settings(request.settings),
        started_at=request.started_at,
        end=end,
        points=lambda position: _trial_points(trial, record.study_file.objective, outcome, position),
        write_files=write_files,
    )


def baseline_entries(record: Record) -> Iterator[Entry]:
    """Baselines as runs beside the arms, so that a comparison shows both."""
    created: float = record.plan["created_at"]
    for name, metrics in record.baselines().items():
        at = {"epoch": 0, "time": created}
        points = [
            _point(f"test/{metric}{part}", value, at) for metric, value in metrics.items() for part in ("", ".mean")
        ]
        yield Entry(
            key=f"baseline/{name}",
            name=name.replace("_", " "),
            tags={"study.kind": "baseline", "study.arm": name, COLOUR_TAG: BASELINE_COLOUR},
            params={},
            started_at=created,
            end=("FINISHED", milliseconds(created)),
            points=lambda position, points=points: iter(points),  # type: ignore[misc]
        )


def study_entry(record: Record, conclusion: Conclusion) -> Entry:
    """The run of a study that has ended: its plan, the arms side by side, its report."""

    def write_files(folder: Path) -> None:
        (folder / "plan").mkdir()
        for path in (record.paths.source, record.paths.plan):
            (folder / "plan" / path.name).write_bytes(path.read_bytes())
        _write_pictures(folder, "study", draw_arms(record), 0, conclusion.ended_at)
        # It brings Optuna and scikit-learn along: a second that only the end of a study needs.
        from study.report import write_report

        write_report(record, "en", folder / REPORT)

    return Entry(
        key="study",
        name="study",
        tags={"study.kind": "study", "study.outcome": conclusion.state},
        params={},
        started_at=record.plan["created_at"],
        end=(STUDY_STATUS.get(conclusion.state, "FAILED"), milliseconds(conclusion.ended_at)),
        write_files=write_files,
    )


def milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _active_settings(settings: dict[str, Any]) -> dict[str, str]:
    """The configuration; the weight of a loss that the arm does not have is absent, which is not 0."""
    weights = {name for name in settings if name.endswith("_weight")}
    inactive = {name for name in weights if name.removesuffix("_weight") not in settings["losses"]}
    return {name: str(value) for name, value in settings.items() if name not in inactive}


def _last_sign(trial: Trial) -> float:
    epochs = trial.epochs()
    return float(epochs[-1]["time"]) if epochs else trial.request.started_at


def _trial_points(trial: Trial, objective: Objective, outcome: Outcome | None, position: Position) -> Iterator[Metric]:
    """Epoch by epoch: means over members, standard deviations, how many diverged or collapsed, the best so far."""
    for epoch in _epochs_after(position, trial.paths.epochs):
        spread = {f"{name}.std": value for name, value in epoch["spread"].items() if name.startswith("val/")}
        counts = {name: float(epoch[name]) for name in ("diverged", "collapsed") if name in epoch}
        values = epoch["mean"] | spread | counts
        value = epoch["mean"].get(objective.metric, math.nan)
        if math.isfinite(value):
            position.best = value if position.best is None else min(position.best, value, key=objective.cost)
        if position.best is not None:
            # MLflow's tables show the last value, which is not the best.
            values["best/" + objective.metric.removeprefix("val/")] = position.best
        yield from (_point(name, value, epoch) for name, value in values.items())
    if outcome is not None and outcome.state == "complete" and trial.request.phase == "confirm":
        yield from _interval_points(trial)


def _epochs_after(position: Position, path: Path) -> Iterator[dict[str, Any]]:
    """Epochs that have been recorded since; a last line that is being written, or was cut short, is left for later."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(position.offset)
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)
                position.offset += len(line)


def _interval_points(trial: Trial) -> Iterator[Metric]:
    """Mean and interval over the members of a confirmed winner: the UI cannot compute them."""
    last = trial.epochs()[-1]
    for name, members in last["members"].items():
        if name.startswith(("test/", "val/")):
            interval = mean_interval(members)
            for part, value in (("mean", interval.mean), ("ci_low", interval.low), ("ci_high", interval.high)):
                yield _point(f"{name}.{part}", value, last)
    yield _point("n_seeds", float(len(trial.request.seeds) - last["diverged"]), last)


def _point(name: str, value: float, epoch: dict[str, Any]) -> Metric:
    """One value at one epoch. What is not finite is sent as NaN: MLflow would store infinity as 1.8e308, and draw it.

    The record tells which it was.
    """
    return Metric(name, value if math.isfinite(value) else math.nan, milliseconds(epoch["time"]), epoch["epoch"])


def _write_pictures(folder: Path, key: str, pictures: Iterable[ClipPictures], step: int, time: float) -> None:
    """Animations as files, stills as MLflow's image grid wants them.

    Source:
        ``MlflowClient.log_image`` names a file after key, step, time and a random number, so that sending it again
        makes a second one; the same names with the record's time and a number made from the key are the same files.
    """
    for clip in pictures:
        motions, images = folder / "motions", folder / "images"
        motions.mkdir(exist_ok=True)
        images.mkdir(exist_ok=True)
        (motions / clip.gif.name).write_bytes(clip.gif.read_bytes())
        number = uuid.uuid5(uuid.NAMESPACE_URL, f"{key}/clip{clip.clip}")
        name = f"clip {clip.clip}+step+{step}+timestamp+{milliseconds(time)}+{number}"
        still = Image.fromarray(clip.contact_sheet)
        still.save(images / f"{name}.png")
        still.thumbnail((THUMBNAIL_SIZE, THUMBNAIL_SIZE))
        still.save(images / f"{name}+compressed.webp")
