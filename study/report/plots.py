"""Figures as matplotlib draws them: for notebooks, and as pictures beside the report's Markdown.

Each takes the rows of a ``Figure`` as a data frame, the words of a language, and the axes to draw into.
"""

import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from study.report.figures import Figure
from study.report.words import Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WORD_COLOURS = {
    "superior": "tab:green",
    "non-inferior": "tab:green",
    "inconclusive": "tab:grey",
    "inferior": "tab:red",
    "gate failed": "tab:orange",
}
WIDTH_IN, LINE_IN, LEAST_IN = 8.0, 0.3, 3.2
DOTS_PER_INCH = 100


def frame(figure: Figure) -> pd.DataFrame:
    """The rows of a figure."""
    return pd.DataFrame(list(figure.rows), columns=list(figure.columns))


def draw_verdicts(ax: "Axes", table: pd.DataFrame, words: Words) -> None:
    """Change of each claim's metrics with its interval, zero, and the margin as a dotted line, under the claim's name.

    The axis is that of log ratios, on which the test is made; its marks say by what share that is worse or better.
    """
    ax.axvline(0.0, color="black", linewidth=0.8)
    labels: list[str] = []
    for claim, rows in table.groupby("claim", sort=False):
        labels.append(str(claim))
        for row in rows.itertuples():
            place, colour = len(labels), WORD_COLOURS[row.word]
            ax.plot([row.lower, row.upper], [place, place], color=colour)
            ax.plot(row.difference, place, "o", color=colour)
            ax.vlines(row.margin, place - 0.3, place + 0.3, linestyles=":", color="black")
            mark = f" ({words.named('mark_', row.favour)})" if isinstance(row.favour, str) else ""
            labels.append(f"{words.named('name_', row.metric)}: {words.named('word_', row.word)}{mark}")
    ax.set_yticks(range(len(labels)), labels)
    for label in ax.get_yticklabels():
        if label.get_text() in set(table["claim"]):
            label.set_fontweight("bold")
    ax.tick_params(axis="y", length=0)
    # Without a claim there is one line all the same.
    ax.set_ylim(max(len(labels), 1) - 0.5, -0.5)
    ax.margins(x=0.1)
    ax.xaxis.set_major_formatter(lambda ratio, _: words.percent(math.expm1(ratio)))
    ax.set_xlabel(words("effects_axis"))


def draw_learning(ax: "Axes", table: pd.DataFrame, words: Words, metric: str) -> None:
    """Mean and 95 % interval of one metric by epoch, a line for each arm.

    The scale is that of the means: the interval of two members may be many times as wide, and is cut off.
    """
    table = table[table["metric"] == metric]
    for arm, rows in table.groupby("arm", sort=False):
        (line,) = ax.plot(rows["epoch"], rows["mean"], label=str(arm))
        ax.fill_between(rows["epoch"], rows["ci_low"], rows["ci_high"], color=line.get_color(), alpha=0.2)
    lowest, highest = table["mean"].min(), table["mean"].max()
    room = (highest - lowest) / 2
    least, most = max(lowest - room, table["ci_low"].min()), min(highest + room, table["ci_high"].max())
    if least < most:
        ax.set_ylim(least, most)
    ax.set_xlabel(words("epoch"))
    ax.set_ylabel(metric)
    _add_legend(ax)


def draw_search(ax: "Axes", table: pd.DataFrame, parameter: str, objective: str, *, log: bool) -> None:
    """The objective of every complete search trial by one parameter, a colour for each arm; winners are ringed."""
    for arm, rows in table[table["state"] == "complete"].dropna(subset=[parameter]).groupby("arm", sort=False):
        points = ax.scatter(rows[parameter], rows["objective"], label=str(arm))
        won = rows[rows["winner"]]
        ax.scatter(won[parameter], won["objective"], s=120, facecolors="none", edgecolors=points.get_edgecolor())
    if log:
        ax.set_xscale("log")
    ax.set_xlabel(parameter)
    ax.set_ylabel(objective)
    _add_legend(ax)


def draw_pareto(ax: "Axes", table: pd.DataFrame, words: Words) -> None:
    """Error (ADE, metres) against diversity (APD, metres): members small, means of arms large, baselines dotted."""
    for arm, rows in table[table["kind"] != "baseline"].groupby("arm", sort=False):
        members, mean = rows[rows["kind"] == "member"], rows[rows["kind"] == "mean"]
        points = ax.scatter(members["apd"], members["ade"], s=12, alpha=0.6)
        ax.scatter(mean["apd"], mean["ade"], s=90, color=points.get_facecolor()[0], alpha=1.0, label=str(arm))
    for row in table[table["kind"] == "baseline"].itertuples():
        ax.axhline(row.ade, linestyle=":", linewidth=0.8, color="black")
        name, right_edge = row.arm.replace("_", " "), ax.get_yaxis_transform()
        ax.text(0.99, row.ade, name, transform=right_edge, ha="right", va="bottom", fontsize=8)
    ax.set_xlabel(words("axis_apd"))
    ax.set_ylabel(words("axis_ade"))
    _add_legend(ax)


def _add_legend(ax: "Axes") -> None:
    """Beside the axes: eight arms would cover what is in them."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def write_pictures(folder: Path, figures: Mapping[str, Figure], words: Words, objective: str) -> set[str]:
    """Draw verdicts, learning curves and the Pareto plane into ``NAME.png``; returns the names of those with a row."""
    draw: dict[str, Callable[[Axes, pd.DataFrame], None]] = {
        "forest": lambda ax, table: draw_verdicts(ax, table, words),
        "learning": lambda ax, table: draw_learning(ax, table, words, objective),
        "pareto": lambda ax, table: draw_pareto(ax, table, words),
    }
    # Imported here, since it is slow to; and not by pyplot, which would open windows.
    from matplotlib.figure import Figure as Canvas

    written = {name for name in draw if figures[name].rows}
    for name in written:
        lines = len(figures[name].rows) + len({row[0] for row in figures[name].rows})
        height = max(LEAST_IN, LINE_IN * lines) if name == "forest" else LEAST_IN
        canvas = Canvas(figsize=(WIDTH_IN, height), layout="constrained", dpi=DOTS_PER_INCH)
        draw[name](canvas.add_subplot(), frame(figures[name]))
        with warnings.catch_warnings():
            # A name in a script that the font lacks is a row of boxes here, and whole in the page and the tables.
            warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
            canvas.savefig(folder / f"{name}.png")
    return written
