"""What a report says in words and tables, in one language: the same content behind its page and its Markdown."""

import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ruamel.yaml import YAML

from study.amendments import read_amendment_lines
from study.comparison import COLUMNS, ArmSummary, Comparison
from study.factorial import Effect
from study.power import FEW_SEEDS, MIN_SEEDS
from study.record import Record
from study.report.figures import Figure, comparison_phase
from study.report.words import Words
from study.search import ENOUGH_TRIALS, MOST_TRIALS
from study.standing import duration
from study.stats import Interval
from study.verdict import ClaimVerdict, GuardrailVerdict, MetricVerdict, Word


@dataclass(frozen=True)
class Detail:
    """One metric or guardrail of a claim.

    Attributes:
        name: of it; empty for what belongs to all of them.
        title: its verdict in the report's language; a guardrail is kept or broken.
        text: its numbers.
    """

    name: str
    title: str
    text: str


@dataclass(frozen=True)
class Answer:
    """One claim in plain sentences.

    Attributes:
        claim: its name.
        word: its verdict, as the record has it, for styles; ``None`` before there is one.
        title: the verdict in the report's language.
        sentence: what it means.
        details: one a metric or guardrail, and what belongs to all of them.
        warning: what weakens it.
    """

    claim: str
    word: str | None
    title: str
    sentence: str
    details: list[Detail]
    warning: str | None


@dataclass(frozen=True)
class Cell:
    """One number of the table of arms.

    Attributes:
        text: as it is read.
        interval: mean, bounds and members as shares of the column's scale, 0 to 1; None for baselines.
    """

    text: str
    interval: Interval | None


@dataclass(frozen=True)
class ArmRow:
    """One arm, or a baseline, in the table of arms."""

    name: str
    losses: str
    members: str
    cells: list[Cell]
    against: str
    time: str


@dataclass(frozen=True)
class Content:
    """All that a report says."""

    words: Words
    name: str
    question: str
    made_from: str
    answers: list[Answer]
    warnings: list[str]
    findings: list[str]
    headings: list[tuple[str, str]]
    arms: list[ArmRow]
    arms_caption: str
    front: str | None
    pareto_note: str | None
    importances: dict[str, list[tuple[str, str]]]
    search: dict[str, str]
    winners: list[list[str]]
    winner_headings: list[str]
    effects: list[list[str]]
    effect_headings: list[str]
    assumed_none: str | None
    objective: str
    objective_note: str | None
    failures: list[list[str]]
    facts: list[tuple[str, str]]
    environment: list[tuple[str, str]]
    amendments: list[tuple[str, str, str]]
    locked_at: str
    source: str
    plan: str
    command: str


def build_content(record: Record, comparison: Comparison, figures: Mapping[str, Figure], words: Words) -> Content:
    """Put a study into words."""
    study_file, plan = record.study_file, record.plan
    state = words.named("state_", comparison.state)
    phase = comparison_phase(comparison)
    front = [row[0] for row in figures["pareto"].rows if row[1] == "mean" and row[-1]]
    return Content(
        words=words,
        name=comparison.study,
        question=comparison.question or words("report_of", name=comparison.study),
        made_from=words(
            "made_from", state=state[0].upper() + state[1:], arms=len(comparison.arms), trials=len(record.trials())
        ),
        answers=list(_answers(record, comparison, words)),
        warnings=list(_warnings(comparison, words)),
        findings=list(_findings(comparison, words)),
        headings=[(words(f"col_{metric}"), words(BETTER.get(metric, "better_low"))) for metric, _, _ in COLUMNS],
        arms=list(_arm_rows(comparison, words)),
        arms_caption=words(f"arms_caption_{phase}"),
        front=words("pareto_front", arms=words.arms(front)) if front else None,
        pareto_note=words("pareto_search") if phase == "search" else None,
        importances={arm: _importances(figures, arm, words) for arm in comparison.arms},
        search={arm: _search_note(figures, arm, words) for arm in comparison.arms},
        winners=list(_winners(comparison, words)),
        winner_headings=[
            *(words(f"col_{key}") for key in ("arm", "trial", "picked", "shortlisted", "confirmed", "optimism")),
            *comparison.differing,
        ],
        effects=list(_effects(comparison, words)),
        effect_headings=[words("col_losses"), *(words.named("name_", metric) for metric in comparison.effects)],
        assumed_none=_assumed_none(comparison, words),
        objective=study_file.objective.metric,
        objective_note=words("score_note") if study_file.objective.metric == "val/score" else None,
        failures=[
            [arm, words(what, kind=words.named("kind_", kind or "")), str(number), example]
            for arm, what, kind, number, example in figures["failures"].rows
        ],
        facts=list(_facts(record, words)),
        environment=[(words.named("env_", name), str(value)) for name, value in plan["environment"].items()],
        amendments=list(_amendments(record, words)),
        locked_at=_date(plan["created_at"]),
        source=record.paths.source.read_text(),
        plan=_yaml(plan["file"]),
        command=record.command("reproduce"),
    )


# Beyond a thousand times the number says nothing more.
LARGEST_CHANGE = math.log(1000)
BETTER = {"apd": "better_high", "jerk_ratio": "better_one"}


def _answers(record: Record, comparison: Comparison, words: Words) -> Iterator[Answer]:
    judged = {claim.claim: claim for claim in comparison.claims}
    for claim in record.study_file.claims:
        if claim.name not in judged:
            lacking = words.arms(comparison.waiting[claim.name])
            yield Answer(claim.name, None, "", words("no_verdict_yet", arms=lacking), [], None)
            continue
        verdict = judged[claim.name]
        n_seeds = min(metric.n_seeds for metric in verdict.metrics)
        yield Answer(
            claim.name,
            verdict.word,
            words.named("word_", verdict.word),
            _sentence(verdict, n_seeds, words),
            [
                *(_detail(verdict, metric, words) for metric in verdict.metrics),
                *(_guardrail(verdict, guardrail, words) for guardrail in verdict.guardrails),
                *_corrected(verdict, len(record.study_file.claims), words),
            ],
            _few_seeds(n_seeds, words),
        )


def _few_seeds(n_seeds: int, words: Words) -> str | None:
    if n_seeds >= FEW_SEEDS:
        return None
    return words("warning_no_interval" if n_seeds < MIN_SEEDS else "warning_few_seeds", n=n_seeds)


def _sentence(verdict: ClaimVerdict, n_seeds: int, words: Words) -> str:
    """The verdict as an answer to the claim."""
    if verdict.word == "inconclusive" and n_seeds < MIN_SEEDS:
        return words("answer_too_few", n=n_seeds, least=MIN_SEEDS)
    key = "answer_" + verdict.word.replace("-", "_").replace(" ", "_")
    if verdict.word == "non-inferior" and verdict.keep is None:
        key += "_absolute"
    with_word = [words.named("name_", metric.metric) for metric in verdict.metrics if metric.word == verdict.word]
    sentence = words(
        key,
        candidate=words.arm(verdict.candidate),
        reference=words.arm(verdict.reference),
        gate=words.arm(verdict.gate),
        keep=words("half") if verdict.keep == 0.5 else words("share_of", share=words.percent(verdict.keep or 0)),
        all=words.listed([words.named("name_", metric.metric) for metric in verdict.metrics]),
        some=words.listed(with_word),
        why=" ".join(_reasons(verdict, verdict.word, words)),
    )
    if verdict.word == "gate failed" and (refuted := " ".join(_reasons(verdict, "inferior", words))):
        sentence += " " + words("answer_whatever_gate", why=refuted)
    if verdict.word == "inconclusive" and verdict.seeds_needed:
        sentence += " " + words("answer_seeds_needed", n=verdict.seeds_needed)
    return sentence


def _reasons(verdict: ClaimVerdict, word: Word, words: Words) -> Iterator[str]:
    """A sentence for the metrics and for each guardrail that make a claim ``inferior`` or ``inconclusive``."""
    prefix = {"inferior": "lost_", "inconclusive": "open_"}.get(word)
    if prefix is None:
        return
    arms = {name: words.arm(getattr(verdict, name)) for name in ("candidate", "reference", "gate")}
    for key, has_margin in (("metrics", True), ("gate", False)):
        metrics = [
            one.metric for one in verdict.metrics if one.word == word and math.isfinite(one.margin) == has_margin
        ]
        if metrics:
            yield words(prefix + key, some=words.listed([words.named("name_", one) for one in metrics]), **arms)
    for one in verdict.guardrails:
        if one.word == word and math.isfinite(one.share.value):
            yield words(prefix + one.guardrail, **arms, **_shares(one, words))


def _detail(verdict: ClaimVerdict, metric: MetricVerdict, words: Words) -> Detail:
    name = words.named("name_", metric.metric)
    name, title = name[0].upper() + name[1:], words.named("word_", metric.word)
    if math.isnan(metric.difference):
        return Detail(name, title, words("detail_none"))
    reference, gate = words.arm(verdict.reference), words.arm(verdict.gate)
    sentences = [
        words(
            "detail_numbers",
            reference=reference,
            change=_change(metric.difference, words),
            confidence=_confidence(verdict.level, words),
            bound=_change(metric.bound, words),
        ),
        words("detail_gate_failed", reference=reference, gate=gate)
        if math.isnan(metric.margin)
        else words("detail_margin", margin=_change(metric.margin, words)),
        words("detail_seeds", n=metric.n_seeds),
    ]
    if metric.n_missing:
        sentences.append(words("detail_missing", n=metric.n_missing))
    if not math.isnan(metric.margin):
        sentences.append(words("detail_p", p=words.p(metric.p), p_permutation=words.p(metric.p_permutation)))
    if metric.favour:
        sentences.append(words.named("favour_", metric.favour))
    return Detail(name, title, " ".join(sentences))


def _guardrail(verdict: ClaimVerdict, guardrail: GuardrailVerdict, words: Words) -> Detail:
    """One sentence: how much diversity is left, or how many members have diverged, and what the limit is."""
    text = words(f"detail_{guardrail.guardrail}", reference=words.arm(verdict.reference), **_shares(guardrail, words))
    return Detail(words("guardrail"), words.named("guard_", guardrail.word), text)


def _shares(guardrail: GuardrailVerdict, words: Words) -> dict[str, str]:
    share = guardrail.share
    numbers = {"share": share.value, "low": share.low, "high": share.high, "limit": guardrail.limit}
    return {name: "–" if math.isnan(number) else words.percent(number) for name, number in numbers.items()}


def _corrected(verdict: ClaimVerdict, n_claims: int, words: Words) -> Iterator[Detail]:
    if n_claims > 1 and verdict.p < 1:
        yield Detail("", "", words("detail_holm", n=n_claims, p=words.p(verdict.p_adjusted)))


def _confidence(alpha: float, words: Words) -> str:
    """``95 %`` for 0.05, ``98,3 %`` for what Holm leaves of it."""
    text = words.number(100 * (1 - alpha), ".1f")
    return text.removesuffix(".0").removesuffix(",0") + " %"


def _change(log_ratio: float, words: Words) -> str:
    """A difference of log badness as a share: 0.1 is 10.5 % worse."""
    share = math.expm1(min(log_ratio, LARGEST_CHANGE))
    return words("worse" if share >= 0 else "better", share=words.percent(abs(share)))


def _warnings(comparison: Comparison, words: Words) -> Iterator[str]:
    """Few people to test on, and what was decided when the answer could be known."""
    if comparison.few_tested is not None:
        yield words(
            "few_tested",
            people=words("one_person") if comparison.few_tested == 1 else words("few_people", n=comparison.few_tested),
        )
    looks = comparison.looks
    if looks.picked_again:
        yield words("looks_picked_again", n=looks.openings)
        if looks.winners_changed:
            yield words("looks_winners_changed", arms=words.arms(list(looks.winners_changed)))
    if looks.seeds_added:
        yield words("looks_seeds_added", n=looks.seeds_added)


def _findings(comparison: Comparison, words: Words) -> Iterator[str]:
    """What holds beside the claims."""
    zero_velocity = comparison.baselines.get("zero_velocity", {})
    against = {name: arm.beats(zero_velocity) for name, arm in comparison.arms.items() if arm.phase == "confirm"}
    if better := [name for name, beats in against.items() if beats]:
        yield words("beat_frozen", arms=words.arms(better))
    if others := [name for name, beats in against.items() if beats is False]:
        yield words("not_beat_frozen", arms=words.arms(others))
    for name, arm in comparison.arms.items():
        if arm.n_diverged:
            share = [words.percent(value) for value in (arm.diverged.low, arm.diverged.high)]
            members = arm.n_members + arm.n_diverged
            yield words(
                "some_diverged", arm=words.arm(name), n=arm.n_diverged, all=members, low=share[0], high=share[1]
            )
    if unconfirmed := [name for name, arm in comparison.arms.items() if arm.phase != "confirm"]:
        yield words("not_confirmed", arms=words.arms(unconfirmed))


def _arm_rows(comparison: Comparison, words: Words) -> Iterator[ArmRow]:
    intervals = {
        (name, metric): interval
        for name, arm in comparison.arms.items()
        for metric, _, _ in COLUMNS
        if (interval := arm.metrics.get(f"{_split(arm)}/{metric}"))
    }
    scales = {metric: _scale([i for (_, m), i in intervals.items() if m == metric]) for metric, _, _ in COLUMNS}
    for name, arm in comparison.arms.items():
        cells = [_cell(intervals.get((name, metric)), form, scales[metric], words) for metric, _, form in COLUMNS]
        members = arm.n_members + arm.n_diverged
        yield ArmRow(
            name,
            ", ".join(arm.losses) or words("adversarial_only"),
            words("of_members", n=arm.n_members, all=members) if arm.n_diverged else str(members),
            cells,
            _against(arm, comparison.baselines.get("zero_velocity", {}), words),
            _localised(duration(arm.seconds), words),
        )
    for name, metrics in comparison.baselines.items():
        cells = [Cell(words.number(metrics[metric], form), None) for metric, _, form in COLUMNS]
        yield ArmRow(words.named("baseline_", name), "", "", cells, "", "")


def _split(arm: ArmSummary) -> str:
    return "test" if arm.phase == "confirm" else "val"


def _scale(intervals: list[Interval]) -> tuple[float, float]:
    """Least and greatest of what a column shows."""
    shown = [v for i in intervals for v in (i.low, i.high, *i.members) if math.isfinite(v)] or [0.0, 1.0]
    return min(shown), max(max(shown), min(shown) + 1e-12)


def _cell(interval: Interval | None, form: str, scale: tuple[float, float], words: Words) -> Cell:
    if interval is None or math.isnan(interval.mean):
        return Cell("–", None)
    low, high = scale
    text = words.number(interval.mean, form)
    if not math.isnan(interval.high):
        text += f" ± {words.number(interval.high - interval.mean, form)}"

    def place(value: float) -> float:
        return round((value - low) / (high - low), 4)

    members = tuple(place(value) for value in interval.members if math.isfinite(value))
    return Cell(text, Interval(place(interval.mean), place(interval.low), place(interval.high), members))


def _against(arm: ArmSummary, zero_velocity: dict[str, float], words: Words) -> str:
    beats = arm.beats(zero_velocity)
    if beats is None:
        return words("unconfirmed") if arm.phase == "search" else "–"
    change = words.number(100 * (arm.metrics["test/ade"].mean / zero_velocity["ade"] - 1), "+.0f") + " %"
    return change if beats else words("not_better", change=change)


def _importances(figures: Mapping[str, Figure], arm: str, words: Words) -> list[tuple[str, str]]:
    return [(row[1], words.percent(row[2])) for row in figures["importances"].rows if row[0] == arm]


def _search_note(figures: Mapping[str, Figure], arm: str, words: Words) -> str:
    """How an arm's search trials ended, and of which there are importances, or why there are none."""
    states = [row[2] for row in figures["search"].rows if row[0] == arm]
    count = {state: states.count(state) for state in ("complete", "pruned", "failed")}
    notes = [words("search_counts", **count) + "."]
    if count["complete"] < ENOUGH_TRIALS:
        notes.append(words("importance_few", n=count["complete"], least=ENOUGH_TRIALS))
    elif not _importances(figures, arm, words):
        notes.append(words("importance_none"))
    elif count["complete"] > MOST_TRIALS:
        notes.append(words("importance_most", most=MOST_TRIALS))
    return " ".join(notes)


def _winners(comparison: Comparison, words: Words) -> Iterator[list[str]]:
    for name, arm in comparison.arms.items():
        if arm.winner is not None:
            objectives = [_plain(value, ".3f", words) for value in (arm.picked, arm.shortlisted, arm.confirmed)]
            parameters = [_value(of_arm.get(name), words) for of_arm in comparison.differing.values()]
            yield [name, arm.winner, *objectives, _plain(arm.optimism, "+.3f", words), *parameters]


def _plain(number: float | None, form: str, words: Words) -> str:
    return "–" if number is None or math.isnan(number) else words.number(number, form)


def _effects(comparison: Comparison, words: Words) -> Iterator[list[str]]:
    """A row an effect: the change of every metric with its interval."""
    found = {
        metric: {" × ".join(effect.losses): effect for effect in effects.effects}
        for metric, effects in comparison.effects.items()
    }
    for name in dict.fromkeys(name for changes in found.values() for name in changes):
        yield [name, *(_effect(changes.get(name), words) for changes in found.values())]


def _assumed_none(comparison: Comparison, words: Words) -> str | None:
    terms = {" × ".join(term) for effects in comparison.effects.values() for term in effects.assumed_none}
    return words("effects_assumed_none", terms=words.listed(sorted(terms))) if terms else None


def _effect(effect: Effect | None, words: Words) -> str:
    """The change of the metric itself, whose sign does not say yet whether that is better."""
    if effect is None or math.isnan(effect.own.value):
        return "–"
    own = effect.own
    numbers = (math.expm1(min(number, LARGEST_CHANGE)) for number in (own.value, own.low, own.high))
    value, low, high = (words.number(100 * number, "+.0f") for number in numbers)
    text = f"{value} % [{low}, {high}]"
    return f"{text} {words('effect_' + effect.direction)}" if effect.direction else text


def _value(value: Any, words: Words) -> str:
    if value is None:
        return ""
    return words.number(value, ".3g") if isinstance(value, float) else str(value)


def _facts(record: Record, words: Words) -> Iterator[tuple[str, str]]:
    study_file, conclusion = record.study_file, record.conclusion()
    yield words("plan_digest"), record.plan_digest()
    yield words("code_digest"), record.plan["environment"].get("code", "–")
    yield words("data_digest"), record.plan["data_digest"]
    yield words("dataset"), study_file.data.dataset
    for split, size in record.splits.items():
        yield words.named("split_", split), words("split_size", **vars(size))
    yield words("preset"), study_file.preset
    if study_file.confirm:
        yield words("seeds_confirm"), str(study_file.confirm.members + record.amendments.members)
    yield words("driven"), _localised(duration(record.driven_s()), words)
    for opening in record.openings():
        trials, winners = words.listed(opening.trials), ", ".join(map("/".join, opening.winners.items()))
        text = words("test_opened_by", time=_date(opening.time), driver=opening.driver, winners=winners)
        yield words("test_opened"), text + (words("test_opened_for", trials=trials) if opening.trials else "")
    if conclusion:
        yield words("ended"), _date(conclusion.ended_at)
        if conclusion.reason:
            yield words("reason"), conclusion.reason


def _amendments(record: Record, words: Words) -> Iterator[tuple[str, str, str]]:
    for line in read_amendment_lines(record.paths):
        content = {key: value for key, value in line.items() if key not in ("time", "kind")}
        yield _date(line["time"]), words.named("amend_", line["kind"]), json.dumps(content)


def _yaml(plain: dict[str, Any]) -> str:
    text = io.StringIO()
    YAML().dump(plain, text)
    return text.getvalue()


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _localised(text: str, words: Words) -> str:
    """The only number in a text of ours, such as ``2.5 h``."""
    return text.replace(".", ",") if words.language == "it" else text
