"""What every figure of a report draws, as tables: the page's script and the CSV beside it read the same rows."""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from study.comparison import COLUMNS, Comparison, tested_trials
from study.pareto import pareto_front
from study.record import Record, Trial
from study.report.motions import Motions
from study.search import parameter_importances
from study.space import active_parameters, first_values
from study.stats import expected_best, mean_interval

# Shown as learning curves beside the objective, where they were measured.
CURVES = tuple(metric for metric, _, _ in COLUMNS)
DIGITS = 5
# Of the numbers of trials for which the expected best is told.
SIZES_TOLD = 200


@dataclass(frozen=True)
class Figure:
    """The rows that one figure draws; its name is that of its CSV."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]

    def csv(self) -> str:
        """With every digit; a number that does not exist is an empty cell."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([None if _missing(cell) else cell for cell in row] for row in self.rows)
        return text.getvalue()

    def to_json(self) -> dict[str, Any]:
        """As the page holds it: rounded, and null where there is no number."""
        return {"columns": self.columns, "rows": [[_rounded(cell) for cell in row] for row in self.rows]}


def build_figures(record: Record, comparison: Comparison, motions: Motions | None) -> dict[str, Figure]:
    """Every figure of the report, by name."""
    figures = [
        Figure("forest", FOREST, list(_forest(comparison))),
        Figure("forest_seeds", FOREST_SEEDS, list(_forest_seeds(record, comparison))),
        Figure("guardrails", GUARDRAILS, list(_guardrails(comparison))),
        Figure("arms", ARMS, list(_arms(comparison))),
        Figure("arms_members", ARMS_MEMBERS, list(_arms_members(record, comparison))),
        Figure("effects", EFFECTS, list(_effects(comparison))),
        Figure("learning", LEARNING, list(_learning(record))),
        _search(record),
        Figure("importances", IMPORTANCES, list(_importances(record))),
        Figure("best_of_n", BEST_OF_N, list(_best_of_n(record))),
        Figure("pareto", PARETO, list(_pareto(record, comparison))),
        Figure("failures", FAILURES, list(_failures(record))),
    ]
    if motions:
        figures.append(Figure("stretch", STRETCH, list(motions.stretch())))
    return {figure.name: figure for figure in figures}


FOREST = (
    "claim", "metric", "candidate", "reference", "word", "difference", "lower", "upper", "margin", "n_seeds", "favour",
    "level", "p", "p_permutation", "seeds_needed",
)  # fmt: skip
FOREST_SEEDS = ("claim", "metric", "seed", "difference")
GUARDRAILS = ("claim", "guardrail", "word", "share", "low", "high", "limit")


def _forest(comparison: Comparison) -> Iterator[Sequence[Any]]:
    """Differences of log badness, candidate minus reference, with both one-sided bounds."""
    for claim in comparison.claims:
        for one in claim.metrics:
            arms = one.metric, claim.candidate, claim.reference, one.word
            numbers = one.difference, one.lower, one.bound, one.margin, one.n_seeds, one.favour
            yield claim.claim, *arms, *numbers, claim.level, one.p, one.p_permutation, one.seeds_needed


def _forest_seeds(record: Record, comparison: Comparison) -> Iterator[Sequence[Any]]:
    members = _seeds(record)
    for claim in comparison.claims:
        seeds = members[claim.candidate]
        for one in claim.metrics:
            for seed, difference in zip(seeds, one.differences, strict=True):
                if math.isfinite(difference):
                    yield claim.claim, one.metric, seed, difference


def _guardrails(comparison: Comparison) -> Iterator[Sequence[Any]]:
    for claim in comparison.claims:
        for one in claim.guardrails:
            yield claim.claim, one.guardrail, one.word, one.share.value, one.share.low, one.share.high, one.limit


ARMS = ("arm", "phase", "metric", "mean", "ci_low", "ci_high", "members", "diverged", "search_trials", "seconds")
ARMS_MEMBERS = ("arm", "phase", "metric", "seed", "value")


def _arms(comparison: Comparison) -> Iterator[Sequence[Any]]:
    for name, arm in comparison.arms.items():
        for metric, interval in arm.metrics.items():
            counts = arm.n_members, arm.n_diverged, arm.n_trials, arm.seconds
            yield name, arm.phase, metric, interval.mean, interval.low, interval.high, *counts
    for name, metrics in comparison.baselines.items():
        for metric, value in metrics.items():
            yield name, "baseline", f"test/{metric}", value, *[None] * 6


def _arms_members(record: Record, comparison: Comparison) -> Iterator[Sequence[Any]]:
    members = _seeds(record)
    for name, arm in comparison.arms.items():
        seeds = members[name]
        for metric, interval in arm.metrics.items():
            for seed, value in zip(seeds, interval.members, strict=True):
                yield name, arm.phase, metric, seed, value


EFFECTS = ("metric", "losses", "change", "ci_low", "ci_high", "model", "own", "own_low", "own_high")


def _effects(comparison: Comparison) -> Iterator[Sequence[Any]]:
    """What each loss, and losses together, change of each metric: ``change`` of its log badness, ``own`` of its log."""
    for metric, effects in comparison.effects.items():
        for effect in effects.effects:
            change, own = effect.change, effect.own
            numbers = change.value, change.low, change.high, effects.model, own.value, own.low, own.high
            yield metric, " × ".join(effect.losses), *numbers


LEARNING = ("arm", "metric", "epoch", "mean", "ci_low", "ci_high", "members")


def _learning(record: Record) -> Iterator[Sequence[Any]]:
    objective = record.study_file.objective.metric
    metrics = dict.fromkeys([objective, *(f"val/{metric}" for metric in CURVES)])
    for arm in record.study_file.arms:
        by_epoch: dict[int, list[dict[str, list[float]]]] = {}
        for trial in shown_trials(record, arm):
            for line in trial.epochs():
                by_epoch.setdefault(line["epoch"], []).append(line["members"])
        for metric in metrics:
            for epoch, parts in by_epoch.items():
                interval = mean_interval([value for part in parts for value in part.get(metric, ())])
                if math.isfinite(interval.mean):
                    n_members = sum(map(math.isfinite, interval.members))
                    yield arm, metric, epoch, interval.mean, interval.low, interval.high, n_members


def _search(record: Record) -> Figure:
    parameters = list(record.study_file.parameters)
    winners = {winner.key for arm in record.study_file.arms if (winner := record.winner(arm))}
    rows = [
        (
            trial.request.arm,
            trial.request.trial,
            outcome.state,
            trial.request.number,
            outcome.epochs,
            outcome.objective,
            outcome.seconds,
            trial.key in winners,
            *(trial.request.parameters.get(name) for name in parameters),
        )
        for trial in record.trials(phase="search")
        if (outcome := trial.outcome)
    ]
    return Figure("search", (*SEARCH, *parameters), rows)


SEARCH = ("arm", "trial", "state", "number", "epochs", "objective", "seconds", "winner")
IMPORTANCES = ("arm", "parameter", "importance", "complete_trials")


def _importances(record: Record) -> Iterator[Sequence[Any]]:
    for arm in record.study_file.arms:
        complete = [
            (trial.request.parameters, outcome.objective)
            for trial in record.trials(arm, "search")
            if (outcome := trial.outcome) and outcome.state == "complete" and outcome.objective is not None
        ]
        shares = parameter_importances(active_parameters(record.study_file, arm), complete)
        for name, share in shares.items():
            yield arm, name, share, len(complete)


BEST_OF_N = ("arm", "n", "expected_best")


def _best_of_n(record: Record) -> Iterator[Sequence[Any]]:
    """What a search of n trials finds on average, where trials are independent: not chosen by results, nor pruned."""
    study_file = record.study_file
    if study_file.search.sampler.learns or study_file.pruner().name != "none":
        return
    objective = study_file.objective
    for arm in study_file.arms:
        n_given = len(first_values(study_file, arm))
        found = [
            objective.cost(outcome.objective)
            for trial in record.trials(arm, "search")
            if trial.request.number >= n_given and (outcome := trial.outcome) and outcome.objective is not None
        ]
        for n in _told_sizes(len(found)):
            # A cost is the objective with the sign that makes less better, and back again.
            yield arm, n, objective.cost(expected_best(found, n))


def _told_sizes(n: int) -> list[int]:
    """1 to n; of many so many that the curve is the same, closer together where it is steep."""
    if n <= SIZES_TOLD:
        return list(range(1, n + 1))
    sizes: list[int] = np.unique(np.geomspace(1, n, SIZES_TOLD).round().astype(int)).tolist()
    return sizes


PARETO = ("arm", "kind", "seed", "ade", "ade_low", "ade_high", "apd", "apd_low", "apd_high", "front")


def _pareto(record: Record, comparison: Comparison) -> Iterator[Sequence[Any]]:
    """Members, then means; arms that are confirmed are not mixed with others."""
    phase = comparison_phase(comparison)
    split = "test" if phase == "confirm" else "val"
    arms = {
        name: (arm.metrics[f"{split}/ade"], arm.metrics[f"{split}/apd"])
        for name, arm in comparison.arms.items()
        if arm.phase == phase and f"{split}/ade" in arm.metrics and f"{split}/apd" in arm.metrics
    }
    sound = [name for name, pair in arms.items() if all(math.isfinite(interval.mean) for interval in pair)]
    means = [[interval.mean for interval in arms[name]] for name in sound]
    front = {sound[index] for index in pareto_front(means, [True, False])}
    members = _seeds(record)
    for name, (ade, apd) in arms.items():
        for seed, error, diversity in zip(members[name], ade.members, apd.members, strict=True):
            yield name, "member", seed, error, None, None, diversity, None, None, None
    for name in sound:
        ade, apd = arms[name]
        yield name, "mean", None, ade.mean, ade.low, ade.high, apd.mean, apd.low, apd.high, name in front
    for name, metrics in comparison.baselines.items():
        yield name, "baseline", None, metrics["ade"], None, None, metrics["apd"], None, None, None


FAILURES = ("arm", "what", "kind", "number", "example")


def _failures(record: Record) -> Iterator[Sequence[Any]]:
    """Failed trials and lost executions by kind, then members that are no more."""
    for arm in record.study_file.arms:
        counted: Counter[tuple[str, str | None]] = Counter()
        examples: dict[tuple[str, str | None], str] = {}
        for trial in record.trials(arm):
            outcome = trial.outcome
            found: list[tuple[str, str | None, str]] = []
            if outcome and outcome.state == "failed":
                found.append(("fail_trial", outcome.kind or "bug", f"{trial.key}: {outcome.cause}"))
            for attempt in trial.attempts():
                # The one that ended the trial has been counted with it.
                repeated = attempt.kind not in (None, "stopped") and attempt.attempt < len(trial.attempts())
                if repeated:
                    found.append(("fail_attempt", attempt.kind, f"{trial.key}: {attempt.cause}"))
            last = (trial.epochs() or [{}])[-1]
            for end in ("diverged", "collapsed"):
                found += [(f"fail_{end}", None, trial.key)] * last.get(end, 0)
            for what, kind, example in found:
                counted[what, kind] += 1
                examples.setdefault((what, kind), example)
        for (what, kind), number in counted.items():
            yield arm, what, kind, number, examples[what, kind]


STRETCH = ("arm", "clip", "z", "frame", "time_s", "mean_stretch", "max_stretch")


def comparison_phase(comparison: Comparison) -> str:
    """``confirm`` as soon as one arm is."""
    return "confirm" if any(arm.phase == "confirm" for arm in comparison.arms.values()) else "search"


def shown_trials(record: Record, arm: str) -> list[Trial]:
    """What stands for an arm: the trials that test it, or else the winner of its search, where there is one."""
    winner = record.winner(arm)
    return tested_trials(record, arm) or ([winner] if winner else [])


def _seeds(record: Record) -> dict[str, list[int]]:
    """The seeds of each arm's members, in the order in which a comparison has them: tested arms share theirs."""
    tested = {arm: tested_trials(record, arm) for arm in record.study_file.arms}
    common = list(chain.from_iterable(tested.values()))
    shown = {arm: common if trials else shown_trials(record, arm) for arm, trials in tested.items()}
    return {arm: sorted({seed for trial in trials for seed in trial.request.seeds}) for arm, trials in shown.items()}


def _missing(cell: Any) -> bool:
    return isinstance(cell, float) and not math.isfinite(cell)


def _rounded(cell: Any) -> Any:
    if not isinstance(cell, float):
        return cell
    return None if _missing(cell) else float(f"{cell:.{DIGITS}g}")
