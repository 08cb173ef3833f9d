"""What a study found, arm by arm: one structure behind the table, the JSON and MLflow's summaries."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from study.card import card
from study.factorial import Effects, factorial_effects
from study.judge import Members, judge, lacking
from study.looks import Looks
from study.record import Record, SplitSize, Trial
from study.sentences import FEW_PEOPLE, about_claim, about_metric, about_people, literally
from study.stats import Estimate, Interval, mean_interval, share_interval
from study.study_file import StudyFile
from study.verdict import ClaimVerdict, badness, log_value

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
        picked: the winner's objective in the search.
        shortlisted: the same objective on the shortlist's seeds, by which it was chosen among the best of the search.
        confirmed: the same objective on fresh seeds; worse than ``picked`` by the optimism of the choice.
        n_members: members that did not diverge.
        n_diverged: members that did.
        metrics: ``test/...`` and ``val/...``.
        seconds: training time of all its trials.
        n_trials: search trials that have ended, whichever way.
        diverged: share of its members that did, with Wilson's 95 % interval.
        optimism: by how much ``picked`` was better than ``confirmed``; the best of many trials looks too good.
    """

    losses: tuple[str, ...]
    phase: str
    winner: str | None
    parameters: dict[str, Any]
    front: dict[str, dict[str, float]]
    picked: float | None
    shortlisted: float | None
    confirmed: float | None
    n_members: int
    n_diverged: int
    metrics: dict[str, Interval]
    seconds: float
    n_trials: int
    diverged: Estimate
    optimism: float | None

    def beats(self, baseline: dict[str, float], metric: str = "ade") -> bool | None:
        """Whether the whole interval lies below the baseline's value; None where one of them is missing.

        An error of 0, that of people who do not move, cannot be beaten, and is none to compare with.
        """
        interval = self.metrics.get(f"test/{metric}")
        if interval is None or not baseline.get(metric) or math.isnan(interval.high):
            return None
        return interval.high < baseline[metric]


@dataclass(frozen=True)
class Comparison:
    """A whole study.

    Attributes:
        study: its name.
        question: as the study file asks it.
        state: of the record.
        arms: in the order of the study file.
        baselines: every metric on the test split, without ``test/``.
        claims: those whose arms have all been confirmed.
        waiting: the other claims, and the arms that each waits for.
        differing: the parameters that are not the same in all winners, and their values by arm; an arm that a parameter
            does not exist in has none.
        effects: of the losses, by metric; empty where the confirmed arms cannot tell them apart.
        data_digest: of the motions, to tell whether another study has the same.
        splits: how much each split of them holds; empty where the record is older than it.
        looks: what was asked for after the test split had been opened.
    """

    study: str
    question: str
    state: str
    arms: dict[str, ArmSummary]
    baselines: dict[str, dict[str, float]]
    claims: list[ClaimVerdict]
    waiting: dict[str, list[str]]
    differing: dict[str, dict[str, Any]]
    effects: dict[str, Effects]
    data_digest: str
    splits: dict[str, SplitSize]
    looks: Looks

    @property
    def claims_hold(self) -> bool:
        """Whether every claim is non-inferior or superior."""
        return not self.waiting and all(claim.holds for claim in self.claims)

    def claimed_metrics(self) -> list[str]:
        """Metrics that the claims are about, or the ADE where there are none."""
        return list(dict.fromkeys(one.metric for claim in self.claims for one in claim.metrics)) or ["ade"]

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
                "waiting": self.waiting,
                "differing": self.differing,
                "effects": {metric: asdict(effects) for metric, effects in self.effects.items()},
                "data_digest": self.data_digest,
                "splits": {name: asdict(size) for name, size in self.splits.items()},
                "looks": asdict(self.looks),
                "warnings": self.warnings(),
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

    def caption(self) -> str:
        """What the numbers of the table are."""
        if not self.is_confirmed:
            return "Validation split, the search's own seeds: an arm's best trial looks better than it is."
        return (
            "Test split, fresh seeds (n); mean ± half of the 95 % interval over seeds. ADE, FDE: best of K futures; "
            "APD: their diversity; bones: relative change of length; jerk: ratio to the truth's; vs frozen: ADE "
            "against zero velocity's."
        )

    def headings(self) -> list[str]:
        return ["arm", "n", *(heading for _, heading, _ in COLUMNS), "vs frozen"]

    def markdown(self) -> str:
        """The table and the verdicts as Markdown."""
        lines = ["| " + " | ".join(self.headings()) + " |", "|" + " --- |" * len(self.headings())]
        lines += ["| " + " | ".join(row) + " |" for row in self.rows()]
        sentences = [f"- {literally(sentence)}" for sentence in (*self.verdicts(), *self.warnings(), *self.fronts())]
        details = [f"- {literally(about_metric(claim, one))}" for claim in self.claims for one in claim.metrics]
        return "\n".join([*sentences, "", *lines, "", *details])

    def card(self, *notes: str) -> str:
        """The same as HTML, as a notebook shows it, with ``notes`` below."""
        judged = [(claim.word, sentence) for claim, sentence in zip(self.claims, self.verdicts(), strict=False)]
        others = [(None, sentence) for sentence in self.verdicts()[len(judged) :]]
        warned = [("warning", sentence) for sentence in self.warnings()]
        return card(
            f"study {self.study}: {self.state.replace('_', ' ')}",
            self.question,
            [*judged, *others, *warned, *((None, sentence) for sentence in self.fronts())],
            self.headings(),
            self.rows(),
            [self.caption(), *notes],
        )

    # Without the notes that only the record can give.
    _repr_html_ = card

    def fronts(self) -> Iterable[str]:
        """One sentence an arm where several objectives count: the trials to choose from."""
        for name, arm in self.arms.items():
            if arm.front:
                trials = (
                    f"{trial} ({', '.join(f'{metric} {value:.4g}' for metric, value in values.items())})"
                    for trial, values in arm.front.items()
                )
                yield f"{name}: Pareto front {', '.join(trials)}; the objective picks {arm.winner}."

    @property
    def is_confirmed(self) -> bool:
        """Whether any arm has been, so that there are numbers of the test split."""
        return any(arm.phase == "confirm" for arm in self.arms.values())

    @property
    def few_tested(self) -> int | None:
        """People of the test split where there is an answer from so few; None where that is not so, or not known."""
        test = self.splits.get("test")
        return test.people if test and self.is_confirmed and test.people < FEW_PEOPLE else None

    def warnings(self) -> list[str]:
        """What weakens the answer as a whole, to stand beside it."""
        few = [] if self.few_tested is None else [about_people(self.few_tested)]
        return [*few, *self.looks.warnings()]

    def verdicts(self) -> list[str]:
        """The answer to each claim in a few plain sentences."""
        waiting = [
            f"{claim}: no verdict yet; {', '.join(arms)} must be confirmed." for claim, arms in self.waiting.items()
        ]
        return [about_claim(claim) for claim in self.claims] + waiting


def compare(record: Record) -> Comparison:
    """Summarise a study in whatever state it is.

    Raises:
        DamagedRecord: the plan is no longer the one that was locked, so that its claims are not those of before.
    """
    record.plan_digest()
    study_file = record.study_file
    tested = {arm: tested_trials(record, arm) for arm in study_file.arms}
    # Arms are compared seed by seed: each has a place for every seed that any has been confirmed on.
    seeds = sorted({seed for trials in tested.values() for trial in trials for seed in trial.request.seeds})
    names = list(
        dict.fromkeys(
            name for trials in tested.values() for trial in trials for name in _last(trial).get("members", {})
        )
    )
    arms = {arm: _summarise(record, arm, trials, seeds, names) for arm, trials in tested.items()}
    confirmed = {name: arm for name, arm in arms.items() if arm.phase == "confirm"}
    members = {
        name: {metric: interval.members for metric, interval in arm.metrics.items()} for name, arm in confirmed.items()
    }
    diverged = {name: (arm.n_diverged, arm.n_members + arm.n_diverged) for name, arm in confirmed.items()}
    return Comparison(
        study=record.paths.name,
        question=study_file.question,
        state=record.state(),
        arms=arms,
        baselines=record.baselines(),
        claims=judge(study_file, members, diverged),
        waiting={claim.name: lack for claim in study_file.claims if (lack := lacking(study_file, claim, members))},
        differing=differing(arms),
        effects=dict(_effects(study_file, members)),
        data_digest=record.plan["data_digest"],
        splits=record.splits,
        looks=Looks.of(record),
    )


def tested_trials(record: Record, arm: str) -> list[Trial]:
    """The confirm trials of the arm's winner whose members count: complete, or all of them diverged."""
    winner = record.winner(arm)
    return [
        trial
        for trial in record.trials(arm, "confirm")
        if winner
        and trial.request.number == winner.request.number
        and (outcome := trial.outcome)
        and (outcome.state == "complete" or outcome.kind == "diverged")
    ]


def _summarise(record: Record, arm: str, tested: list[Trial], seeds: list[int], tested_names: list[str]) -> ArmSummary:
    winner = record.winner(arm)
    shown = tested or ([winner] if winner else [])
    by_seed = {
        seed: {name: values[member] for name, values in _last(trial).get("members", {}).items()}
        for trial in shown
        for member, seed in enumerate(trial.request.seeds)
    }
    seeds = seeds if tested else sorted(by_seed)
    names = tested_names if tested else next(iter(by_seed.values()), {})
    metrics = {
        name: mean_interval([by_seed.get(seed, {}).get(name, math.nan) for seed in seeds])
        for name in names
        if name.startswith(("test/", "val/"))
    }
    n_diverged = sum(_last(trial).get("diverged", 0) for trial in shown)
    objective = record.study_file.objective
    picked = winner.outcome.objective if winner and winner.outcome else None
    rerun = record.reruns(arm).get(winner.request.number) if winner else None
    confirmed = metrics[objective.metric].mean if tested and objective.metric in metrics else None
    return ArmSummary(
        losses=record.study_file.arms[arm],
        phase="confirm" if tested else "search",
        winner=winner.request.trial if winner else None,
        parameters=winner.request.parameters if winner else {},
        front=_front(record, arm),
        picked=picked,
        shortlisted=rerun.outcome.objective if rerun and rerun.outcome else None,
        confirmed=confirmed,
        n_members=len(by_seed) - n_diverged,
        n_diverged=n_diverged,
        metrics=metrics,
        seconds=sum(epoch["seconds"] for trial in record.trials(arm) for epoch in trial.epochs()),
        n_trials=sum(trial.outcome is not None for trial in record.trials(arm, "search")),
        diverged=share_interval(n_diverged, len(by_seed)),
        optimism=objective.cost(confirmed - picked) if confirmed is not None and picked is not None else None,
    )


def differing(arms: dict[str, ArmSummary]) -> dict[str, dict[str, Any]]:
    """Parameters that are not the same in all winners: their values by arm."""
    winners = {name: arm.parameters for name, arm in arms.items() if arm.winner}
    names = dict.fromkeys(name for parameters in winners.values() for name in parameters)
    values = {name: {arm: own[name] for arm, own in winners.items() if name in own} for name in names}
    return {
        name: by_arm for name, by_arm in values.items() if len(by_arm) < len(winners) or len(set(by_arm.values())) > 1
    }


def effects_on(
    metric: str, losses: Mapping[str, Sequence[str]], values: Mapping[str, Sequence[float]]
) -> Effects | None:
    """What each loss does to a metric, by its values in every arm, one a seed; see ``factorial_effects``."""
    bad, own = (
        {arm: [scale(metric, value) for value in of_arm] for arm, of_arm in values.items()}
        for scale in (badness, log_value)
    )
    return factorial_effects(metric, losses, bad, None if own == bad else own)


def _effects(study_file: StudyFile, members: Members) -> Iterable[tuple[str, Effects]]:
    """Of every column of the table, and of every metric that is claimed."""
    claimed = [metric for claim in study_file.claims for metric in claim.metrics]
    for metric in dict.fromkeys([*(metric for metric, _, _ in COLUMNS), *claimed]):
        values = {arm: metrics[f"test/{metric}"] for arm, metrics in members.items() if f"test/{metric}" in metrics}
        losses = {arm: study_file.arms[arm] for arm in values}
        if effects := effects_on(metric, losses, values):
            yield metric, effects


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


def _interval_json(interval: Interval) -> dict[str, Any]:
    return {"mean": interval.mean, "ci_low": interval.low, "ci_high": interval.high, "members": list(interval.members)}


def _without_nan(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
