"""What must hold between the sections of a study file, or by the core's tables."""

import random
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING

from hpgan_core.config import LOSS_NAMES, SETTINGS, unknown_name
from hpgan_core.presets import PRESETS
from study.constraints import Constraint, parse_constraint
from study.paths import RESERVED_NAMES
from study.sections import Claim, Finding, NoPruning, Objective, Value, Wilcoxon, tracking_uri_problem
from study.space import (
    Space,
    active_parameters,
    first_values,
    parameter_problems,
    required_loss,
    setting_problem,
    weighted_loss,
)
from study.study_file import MAX_GRID, StudyFile
from study.yaml_source import KeyPath

if TYPE_CHECKING:
    from hpgan_core.metrics import MetricRow

# Constraints must leave so many of so many random points, or the samplers that know nothing of them find none.
ENOUGH_FEASIBLE, RANDOM_POINTS = 10, 10_000


def contradictions(study_file: StudyFile, incomplete: Collection[str] = ()) -> Iterator[Finding]:
    """What must hold and does not.

    Args:
        study_file: each of its sections is sound by itself.
        incomplete: sections that lack entries; what cannot be judged without those is not.
    """
    for check, needs in _CHECKS:
        if needs.isdisjoint(incomplete):
            yield from check(study_file)


def metric_problems(study_file: StudyFile, metrics: "Mapping[str, MetricRow]") -> Iterator[Finding]:
    """Metrics that the study names and ``metrics`` does not have, and objectives that make them worse."""
    known = tuple(metrics)
    named: dict[KeyPath, Objective] = {("objective",): study_file.objective}
    named |= {("objectives", index): objective for index, objective in enumerate(study_file.objectives)}
    for path, objective in named.items():
        if (name := objective.metric.removeprefix("val/")) not in known:
            yield (*path, "metric"), unknown_name("metric", name, known)
        elif (goal := metrics[name].goal) == "one":
            text = f"must be one of which less or more is better: {objective.metric} is best at 1"
            yield (*path, "metric"), f"{text}, as val/score takes it into account"
        elif goal != objective.goal:
            better = "more" if goal == "maximize" else "less"
            text = f"must be {goal}, since {better} of {objective.metric} is better, found {objective.goal}"
            yield (*path, "goal"), text
    for index, claim in enumerate(study_file.claims):
        for position, metric in enumerate(claim.metrics):
            if metric not in known:
                yield ("claims", index, "metrics", position), unknown_name("metric", metric, known)


def _check_name(study_file: StudyFile) -> Iterator[Finding]:
    # Some file systems do not tell small letters from great ones.
    if study_file.name.casefold() in RESERVED_NAMES:
        yield ("name",), f"must be another one: {study_file.name} is MLflow's own beside the studies"


def _check_preset(study_file: StudyFile) -> Iterator[Finding]:
    if study_file.preset not in PRESETS:
        yield ("preset",), unknown_name("preset", study_file.preset, PRESETS)


def _check_data(study_file: StudyFile) -> Iterator[Finding]:
    # Imported here, since readers need NumPy and more, and what only names them should not.
    from hpgan_core.data import data_problems
    from hpgan_core.data.split import BY_SUBJECT, PROTOCOLS

    if (protocol := study_file.data.split.protocol) not in (BY_SUBJECT, *PROTOCOLS):
        yield ("data", "split", "protocol"), unknown_name("protocol", protocol, (BY_SUBJECT, *PROTOCOLS))
    dataset, options = {"dataset": study_file.data.dataset}, study_file.data.options
    without_options = data_problems(dataset)
    for text in data_problems(dataset | options):
        if text in without_options:
            yield ("data", "dataset"), text
    for name, value in options.items():
        for text in data_problems({**dataset, name: value}):
            if text not in without_options:
                yield ("data", name), text


def _check_arms(study_file: StudyFile) -> Iterator[Finding]:
    same_losses: dict[frozenset[str], str] = {}
    same_folder: dict[str, str] = {}
    for arm, losses in study_file.arms.items():
        for index, loss in enumerate(losses):
            if loss not in LOSS_NAMES:
                yield ("arms", arm, index), unknown_name("loss", loss, LOSS_NAMES)
            elif loss in losses[:index]:
                yield ("arms", arm, index), f"must be named once, found {loss!r} again"
        if (other := same_losses.setdefault(frozenset(losses), arm)) != arm:
            yield ("arms", arm), f"must differ from every other arm, found the losses of {other!r}"
        if (other := same_folder.setdefault(arm.casefold(), arm)) != arm:
            yield ("arms", arm), f"must differ from {other!r} in more than case, since arms become folders"


def _check_settings(study_file: StudyFile) -> Iterator[Finding]:
    for name, value in study_file.training.items():
        if name in ("losses", "epochs"):
            source = "arms" if name == "losses" else "search.epochs and confirm.epochs"
            yield ("training", name), f"is no fixed setting: {source} give it"
        elif name not in SETTINGS:
            yield ("training", name), unknown_name("setting", name, SETTINGS)
        elif name in study_file.parameters:
            yield ("training", name), "is searched as well, under parameters: remove one of them"
        elif problem := setting_problem(name, value):
            yield ("training", name), problem
    for name, parameter in study_file.parameters.items():
        for path, text in parameter_problems(name, parameter):
            yield ("parameters", name, *path), text


def _check_effects(study_file: StudyFile) -> Iterator[Finding]:
    used = {loss for losses in study_file.arms.values() for loss in losses}
    if not used <= set(LOSS_NAMES):
        return  # The one that a misspelt loss stands for may be the one that is missed.
    needed = {("training", name): weighted_loss(name) for name in study_file.training}
    needed |= {("parameters", name): required_loss(name, p) for name, p in study_file.parameters.items()}
    for path, loss in needed.items():
        if loss in LOSS_NAMES and loss not in used:
            yield path, f"has no effect, since no arm has the loss {loss!r}: remove it"


def _check_constraints(study_file: StudyFile) -> Iterator[Finding]:
    findings = [
        (("constraints", index), problem)
        for index, text in enumerate(study_file.constraints)
        if (problem := _constraint_problem(study_file, text))
    ]
    yield from findings
    if study_file.constraints and not findings:
        spaces = {arm: Space.of(study_file, arm) for arm in study_file.arms}
        if study_file.search.sampler.name == "qmc":  # its points must be allowed in every arm
            spaces["all arms together"] = Space.of(study_file)
        if tight := [name for name, space in spaces.items() if not _leaves_room(space)]:
            text = f"must be satisfied by {ENOUGH_FEASIBLE} or more of {RANDOM_POINTS} random points, found fewer in"
            yield ("constraints",), f"{text} {', '.join(tight)}: narrow the parameters, or drop a constraint"


def _leaves_room(space: Space) -> bool:
    generator = random.Random(0)  # noqa: S311
    points = (space.at(generator.random() for _ in space.parameters) for _ in range(RANDOM_POINTS))
    return len(list(islice((point for point in points if not space.broken(point)), ENOUGH_FEASIBLE))) == ENOUGH_FEASIBLE


def _constraint_problem(study_file: StudyFile, text: str) -> str | None:
    constraint = parse_constraint(text)
    defaults = {name: parameter.default for name, parameter in study_file.parameters.items()}
    for name in constraint.names:
        if name not in defaults:
            return unknown_name("parameter", name, defaults)
    if not any(set(constraint.names) <= active_parameters(study_file, arm).keys() for arm in study_file.arms):
        return f"has no effect, since no arm has {' and '.join(constraint.names)}: remove it"
    return None if constraint.holds(defaults) else f"must hold for the defaults, found {_shown(defaults, constraint)}"


def _shown(values: Mapping[str, Value], constraint: Constraint) -> str:
    """The values that ``constraint`` is about."""
    return ", ".join(f"{name} = {values[name]}" for name in constraint.names)


def _check_enqueued(study_file: StudyFile) -> Iterator[Finding]:
    parameters = study_file.parameters
    for index, point in enumerate(study_file.search.enqueue):
        path = ("search", "enqueue", index)
        findings: list[Finding] = []
        for name, value in point.items():
            if name not in parameters:
                findings.append(((*path, name), unknown_name("parameter", name, parameters)))
            elif not parameters[name].contains(value):
                findings.append(((*path, name), f"must be {parameters[name].rule}, found {value!r}"))
        yield from findings or ((path, text) for text in _point_problems(study_file, point))


def _point_problems(study_file: StudyFile, point: Mapping[str, Value]) -> Iterator[str]:
    whole = {**{name: parameter.default for name, parameter in study_file.parameters.items()}, **point}
    spaces = [Space.of(study_file, arm) for arm in study_file.arms]
    fitting = [space for space in spaces if point.keys() <= space.parameters.keys()]
    if not fitting:
        yield f"has no effect, since no arm has {' and '.join(point)}: remove it"
    for text in dict.fromkeys(text for space in fitting for text in space.broken(whole)):
        yield f"must satisfy `{text}`, found {_shown(whole, parse_constraint(text))}"


def _check_first_trials(study_file: StudyFile) -> Iterator[Finding]:
    first, trials = max(len(first_values(study_file, arm)) for arm in study_file.arms), study_file.trials_per_arm()
    if first > max(trials, 1) and study_file.search.enqueue:
        yield ("search", "enqueue"), f"must fit into the {trials} trials of an arm, found {first} with the defaults"


def _check_sampler(study_file: StudyFile) -> Iterator[Finding]:
    name, path = study_file.search.sampler.name, ("search", "sampler", "name")
    if name == "gp" and study_file.constraints:
        yield path, "must be another one than gp, which proposes the same point again when a constraint rules it out"
    if name == "cmaes" and study_file.objectives:
        yield path, "must be another one than cmaes, which has one objective: tpe, gp, random, qmc or grid"
    if name == "grid":
        for parameter in (steps := [n for n, p in study_file.parameters.items() if p.grid() is None]):
            yield ("parameters", parameter, "step"), "is required, since the sampler grid tries every value"
        if not steps and (size := max(study_file.grid_sizes.values())) > MAX_GRID:
            yield path, f"must be another one than grid, or an arm has {MAX_GRID} combinations or less, found {size}"


def _check_objectives(study_file: StudyFile) -> Iterator[Finding]:
    metrics = [objective.metric for objective in study_file.objectives]
    if len(metrics) == 1:
        yield ("objectives",), "must be two or more; one alone is the `objective`"
    for index, metric in enumerate(metrics):
        if metric in metrics[:index]:
            yield ("objectives", index, "metric"), f"must be named once, found {metric!r} again"
        if metric == study_file.objective.metric and study_file.objectives[index].goal != study_file.objective.goal:
            text = f"must be {study_file.objective.goal}, as of the objective, which has the same metric"
            yield ("objectives", index, "goal"), text
    pruner = study_file.search.pruner
    if metrics and "pruner" in study_file.search.model_fields_set and not isinstance(pruner, NoPruning):
        text = "must be none, since with several objectives no trial is worse than another before its end"
        yield ("search", "pruner", "name"), f"{text}, found {pruner.name}"


def _check_warm_start(study_file: StudyFile) -> Iterator[Finding]:
    search, path = study_file.search, ("search", "warm_start")
    if search.warm_start == study_file.name:
        yield path, "must name another study, found this one"
    elif search.warm_start is not None and not search.sampler.learns:
        yield path, f"has no effect, since the sampler {search.sampler.name} does not learn: remove it"


def _check_tracking(study_file: StudyFile) -> Iterator[Finding]:
    if study_file.tracking.uri is not None and (problem := tracking_uri_problem(study_file.tracking.uri)):
        yield ("tracking", "uri"), problem


def _check_wilcoxon(study_file: StudyFile) -> Iterator[Finding]:
    search, pruner = study_file.search, study_file.search.pruner
    if isinstance(pruner, Wilcoxon) and search.members < pruner.least_members:
        text = f"must be {pruner.least_members} or more, or the pruner wilcoxon can never reach its p_threshold"
        yield ("search", "members"), f"{text}, found {search.members}"


def _check_budget(study_file: StudyFile) -> Iterator[Finding]:
    arms, trials = len(study_file.arms), study_file.budget.trials
    if trials is not None and trials < arms:
        yield ("budget", "trials"), f"must be {arms} or more, one an arm, found {trials}"


def _check_repeats(study_file: StudyFile) -> Iterator[Finding]:
    if not study_file.parameters and (repeats := study_file.trials_per_arm()) > 1:
        text = f"must be 1 without parameters, or the {repeats} trials of an arm are all the same"
        yield ("search", "trials_per_arm"), text
        return
    bare = [arm for arm in study_file.arms if not active_parameters(study_file, arm)]
    # Where all are, the parameters have no effect at all, which is told.
    for arm in bare if len(bare) < len(study_file.arms) else ():
        if (repeats := study_file.trials_of(arm)) > 1:
            text = (
                f"must have a parameter, or its {repeats} trials are all the same: search a setting that every arm has"
            )
            yield ("arms", arm), f"{text}, or take the sampler grid, which runs each combination once"


def _check_reference(study_file: StudyFile) -> Iterator[Finding]:
    if study_file.reference is not None and study_file.reference not in study_file.arms:
        yield ("reference",), unknown_name("arm", study_file.reference, study_file.arms)


def _check_claims(study_file: StudyFile) -> Iterator[Finding]:
    if study_file.claims and study_file.confirm is None:
        yield ("confirm",), "must not be null, since claims are decided by fresh seeds on the test split"
    names = [claim.name for claim in study_file.claims]
    for index, claim in enumerate(study_file.claims):
        path = ("claims", index)
        if claim.name in names[:index]:
            yield (*path, "name"), f"must differ between claims, found {claim.name!r} again"
        for position, metric in enumerate(claim.metrics):
            if metric in claim.metrics[:position]:
                yield (*path, "metrics", position), f"must be named once, found {metric!r} again"
        yield from (((*path, *inner), text) for inner, text in _claim_arm_problems(study_file, claim))


def _claim_arm_problems(study_file: StudyFile, claim: Claim) -> Iterator[Finding]:
    arms = study_file.arms
    reference, gate = study_file.reference_of(claim), study_file.gate_of(claim)
    if reference is None:
        yield ("reference",), "is required, since the study names no reference either"
    if gate is None:
        yield ("gate",), "is required, since there is no arm without losses"
    for role in ("candidate", "reference", "gate"):
        arm = getattr(claim, role)
        if arm is not None and arm not in arms:
            yield (role,), unknown_name("arm", arm, arms)
    if claim.candidate not in arms or reference not in arms or gate not in arms:
        return
    if len({claim.candidate, reference, gate}) < 3:
        yield (), f"must name three arms, found candidate {claim.candidate!r}, reference {reference!r}, gate {gate!r}"
    elif shared := [loss for loss in arms[gate] if loss in arms[reference]]:
        yield ("gate",), f"must be an arm without the losses of {reference!r}, found {gate!r} with {', '.join(shared)}"


# Each with the sections that it cannot judge without.
_CHECKS: tuple[tuple[Callable[[StudyFile], Iterator[Finding]], frozenset[str]], ...] = (
    (_check_name, frozenset()),
    (_check_preset, frozenset()),
    (_check_data, frozenset({"data"})),
    (_check_arms, frozenset()),
    (_check_settings, frozenset()),
    (_check_effects, frozenset({"arms"})),
    (_check_constraints, frozenset({"arms", "parameters", "constraints"})),
    (_check_enqueued, frozenset({"arms", "parameters", "constraints"})),
    (_check_first_trials, frozenset({"arms", "parameters", "constraints", "search", "budget"})),
    (_check_sampler, frozenset({"arms", "parameters", "constraints", "search"})),
    (_check_objectives, frozenset()),
    (_check_warm_start, frozenset({"search"})),
    (_check_tracking, frozenset()),
    (_check_wilcoxon, frozenset({"search"})),
    (_check_budget, frozenset({"arms"})),
    (_check_repeats, frozenset({"arms", "parameters", "search", "budget"})),
    (_check_reference, frozenset({"arms"})),
    (_check_claims, frozenset({"arms", "reference"})),
)
