"""What a verdict says, in plain sentences."""

import html
import math
import re
from collections.abc import Callable, Iterator, Sequence

from study.power import FEW_SEEDS, MIN_SEEDS
from study.study_file import StudyFile
from study.verdict import HOLDS, ClaimVerdict, GuardrailVerdict, MetricVerdict

# Fewer in the test split say little of others; seeds do not make up for them.
FEW_PEOPLE = 3
ABBREVIATIONS = frozenset({"ade", "fde", "mmade", "mmfde", "apd", "cmd"})


def about_claim(claim: ClaimVerdict) -> str:
    """The claim, its word, what that means, and what must be known with it."""
    return " ".join([f"{claim.claim}: {claim.word}.", *_meaning(claim), *_caveats(claim)])


def about_metric(claim: ClaimVerdict, metric: MetricVerdict) -> str:
    """The numbers behind one metric's word."""
    start = f"{claim.claim}, {metric_name(metric.metric)}: {metric.word}"
    seeds = pairs_of_seeds(metric.n_seeds) + (f", {metric.n_missing} missing" if metric.n_missing else "")
    if math.isnan(metric.difference):
        return f"{start} ({seeds})."
    margin = "" if math.isnan(metric.margin) else f", margin {as_change(metric.margin)}, p {as_p(metric.p)}"
    favour = f", {metric.favour}" if metric.favour else ""
    interval = f"{as_change(metric.difference)} [{as_change(metric.lower)}, {as_change(metric.bound)}]"
    return f"{start} ({interval} against {claim.reference}{margin}, {seeds}{favour})."


def about_people(n_tested: int) -> str:
    """What an answer rests on where the test split has fewer than ``FEW_PEOPLE``."""
    people = "one person" if n_tested == 1 else f"{n_tested} people"
    return f"Warning: the test split has {people}'s clips: intervals are over seeds, not over people."


def next_steps(claims: Sequence[ClaimVerdict], study_file: StudyFile, command: Callable[[str], str]) -> Iterator[str]:
    """What to do now, a line for each kind of verdict that is there.

    Args:
        claims: those that are judged.
        study_file: the study's.
        command: what a person types to do something with it, by verb.
    """
    words = {claim.word for claim in claims}
    if more := max((_more_seeds(claim) for claim in claims if claim.word == "inconclusive"), default=0):
        yield f"Next: {command('resume')} --more-seeds {more}"
    if "gate failed" in words:
        more_trials = f"{command('resume')} --add-trials {study_file.trials_per_arm()}, or "
        possible = more_trials if why_no_more_trials(study_file) is None else ""
        yield f"Next: {possible}a study with another reference; {command('report')} shows what this one gains"
    if not words or words - {"gate failed", "inconclusive"} or (words == {"inconclusive"} and not more):
        yield f"Next: {command('report')} to look closer, {command('reproduce')} to check the numbers"


def why_no_more_trials(study_file: StudyFile) -> str | None:
    """Why the search cannot go on beyond its plan; None where it can."""
    if not study_file.parameters:
        return "the study searches no parameters, so that more trials would be the same again"
    if study_file.search.sampler.name == "grid":
        return "the sampler grid has no more trials than its grid"
    return None


def metric_name(metric: str) -> str:
    """As one says it: ``ADE``, ``bone error``."""
    return metric.upper() if metric in ABBREVIATIONS else metric.replace("_", " ")


def literally(text: str) -> str:
    """What somebody has written, as Markdown that shows just that, on one line: HTML and marks of Markdown are none."""
    escaped = re.sub(r"[\\`*]", r"\\\g<0>", " ".join(text.split()))
    return html.escape(escaped, quote=False)


def as_change(difference: float) -> str:
    """A difference of log badness as a ratio: ``+5.1%``; ``-`` where there is none."""
    if math.isnan(difference):
        return "-"
    change = math.expm1(min(difference, math.log(1000)))
    if abs(change) < 0.0005:
        return "+0.0%"  # whatever its sign
    return f"{change:+.1%}" if abs(change) < 0.1 else f"{change:+.0%}"


def pairs_of_seeds(n: int) -> str:
    """``1 pair of seeds``, ``2 pairs of seeds``."""
    return f"{n} pair{'' if n == 1 else 's'} of seeds"


def as_p(p: float) -> str:
    """``<0.001`` below that."""
    return "-" if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def _meaning(claim: ClaimVerdict) -> Iterator[str]:
    names = [metric_name(metric.metric) for metric in claim.metrics]
    with_word = [metric_name(metric.metric) for metric in claim.metrics if metric.word == claim.word]
    candidate, reference, gate = claim.candidate, claim.reference, claim.gate
    n_seeds = min(metric.n_seeds for metric in claim.metrics)
    if claim.word == "superior":
        yield f"{candidate} is better than {reference} in {_listed(names)}."
    elif claim.word == "non-inferior" and claim.keep is not None:
        yield f"{candidate} keeps at least {claim.keep:.0%} of what {reference} gains over {gate} in {_listed(names)}."
    elif claim.word == "non-inferior":
        yield f"{candidate} loses less than the margin of {as_change(claim.margin or 0)} in {_listed(names)}."
    elif claim.word == "gate failed":
        yield f"{reference} does not clearly beat {gate} in {_listed(with_word)}, so there is no gain to be kept."
        if lost := [metric_name(metric.metric) for metric in claim.metrics if metric.word == "inferior"]:
            yield f"Whatever the gate, {candidate} loses more than the margin against {reference} in {_listed(lost)}."
    elif claim.word == "inferior" and with_word:
        yield f"{candidate} loses more than the margin against {reference} in {_listed(with_word)}."
    elif claim.word == "inconclusive" and n_seeds < MIN_SEEDS:
        yield f"A verdict needs {MIN_SEEDS} pairs of seeds, found {n_seeds}."
    elif claim.word == "inconclusive" and with_word:
        yield f"These seeds cannot tell whether {candidate} loses more than the margin in {_listed(with_word)}."
    for guardrail in claim.guardrails:
        tells = guardrail.word == "inferior" or claim.word != "gate failed"
        if tells and guardrail.word not in HOLDS and math.isfinite(guardrail.share.value):
            yield _guardrail(claim, guardrail)
    if claim.seeds_needed is not None:
        yield f"About {claim.seeds_needed} seeds would decide (80 % power at this noise)."


def _more_seeds(claim: ClaimVerdict) -> int:
    """How many more would decide an inconclusive claim; with too few for any verdict, as many as warn of nothing."""
    n_seeds = min(metric.n_seeds for metric in claim.metrics)
    wanted = FEW_SEEDS if n_seeds < MIN_SEEDS else claim.seeds_needed
    return max(0, wanted - n_seeds) if wanted is not None else 0


def _guardrail(claim: ClaimVerdict, guardrail: GuardrailVerdict) -> str:
    share = guardrail.share
    if guardrail.guardrail == "diverged":
        return (
            f"Guardrail: {share.value:.0%} of the members of {claim.candidate} diverged (95 % interval {share.low:.0%} "
            f"to {share.high:.0%}); at most {guardrail.limit:.0%} may."
        )
    doubt = "" if guardrail.word == "inferior" else "These seeds cannot tell whether it does. "
    return (
        f"Guardrail: {claim.candidate} must keep {guardrail.limit:.0%} of the diversity of {claim.reference}. {doubt}"
        f"It has {share.value:.0%} (bounds {share.low:.0%} and {share.high:.0%})."
    )


def _caveats(claim: ClaimVerdict) -> Iterator[str]:
    favoured = [metric_name(metric.metric) for metric in claim.metrics if metric.favour == "favoured"]
    if favoured and claim.word in HOLDS:
        yield f"Only {claim.candidate} trains on {_listed(favoured)}."
    if missing := max(metric.n_missing for metric in claim.metrics):
        n_pairs = len(claim.metrics[0].differences)
        yield f"Missing, since a member diverged or did not run: {missing} of {n_pairs} pairs of seeds."
    if claim.warning:
        yield f"Warning: {claim.warning}."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
