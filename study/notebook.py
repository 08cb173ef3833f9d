"""A recorded study in Python: its numbers as data frames, its figures as matplotlib's.

``study.load`` makes one. Everything is read from the record each time, so that a study that runs can be looked at.
"""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from hpgan_core.config import unknown_name
from study.comparison import Comparison, compare
from study.errors import BadStudyInput
from study.record import Record
from study.report.figures import build_figures
from study.report.motions import Motions
from study.report.plots import draw_learning, draw_pareto, draw_search, draw_verdicts, frame
from study.report.words import Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ENGLISH = Words("en")


class Study:
    """One study of a folder.

    Args:
        record: what is known of it.
    """

    def __init__(self, record: Record) -> None:
        self.record = record

    @cached_property
    def name(self) -> str:
        return self.record.paths.name

    @property
    def question(self) -> str:
        return self.record.study_file.question

    @property
    def state(self) -> str:
        """``running``, ``interrupted``, ``finished``, ``budget_spent``, ``too_many_failed`` or ``failed``."""
        return self.record.state()

    @property
    def trials(self) -> pd.DataFrame:
        """One row a trial of any phase: how it ended, and one column for each parameter that is searched.

        Columns: ``arm``, ``trial``, ``phase``, ``state``, ``objective`` (of the last epoch; on the validation split),
        ``epochs``, ``seconds``, ``kind`` and ``cause`` of a failure, then the parameters; NaN where an arm has none.
        """
        rows = []
        for trial in self.record.trials():
            request, outcome = trial.request, trial.outcome
            row: dict[str, Any] = {
                "arm": request.arm,
                "trial": request.trial,
                "phase": request.phase,
                "state": trial.state,
                "objective": outcome.objective if outcome else None,
                "epochs": outcome.epochs if outcome else trial.last_epoch(),
                "seconds": outcome.seconds if outcome else None,
                "kind": outcome.kind if outcome else None,
                "cause": outcome.cause if outcome else None,
            }
            rows.append(row | request.parameters)
        return pd.DataFrame(rows)

    @property
    def epochs(self) -> pd.DataFrame:
        """One row an epoch and member: ``arm``, ``trial``, ``phase``, ``epoch``, ``seed``, then every metric."""
        rows = [
            {
                "arm": trial.request.arm,
                "trial": trial.request.trial,
                "phase": trial.request.phase,
                "epoch": line["epoch"],
                "seed": seed,
                **{metric: values[position] for metric, values in line["members"].items()},
            }
            for trial in self.record.trials()
            for line in trial.epochs()
            for position, seed in enumerate(trial.request.seeds)
        ]
        return pd.DataFrame(rows)

    def compare(self) -> Comparison:
        """Verdicts, arms with intervals, winners and effects, as ``study compare`` prints them."""
        return compare(self.record)

    def table(self, name: str) -> pd.DataFrame:
        """What a figure of the report draws, by the name of its CSV: ``forest``, ``arms``, ``learning``, ...

        Raises:
            BadStudyInput: there is no such figure.
        """
        figures = build_figures(self.record, self.compare(), Motions.of(self.record))
        if name not in figures:
            raise BadStudyInput(unknown_name("figure", name, figures))
        return frame(figures[name])

    def animation(self, clip: int = 1) -> Path:
        """The file of the first, second, ... clip: truth beside all arms, the same past and the same z.

        Raises:
            BadStudyInput: none has been drawn.
        """
        path = self.record.paths.gif(clip)
        if not path.exists():
            there = ", ".join(sorted(one.name for one in path.parent.glob("*.gif"))) or "none yet"
            raise BadStudyInput(f"study {self.name!r} has no animation {path.name}; there are: {there}")
        return path

    def plot_verdicts(self, ax: "Axes | None" = None) -> "Axes":
        """Change of log badness of every claim and metric with its interval, zero and margin."""
        ax = _axes(ax)
        draw_verdicts(ax, self.table("forest"), ENGLISH)
        return ax

    def plot_learning(self, metric: str | None = None, ax: "Axes | None" = None) -> "Axes":
        """Mean and 95 % interval over members by epoch, one line an arm; by default of the objective.

        Raises:
            BadStudyInput: the metric was not recorded, or no epoch of an arm's best trial.
        """
        table, metric = self.table("learning"), metric or self.record.study_file.objective.metric
        if table.empty:
            raise BadStudyInput(f"study {self.name!r} has no learning curve yet: no arm has a complete trial")
        if metric not in (known := tuple(dict.fromkeys(table["metric"]))):
            raise BadStudyInput(unknown_name("metric", metric, known))
        ax = _axes(ax)
        draw_learning(ax, table, ENGLISH, metric)
        return ax

    def plot_search(self, parameter: str | None = None, ax: "Axes | None" = None) -> "Axes":
        """The objective of every complete search trial by one parameter, by default the first of the study
        file, one colour an arm; winners are ringed.

        Raises:
            BadStudyInput: the study does not search this parameter, or none at all.
        """
        study_file = self.record.study_file
        parameter = parameter or next(iter(study_file.parameters), "")
        if parameter not in study_file.parameters:
            raise BadStudyInput(unknown_name("parameter", parameter, study_file.parameters))
        ax, log = _axes(ax), bool(getattr(study_file.parameters[parameter], "log", False))
        draw_search(ax, self.table("search"), parameter, study_file.objective.metric, log=log)
        return ax

    def plot_pareto(self, ax: "Axes | None" = None) -> "Axes":
        """Error (ADE, metres) against diversity (APD, metres): members small, means of arms large."""
        ax = _axes(ax)
        draw_pareto(ax, self.table("pareto"), ENGLISH)
        return ax

    def __repr__(self) -> str:
        return f"<Study {self.name}: {self.state.replace('_', ' ')}, {len(self.record.trials())} trials>"

    def _repr_html_(self) -> str:
        """Question, state, verdicts, the table of arms and where the report is, as a notebook shows them."""
        page = self.record.paths.report / "report.html"
        report = f"Report: {page}" if page.exists() else f"No report yet: {self.record.command('report')}"
        return self.compare().card(report)


def _axes(ax: "Axes | None") -> "Axes":
    if ax is not None:
        return ax
    # Imported here: who plots nothing need not wait for it.
    from matplotlib import pyplot as plt

    return plt.subplots(layout="constrained")[1]
