"""What a study found, arm by arm: one structure behind the table, the JSON and MLflow's summaries."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from study.record import Record, Trial
from study.stats import Interval, mean_interval
from study.verdict import ClaimVerdict, MetricVerdict, judge

# Columns of the table: metric, heading, how a number is written.
COLUMNS = (
    ("ade", "ADE m", ".3f"),
    ("fde", "FDE m", ".3f"),
    ("apd", "APD m", ".2f"),
    ("joint_error_mm", "joint mm", ".0f"),
    ("bone_error", "bones", ".3f"),
    ("jerk_ratio", "jerk", ".2f"),
)


@dataclass(frozen=True)
class ArmSummary:
    """One arm.

    Attributes:
        losses: what it adds to the adversarial loss.
        phase: ``confirm`` when its winner has been confirmed: fresh seeds, test split. ``search`` before: the winner's
            own numbers, which look too good.
        winner: its best trial, None without a complete one.
        parameters: sampled values of the winner.
        front: trials that no other beats in all objectives, and those of each; empty with one objective.
        picked: the winner's objective when it was picked.
        confirmed: the same objective on fresh seeds; worse than ``picked`` by the optimism of the choice.
        n_members: members that did not diverge.
        n_diverged: members that did.
        metrics: ``test/...`` and ``val/...``.
        seconds: training time of all its trials.
    """

    losses: tuple[str, ...]
    phase: str
    winner: str | None
    parameters: dict[str, Any]
    front: dict[str, dict[str, float]]
    picked: float | None
    confirmed: float | None
    n_members: int
    n_diverged: int
    metrics: dict[str, Interval]
    seconds: float

    def beats(self, baseline: dict[str, float], metric: str = "ade") -> bool | None:
        """Whether the whole interval lies below the baseline's value; None where one of them is missing."""
        interval = self.metrics.get(f"test/{metric}")
        if interval is None or metric not in baseline or math.isnan(interval.high):
            return None
        return interval.high < baseline[metric]


@dataclass(frozen=True)
class Comparison:
    """A whole study."""

    study: str
    question: str
    state: str
    arms: dict[str, ArmSummary]
    baselines: dict[str, dict[str, float]]
    claims: list[ClaimVerdict]

    def to_json(self) -> dict[str, Any]:
        """Stable keys, plain values; a number that does not exist is null."""
        arms = {
            name: asdict(arm)
            | {"metrics": {metric: _interval_json(interval) for metric, interval in arm.metrics.items()}}
            | {"beats_zero_velocity": arm.beats(self.baselines.get("zero_velocity", {}))}
            for name, arm in self.arms.items()
        }
        plain: dict[str, Any] = _without_nan(
            {
                "study": self.study,
                "question": self.question,
                "state": self.state,
                "arms": arms,
                "baselines": {
                    name: {f"test/{k}": v for k, v in metrics.items()} for name, metrics in self.baselines.items()
                },
                "claims": [asdict(claim) for claim in self.claims],
            }
        )
        return plain

    def rows(self, intervals: bool = True) -> Iterable[list[str]]:
        """Cells of the table: arms, then baselines; without ``intervals`` only the ADE keeps its own."""
        zero_velocity = self.baselines.get("zero_velocity", {})
        for name, arm in self.arms.items():
            split = "test" if arm.phase == "confirm" else "val"
            cells = [
                _cell(arm.metrics.get(f"{split}/{metric}"), form, intervals or metric == "ade")
                for metric, _, form in COLUMNS
            ]
            members = f"{arm.n_members} of {arm.n_members + arm.n_diverged}" if arm.n_diverged else str(arm.n_members)
            yield [name, members, *cells, _against(arm, zero_velocity)]
        for name, metrics in self.baselines.items():
            yield [name.replace("_", " "), "", *(format(metrics[metric], form) for metric, _, form in COLUMNS), ""]

    def headings(self) -> list[str]:
        return ["arm", "n", *(heading for _, heading, _ in COLUMNS), "vs frozen"]

    def markdown(self) -> str:
        """The table and the verdicts as Markdown."""
        lines = ["| " + " | ".join(self.headings()) + " |", "|" + " --- |" * len(self.headings())]
        lines += ["| " + " | ".join(row) + " |" for row in self.rows()]
        return "\n".join([*lines, "", *(f"- {sentence}" for sentence in (*self.fronts(), *self.verdicts()))])

    def fronts(self) -> Iterable[str]:
        """One sentence an arm where several objectives count: the trials to choose from."""
        for name, arm in self.arms.items():
            if arm.front:
                trials = (
                    f"{trial} ({', '.join(f'{metric} {value:.4g}' for metric, value in values.items())})"
                    for trial, values in arm.front.items()
                )
                yield f"{name}: Pareto front {', '.join(trials)}; the objective picks {arm.winner}."

    def verdicts(self) -> list[str]:
        """One sentence a claim."""
        return [_sentence(claim) for claim in self.claims]


def compare(record: Record) -> Comparison:
    """Summarise a study in whatever state it is."""
    confirmations = {arm: record.confirmations(arm) for arm in record.study_file.arms}
    # Arms are compared seed by seed: each has a place for every seed that any has been confirmed on.
    seeds = sorted({seed for trials in confirmations.values() for trial in trials for seed in trial.request.seeds})
    arms = {arm: _summarise(record, arm, trials, seeds) for arm, trials in confirmations.items()}
    members = {
        name: {metric: interval.members for metric, interval in arm.metrics.items()}
        for name, arm in arms.items()
        if arm.phase == "confirm"
    }
    study_file = record.study_file
    return Comparison(
        record.paths.name, study_file.question, record.state(), arms, record.baselines(), judge(study_file, members)
    )


def _summarise(record: Record, arm: str, confirmations: list[Trial], seeds: list[int]) -> ArmSummary:
    winner = record.winner(arm)
    shown = confirmations or ([winner] if winner else [])
    by_seed = {
        seed: {name: values[member] for name, values in last["members"].items()}
        for trial in shown
        if (last := _last(trial))
        for member, seed in enumerate(trial.request.seeds)
    }
    seeds = seeds if confirmations else sorted(by_seed)
    names = [name for name in next(iter(by_seed.values()), {}) if name.startswith(("test/", "val/"))]
    metrics = {name: mean_interval([by_seed.get(seed, {}).get(name, math.nan) for seed in seeds]) for name in names}
    n_diverged = sum(_last(trial).get("diverged", 0) for trial in shown)
    objective = record.study_file.objective.metric
    return ArmSummary(
        losses=record.study_file.arms[arm],
        phase="confirm" if confirmations else "search",
        winner=winner.request.trial if winner else None,
        parameters=winner.request.parameters if winner else {},
        front=_front(record, arm),
        picked=winner.outcome.objective if winner and winner.outcome else None,
        confirmed=metrics[objective].mean if confirmations and objective in metrics else None,
        n_members=len(by_seed) - n_diverged,
        n_diverged=n_diverged,
        metrics=metrics,
        seconds=sum(epoch["seconds"] for trial in record.trials(arm) for epoch in trial.epochs()),
    )


def _front(record: Record, arm: str) -> dict[str, dict[str, float]]:
    metrics = [objective.metric for objective in record.study_file.objectives]
    if not metrics:
        return {}
    last = {trial.request.trial: _last(trial)["mean"] for trial in record.front(arm)}
    return {trial: {metric: mean[metric] for metric in metrics} for trial, mean in last.items()}


def _last(trial: Trial) -> dict[str, Any]:
    epochs = trial.epochs()
    return epochs[-1] if epochs else {}


def _cell(interval: Interval | None, form: str, with_width: bool) -> str:
    if interval is None or math.isnan(interval.mean):
        return "-"
    mean = format(interval.mean, form)
    return f"{mean}±{interval.high - interval.mean:{form}}" if with_width and not math.isnan(interval.high) else mean


def _against(arm: ArmSummary, zero_velocity: dict[str, float]) -> str:
    """How the arm's ADE stands against standing still; an arm that has not learned is named as such."""
    beats = arm.beats(zero_velocity)
    if beats is None:
        return "unconfirmed" if arm.phase == "search" else "-"
    change = f"{arm.metrics['test/ade'].mean / zero_velocity['ade'] - 1:+.0%}"
    return change if beats else f"{change} not better"


def _sentence(claim: ClaimVerdict) -> str:
    details = "; ".join(_detail(claim, metric) for metric in claim.metrics)
    sentence = f"{claim.claim}: {claim.word}. {claim.candidate} against {claim.reference}: {details}."
    return f"{sentence} Warning: {claim.warning}." if claim.warning else sentence


def _detail(claim: ClaimVerdict, metric: MetricVerdict) -> str:
    if metric.word == "gate failed":
        return f"{metric.metric} gate failed ({claim.reference} does not clearly beat {claim.gate})"
    numbers = f"{metric.difference:+.3f}, bound {metric.bound:+.3f}, margin {metric.margin:.3f}, {metric.n_seeds} seeds"
    return f"{metric.metric} {metric.word} ({numbers}{', ' + metric.favour if metric.favour else ''})"


def _interval_json(interval: Interval) -> dict[str, Any]:
    return {"mean": interval.mean, "ci_low": interval.low, "ci_high": interval.high, "members": list(interval.members)}


def _without_nan(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
