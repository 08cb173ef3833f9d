"""Saved views of a study's experiment: what MLflow's page shows of hundreds of runs, chosen for one question each.

Source:
    The tags that MLflow's page writes when somebody saves a view, in 3.17.2: ``mlflow.sharedViewState.ID`` holds the
    view's name, its times and, as JSON in JSON, what it filters, sorts and draws.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from study.record import Record
from study.space import active_parameters

TAG = "mlflow.sharedViewState."
# Of the metrics on the test split, those that a reader looks for first.
SHOWN = ("ade", "fde", "apd", "jerk_ratio", "bone_error")
CURVES = ("val/score", "val/ade", "val/apd", "val/jerk_ratio", "val/bone_error", "train/critic")
RUNS_SHOWN = 100
# The page draws every metric in a section of the name before its first slash, unless there is one that was deleted.
SECTIONS_OF_THE_PAGE = ("best", "test", "train", "val", "Model metrics", "System metrics")
# The page and the tag both refuse longer ones.
LONGEST_TAG = 20_000


@dataclass(frozen=True)
class View:
    """One question to the experiment.

    Attributes:
        id: unique in the experiment, since studies may share one.
        name: what MLflow's list says.
        about: what it shows, in a few words.
        search: which runs.
        charts: whether it is one of charts; otherwise of the table.
        state: of the page.
    """

    id: str
    name: str
    about: str
    search: str
    charts: bool
    state: dict[str, Any]

    @property
    def tag(self) -> str:
        return TAG + self.id

    def value(self, created_ms: int) -> str:
        """The tag's value; the same for the same view, so that installing it twice changes nothing."""
        times = {"createdAt": created_ms, "updatedAt": created_ms}
        return json.dumps({"name": self.name, **times, "state": json.dumps(self.state, separators=(",", ":"))})

    def path(self, experiment_id: str) -> str:
        """Where the page shows it, from its root."""
        return self._runs_path(experiment_id, f"viewStateShareKey={quote(self.id)}")

    def plain_path(self, experiment_id: str) -> str:
        """The same runs, where MLflow knows no saved views."""
        return self._runs_path(experiment_id, f"searchFilter={quote(self.search)}")

    def _runs_path(self, experiment_id: str, what: str) -> str:
        mode = "CHART" if self.charts else "TABLE"
        return f"#/experiments/{experiment_id}/runs?{what}&compareRunsMode={mode}"


def views(record: Record) -> list[View]:
    """Verdict, arms, learning curves, search and motions of a study."""
    study_file, name = record.study_file, record.paths.name
    own = f"tags.`study.id` = '{record.plan['id']}'"
    arms = f"{own} AND tags.`study.kind` = 'arm'"
    beside = f"{own} AND tags.`study.kind` != 'trial' AND tags.`study.kind` != 'study'"
    searched = f"{own} AND tags.`study.phase` = 'search'"
    claimed = tuple(dict.fromkeys(metric for claim in study_file.claims for metric in claim.metrics)) or SHOWN
    objective = study_file.objective.metric
    best = "best/" + objective.removeprefix("val/")
    # The page leaves out of parallel coordinates each run that lacks one.
    common = [
        name
        for name in study_file.parameters
        if all(name in active_parameters(study_file, arm) for arm in study_file.arms)
    ]
    columns = ["tags.`study.arm`", *_intervals(claimed), "metrics.`n_seeds`", "tags.`study.winner`"]

    def view(id_: str, title: str, about: str, search: str, columns: Sequence[str] = (), **more: Any) -> View:
        charts = more.pop("charts", None)
        state = _state(name, search, columns, list(charts or ())) | more
        return View(f"{name}.{id_}", f"{name}: {title}", about, search, charts is not None, state)

    return [
        view(
            "verdict",
            "verdict",
            "the metrics that the claims are about, with intervals",
            arms,
            columns,
            orderByKey=f"metrics.`test/{claimed[0]}.mean`",
            orderByAsc=True,
        ),
        view(
            "arms",
            "arms",
            "arms and baselines side by side on the test split",
            beside,
            charts=[_bars(f"test/{metric}.mean") for metric in dict.fromkeys((*claimed, *SHOWN))],
        ),
        view(
            "curves",
            "learning curves",
            "the confirmed winners, epoch by epoch",
            arms,
            charts=[_lines(metric) for metric in dict.fromkeys((objective, *CURVES))],
        ),
        view(
            "search",
            "search",
            "every trial of the search by what was sampled",
            searched,
            charts=[
                _parallel(common, best),
                *(_scatter(parameter, best) for parameter in study_file.parameters),
            ],
        ),
        view("motions", "motions", "the same clips and z in every arm", arms, charts=_pictures(record)),
    ]


def _intervals(metrics: Sequence[str]) -> Iterator[str]:
    for metric in metrics:
        for part in ("mean", "ci_low", "ci_high"):
            yield f"metrics.`test/{metric}.{part}`"


def _state(section: str, search: str, columns: Sequence[str], charts: list[dict[str, Any]]) -> dict[str, Any]:
    """All that the page keeps of a view and does not fill in by itself."""
    state: dict[str, Any] = {"searchFilter": search, "runsHiddenMode": "SHOW_ALL"}
    if columns:
        state["selectedColumns"] = list(columns)
    if charts:
        state["compareRunCharts"] = [
            chart | {"uuid": f"{section}-{number}", "metricSectionId": section} for number, chart in enumerate(charts)
        ]
        state["compareRunSections"] = [
            _section(section, deleted=False),
            *(_section(name, deleted=True) for name in SECTIONS_OF_THE_PAGE),
        ]
        state["isAccordionReordered"] = True
    return state


def _section(name: str, *, deleted: bool) -> dict[str, Any]:
    shown = {"display": not deleted, "deleted": deleted, "isReordered": True, "isGenerated": False}
    return {"uuid": name, "name": name, **shown}


def _chart(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "runsCountToCompare": RUNS_SHOWN, "deleted": False, "isGenerated": False, **more}


def _bars(metric: str) -> dict[str, Any]:
    return _chart("BAR", metricKey=metric, displayName=metric)


def _lines(metric: str) -> dict[str, Any]:
    return _chart(
        "LINE",
        metricKey=metric,
        selectedMetricKeys=[metric],
        displayName=metric,
        lineSmoothness=0,
        xAxisKey="step",
        xAxisScaleType="linear",
        scaleType="linear",
        useGlobalXaxisKey=False,
        useGlobalLineSmoothing=False,
        selectedXAxisMetricKey="",
        yAxisKey="metric",
        yAxisExpressions=[],
        range={},
        ignoreOutliers=False,
    )


def _parallel(parameters: list[str], metric: str) -> dict[str, Any]:
    return _chart("PARALLEL", selectedParams=parameters, selectedMetrics=[metric], showAllRuns=True)


def _scatter(parameter: str, metric: str) -> dict[str, Any]:
    axes = {"xaxis": {"key": parameter, "type": "PARAM"}, "yaxis": {"key": metric, "type": "METRIC"}}
    return _chart("SCATTER", displayName=f"{metric} by {parameter}", **axes)


def _pictures(record: Record) -> list[dict[str, Any]]:
    clips = range(1, len(record.references().past) + 1)
    epochs = record.study_file.confirm_epochs()
    return [_chart("IMAGE", imageKeys=[f"clip {clip}"], step=epochs, showRunParams=False) for clip in clips]
