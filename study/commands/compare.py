"""``study compare``: the verdicts of a study and what they rest on, or several studies side by side."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from hpgan_core.config import unknown_name
from hpgan_core.metrics import METRICS
from study.comparison import COLUMNS, ArmSummary, Comparison, compare
from study.errors import BadStudyInput, ClaimsOpen
from study.factorial import Effect
from study.record import Record
from study.sentences import as_change, as_p, next_steps
from study.stats import Estimate
from study.terminal import Sliced, hanging
from study.verdict import LEAST, ClaimVerdict, GuardrailVerdict, MetricVerdict

# In one word where there is no room for two.
NOT_BETTER = " not better"
# Columns of a terminal that shows every interval.
WIDE = 110
# Of the strip on which zero and the margin stand at a third and two.
STRIP = 12
ZERO, MARGIN = STRIP // 3, 2 * STRIP // 3
WIDTHS = (14, 12, 6, 5, 5, 6, STRIP, 1, 5)
MARKS = {"favoured": " +", "conservative": " -", None: ""}
MODELS = {"mixed": "a linear mixed model with random seeds", "blocks": "a linear model with seeds as blocks"}
FORM = ".4g"
# Lines by the name of a study.
Steps = Mapping[str, Sequence[str]]
FORMS = {metric: form for metric, _, form in COLUMNS}


def run(
    names: Sequence[str],
    *,
    studies: Path,
    metric: str | None = None,
    as_json: bool = False,
    exit_verdict: bool = False,
    console: Console,
) -> None:
    """Print verdicts and tables, or all of it as JSON.

    Raises:
        BadStudyInput: no such study or metric; ``exit_verdict`` asks about a study without claims.
        ClaimsOpen: ``exit_verdict``, and a claim is neither non-inferior nor superior.
    """
    names = list(dict.fromkeys(names))
    if metric is not None and metric not in METRICS:
        raise BadStudyInput(f"--metric: {unknown_name('metric', metric, METRICS)}")
    records = [Record.open(studies, name) for name in names]
    comparisons = [compare(record) for record in records]
    steps = {record.paths.name: _next_steps(record, one) for record, one in zip(records, comparisons, strict=True)}
    for comparison in comparisons:
        if exit_verdict and not (comparison.claims or comparison.waiting):
            raise BadStudyInput(f"--exit-verdict: study {comparison.study!r} makes no claim")
    if as_json:
        plain = {comparison.study: _json(comparison, metric) for comparison in comparisons}
        print(json.dumps({"studies": plain} if len(plain) > 1 else plain[names[0]], indent=2))
    elif len(comparisons) > 1:
        _show_side_by_side(comparisons, steps, metric, console)
    elif metric is not None:
        _show_answers(comparisons[0], steps, console)
        _show_members(comparisons[0], metric, console)
    else:
        _show_study(comparisons[0], steps, console)
    still_open = [one for one in comparisons if not one.claims_hold]
    if exit_verdict and still_open:
        words = [f"{claim.claim}: {claim.word}" for one in still_open for claim in one.claims if not claim.holds]
        words += [f"{claim}: no verdict yet" for one in still_open for claim in one.waiting]
        raise ClaimsOpen("; ".join(words))


def show(record: Record, as_json: bool, console: Console) -> None:
    """Print what a study found so far."""
    run([record.paths.name], studies=record.paths.studies, as_json=as_json, console=console)


def _next_steps(record: Record, comparison: Comparison) -> list[str]:
    """What to do about the verdicts; nothing while others may still come."""
    if comparison.state == "interrupted":
        return [f"Next: {record.command('resume')}"]
    waits = comparison.state == "running" or comparison.waiting
    return [] if waits else list(next_steps(comparison.claims, record.study_file, record.command))


def _json(comparison: Comparison, metric: str | None) -> dict[str, Any]:
    plain = comparison.to_json()
    if metric is not None:
        for arm in plain["arms"].values():
            arm["metrics"] = {name: one for name, one in arm["metrics"].items() if name.partition("/")[2] == metric}
        for claim in plain["claims"]:
            claim["metrics"] = [one for one in claim["metrics"] if one["metric"] == metric]
        plain["effects"] = {name: one for name, one in plain["effects"].items() if name == metric}
    return plain


def _show_study(comparison: Comparison, steps: Steps, console: Console) -> None:
    wide = console.width >= WIDE
    _show_answers(comparison, steps, console)
    _show_claims(comparison, wide, console)
    _show_arms(comparison, wide, console)
    _show_winners(comparison, console)
    _show_effects(comparison, wide, console)


def _show_answers(comparison: Comparison, steps: Steps, console: Console) -> None:
    if comparison.question:
        console.print(comparison.question)
    for sentence in comparison.verdicts():
        console.print(hanging(f"- {sentence}", 2, console.width))
    for warning in comparison.warnings():
        console.print(warning)
    for step in steps[comparison.study]:
        # To be copied: only the terminal may break it.
        console.print(step, soft_wrap=True)
    console.print()


def _show_claims(comparison: Comparison, wide: bool, console: Console) -> None:
    """Interval, margin and zero of each metric on one line."""
    for claim in comparison.claims:
        table = _table(
            ("metric", "verdict", "change", "lower", "upper", "margin", _strip_heading(), "n", "p"), dense=True
        )
        for column, width in zip(table.columns, WIDTHS, strict=True):
            column.min_width = width
        for heading in ("p flip", "upper BCa", "middle half", "P(better)") if wide else ():
            table.add_column(heading, justify="right", no_wrap=True)
        for one in claim.metrics:
            row = [one.metric + MARKS[one.favour], one.word]
            row += map(as_change, (one.difference, one.lower, one.bound, one.margin))
            row += [_strip(one), _pairs(one), as_p(one.p)]
            beside = (as_change(one.bootstrap_bound), as_change(one.interquartile_difference.value))
            row += [as_p(one.p_permutation), *beside, _percent(one.improvement.value)] if wide else []
            table.add_row(*row)
        console.print(f"{claim.claim}: {claim.word} ({claim.candidate} against {claim.reference}, gate {claim.gate})")
        console.print(Sliced(table))
        ps = f"p {as_p(claim.p)}, by Holm {as_p(claim.p_adjusted)}, alpha {claim.alpha:g}"
        below = [f"{ps}; bounds at {1 - claim.level:.1%}", *(_guardrail(claim, one) for one in claim.guardrails)]
        for line in below:
            console.print(hanging(f"  {line}", 4, console.width))
        console.print()
    if comparison.claims:
        console.print(
            "Change of badness, negative is better; the upper bound must stay under the margin. + favoured: only the "
            "candidate trains on the metric; - conservative: only the reference does.\n",
            style="italic",
        )


def _guardrail(claim: ClaimVerdict, guardrail: GuardrailVerdict) -> str:
    word = {"non-inferior": "kept", "inferior": "broken"}.get(guardrail.word, guardrail.word)
    share, limit = guardrail.share, f"{guardrail.limit:.0%}"
    if guardrail.guardrail == "diversity":
        return f"diversity {_interval(share)} of {claim.reference}'s, at least {limit}: {word}"
    return f"diverged {_interval(share)} of its members, at most {limit}: {word}"


def _pairs(metric: MetricVerdict) -> str:
    return f"{metric.n_seeds}/{metric.n_seeds + metric.n_missing}" if metric.n_missing else str(metric.n_seeds)


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.0%}"


def _strip_heading() -> str:
    return "".join({ZERO: "0", MARGIN: "m"}.get(column, " ") for column in range(STRIP))


def _strip(metric: MetricVerdict) -> str:
    """``   -|-o--  :   ``: zero, margin and interval, whose end is an arrow where it lies outside."""
    if math.isnan(metric.bound):
        return ""
    # Without a margin the interval itself is the scale.
    unit = max(abs(metric.lower), abs(metric.bound), LEAST) if math.isnan(metric.margin) else metric.margin
    low, mean, high = (
        round(ZERO + value / unit * (MARGIN - ZERO)) for value in (metric.lower, metric.difference, metric.bound)
    )
    cells = ["-" if low <= column <= high else " " for column in range(STRIP)]
    cells[ZERO] = "|"
    if not math.isnan(metric.margin):
        cells[MARGIN] = ":"
    if 0 <= mean < STRIP:
        cells[mean] = "o"
    if low < 0:
        cells[0] = "<"
    if high >= STRIP:
        cells[-1] = ">"
    return "".join(cells)


def _show_arms(comparison: Comparison, wide: bool, console: Console) -> None:
    table = _table(comparison.headings())
    for *cells, against in comparison.rows(intervals=wide):
        table.add_row(*cells, against if wide else against.replace(NOT_BETTER, "!"))
    marked = " ! where it is not better." if comparison.is_confirmed and not wide else ""
    _print(table, comparison.caption() + marked, console)
    diverged = {name: arm.diverged for name, arm in comparison.arms.items() if arm.n_diverged}
    sentences = [f"{name}: {_interval(share)} of the members diverged." for name, share in diverged.items()]
    sentences += comparison.fronts()
    for sentence in sentences:
        console.print(sentence)
    if sentences:
        console.print()


def _interval(share: Estimate) -> str:
    return f"{_percent(share.value)} ({_percent(share.low)} to {_percent(share.high)})"


def _show_winners(comparison: Comparison, console: Console) -> None:
    winners = {name: arm for name, arm in comparison.arms.items() if arm.winner is not None}
    if not winners:
        return
    table = _table(("winner", "trial", "of", "search", "shortlist", "confirmed", "optimism", "hours"))
    for name, arm in winners.items():
        objective = [_number(value, ".3f") for value in (arm.picked, arm.shortlisted, arm.confirmed)]
        objective.append(_number(arm.optimism, "+.3f"))
        table.add_row(name, arm.winner, str(arm.n_trials), *objective, f"{arm.seconds / 3600:.2f}")
    caption = "The objective in the search and on fresh seeds: the best of many trials looks too good by the optimism."
    _print(table, caption, console)
    if comparison.differing:
        console.print("Parameters that are not the same in all winners:")
    for name in winners:
        own = {key: by_arm[name] for key, by_arm in comparison.differing.items() if name in by_arm}
        if own:
            console.print(f"  {name}: {', '.join(f'{key} {_value(value)}' for key, value in own.items())}")
    console.print()


def _number(value: float | None, form: str) -> str:
    return "-" if value is None or math.isnan(value) else format(value, form)


def _value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _show_effects(comparison: Comparison, wide: bool, console: Console) -> None:
    shown = [comparison.effects[metric] for metric in comparison.claimed_metrics() if metric in comparison.effects]
    if not shown:
        return
    table = _table(("effect of", *(effects.metric for effects in shown)))
    for row in zip(*(effects.effects for effects in shown), strict=True):
        table.add_row(" x ".join(row[0].losses), *(_effect(one, wide) for one in row))
    by_model = {model: [one.metric for one in shown if one.model == model] for model in MODELS}
    fitted = (f"{', '.join(metrics)} by {MODELS[model]}" for model, metrics in by_model.items() if metrics)
    assumed = [" x ".join(term) for term in shown[0].assumed_none]
    untold = f" Supposed to be none, since these arms cannot tell: {', '.join(assumed)}." if assumed else ""
    names = (
        "a x b: the change by a where b is, over that where b is not. " if len(shown[0].effects[-1].losses) > 1 else ""
    )
    caption = (
        "Change of the metric itself with the loss against without, over all arms: 95 % interval; b better, w worse by "
        f"that of its badness. {names}{'; '.join(fitted)}.{untold} An effect is that of a loss with the configuration "
        "that was searched for it; the interval covers the seeds of these winners, not another search."
    )
    _print(table, caption, console)


def _effect(effect: Effect, wide: bool) -> str:
    own = effect.own
    interval = f"{as_change(own.low)} to {as_change(own.high)}"
    mark = effect.direction[0] if effect.direction else " "
    return f"{f'{as_change(own.value)} ({interval})' if wide else interval} {mark}"


def _show_members(comparison: Comparison, metric: str, console: Console) -> None:
    """One metric with the value of every member."""
    table = _table(("arm", "n", "mean", "95 % interval", "every member"))
    for name, arm in comparison.arms.items():
        interval = arm.metrics.get(_on_split(arm, metric))
        if interval is None:
            table.add_row(name, "0", *["-"] * 3)
            continue
        width = "-" if math.isnan(interval.low) else f"{interval.low:{FORM}} to {interval.high:{FORM}}"
        table.add_row(
            name,
            str(sum(map(math.isfinite, interval.members))),
            _number(interval.mean, FORM),
            width,
            " ".join(_number(value, FORM) for value in interval.members),
        )
    for name, metrics in comparison.baselines.items():
        table.add_row(name.replace("_", " "), "", _number(metrics.get(metric), FORM), "", "")
    table.columns[-1].no_wrap = False
    table.columns[-1].justify = "left"
    table.title = f"{metric}, {METRICS[metric].says}"
    _print(table, "By seed, in the same order in every arm; - where a member diverged or did not run.", console)


def _show_side_by_side(comparisons: Sequence[Comparison], steps: Steps, metric: str | None, console: Console) -> None:
    names = [comparison.study for comparison in comparisons]
    verdicts = [
        {claim.claim: claim.word for claim in one.claims} | dict.fromkeys(one.waiting, "no verdict yet")
        for one in comparisons
    ]
    table = _table(("claim", *names))
    for claim in dict.fromkeys(claim for words in verdicts for claim in words):
        table.add_row(claim, *(words.get(claim, "") for words in verdicts))
    if table.row_count:
        table.columns[0].no_wrap = False
        console.print(Sliced(table))
    metrics = [metric] if metric else dict.fromkeys(m for one in comparisons for m in one.claimed_metrics())
    for shown in metrics:
        caption = "Mean ± half of the 95 % interval over seeds; * of the search, on the validation split."
        _print(_metric_by_study(comparisons, shown), caption, console)
    if len({comparison.data_digest for comparison in comparisons}) > 1:
        console.print("These studies have different data: their verdicts can be compared, their numbers cannot.")
    for comparison in comparisons:
        console.print(f"\n{comparison.study}")
        _show_answers(comparison, steps, console)


def _metric_by_study(comparisons: Sequence[Comparison], metric: str) -> Table:
    table = _table(("arm", *(comparison.study for comparison in comparisons)))
    for arm in dict.fromkeys(arm for comparison in comparisons for arm in comparison.arms):
        table.add_row(arm, *(_in_study(comparison, arm, metric) for comparison in comparisons))
    for name in dict.fromkeys(name for comparison in comparisons for name in comparison.baselines):
        values = (comparison.baselines.get(name, {}).get(metric) for comparison in comparisons)
        table.add_row(name.replace("_", " "), *(_number(value, FORMS.get(metric, FORM)) for value in values))
    table.title = f"{metric}, {METRICS[metric].says}"
    return table


def _in_study(comparison: Comparison, name: str, metric: str) -> str:
    arm = comparison.arms.get(name)
    interval = arm.metrics.get(_on_split(arm, metric)) if arm else None
    if arm is None or interval is None:
        return "-"
    form = FORMS.get(metric, FORM)
    half = "" if math.isnan(interval.high) else f"±{interval.high - interval.mean:{form}}"
    return f"{_number(interval.mean, form)}{half}{'' if arm.phase == 'confirm' else '*'}"


def _on_split(arm: ArmSummary, metric: str) -> str:
    return f"{'test' if arm.phase == 'confirm' else 'val'}/{metric}"


def _print(table: Table, caption: str, console: Console) -> None:
    """A table with its caption, which is as wide as the terminal."""
    console.print(Sliced(table))
    console.print(f"{caption}\n", style="italic")


def _table(headings: Sequence[str], dense: bool = False) -> Table:
    """The first column is a name, the others are numbers."""
    table = Table(
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=0 if dense else (0, 1, 0, 0),
    )
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left", no_wrap=heading != "vs frozen")
    return table
