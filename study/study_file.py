"""The study file: what its sections must hold together, and the way from YAML to a checked ``StudyFile``."""

import os
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from hpgan_core.config import LOSS_NAMES, SETTINGS, unknown_name
from hpgan_core.errors import BadInput
from hpgan_core.presets import PRESETS
from study.constraints import Constraint, ConstraintText, parse_constraint
from study.draft import Draft, dotted, explain
from study.errors import BadStudyInput
from study.paths import RESERVED_NAMES
from study.sections import (
    DEFAULT_TRIALS_PER_ARM,
    ArmName,
    Budget,
    Claim,
    Confirm,
    Data,
    Finding,
    Hyperband,
    Median,
    Name,
    NoPruning,
    Objective,
    Pruner,
    Resources,
    Sampler,
    Search,
    Section,
    Shortlist,
    Split,
    Storage,
    SuccessiveHalving,
    Tracking,
    Value,
    Wilcoxon,
    Words,
    tracking_uri_problem,
)
from study.space import (
    Parameter,
    Space,
    active_parameters,
    first_values,
    parameter_problems,
    required_loss,
    setting_problem,
    weighted_loss,
)
from study.yaml_source import KeyPath

if TYPE_CHECKING:
    from hpgan_core.metrics import MetricRow

__all__ = [
    "Budget", "Claim", "Confirm", "Data", "Hyperband", "Median", "NoPruning", "Objective", "Pruner", "Resources",
    "Sampler", "Search", "Shortlist", "Split", "Storage", "StudyFile", "SuccessiveHalving", "Tracking", "Wilcoxon",
    "read_study_file",
]  # fmt: skip

# The sampler `grid` tries every combination of values, so these must be few enough for it to come to an end.
MAX_GRID = 10_000
# Constraints must leave so many of so many random points, or the samplers that know nothing of them find none.
ENOUGH_FEASIBLE, RANDOM_POINTS = 10, 10_000


class StudyFile(Section):
    """A hyper-parameter study that compares combinations of losses."""

    name: Name = Field(description="Folder of the study. Default: the file's name.")
    question: str = Field(default="", description="What the study is to answer, in words.")
    preset: str = Field(default="recommended", description="The configuration behind everything that is not set here.")
    # mypy takes Data's __pydantic_extra__ for a required field.
    data: Data = Field(default=Data(), description="The motions.")  # type: ignore[call-arg]
    arms: dict[ArmName, Words] = Field(
        default={"paper": ("consistency", "bone")},
        min_length=1,
        description="Combinations of losses to compare, each searched with the same budget.",
    )
    reference: str | None = Field(default=None, description="The arm that the others are compared with.")
    training: dict[str, Any] = Field(default={}, description="Settings that are fixed for the whole study.")
    parameters: dict[str, Parameter] = Field(default={}, description="Settings that are searched.")
    constraints: tuple[ConstraintText, ...] = Field(
        default=(),
        strict=False,
        description="What must hold between parameters, as `hidden_size * critic_iterations <= 4096`, in the arms that "
        "have all of them.",
    )
    search: Search = Field(default=Search(), description="The first phase.")
    confirm: Confirm | None = Field(
        default=Confirm(), description="The winners again, from a shortlist; null leaves both out."
    )
    objective: Objective = Field(
        default=Objective(), description="What the search improves, and what picks an arm's winner."
    )
    objectives: tuple[Objective, ...] = Field(
        default=(),
        strict=False,
        description="Two or more metrics to trade off: the search goes for their Pareto front, from which `objective` "
        "picks the winner. No trial is stopped early then.",
    )
    claims: tuple[Claim, ...] = Field(default=(), strict=False, description="What the study decides.")
    budget: Budget = Field(default=Budget(), description="Where the search ends.")
    resources: Resources = Field(default=Resources(), description="What one trial occupies.")
    tracking: Tracking = Field(default=Tracking(), description="Where MLflow is.")
    storage: Storage = Field(default=Storage(), description="Where Optuna keeps its tables.")

    def goals(self) -> tuple[Objective, ...]:
        """What the sampler goes for: one objective, or those that are traded off."""
        return self.objectives or (self.objective,)

    def pruner(self) -> Pruner:
        """How bad trials end early; with several objectives no trial is bad before its end."""
        return NoPruning(name="none") if self.objectives else self.search.pruner

    def trials_per_arm(self) -> int:
        """Trials that each arm may run in the search."""
        share = None if self.budget.trials is None else self.budget.trials // len(self.arms)
        limits = [limit for limit in (self.search.trials_per_arm, share) if limit is not None]
        return min(limits, default=max(self.grid_sizes.values(), default=DEFAULT_TRIALS_PER_ARM))

    @cached_property
    def grid_sizes(self) -> dict[str, int]:
        """For the sampler ``grid`` the number of combinations that each arm has, else nothing."""
        if self.search.sampler.name != "grid":
            return {}
        spaces = {arm: Space.of(self, arm) for arm in self.arms}
        sizes = {arm: size for arm, space in spaces.items() if (size := space.grid_size()) is not None}
        return {arm: size if size > MAX_GRID else len(spaces[arm].grid()) for arm, size in sizes.items()}

    def trials_of(self, arm: str) -> int:
        """Trials that ``arm`` may run in the search: a grid is run through once."""
        return min(self.trials_per_arm(), self.grid_sizes.get(arm, self.trials_per_arm()))

    def n_trials(self) -> int:
        """Trials of the whole search."""
        return sum(map(self.trials_of, self.arms))

    def confirm_epochs(self) -> int:
        """Length of a confirm run; 0 where there is no confirm phase."""
        return 0 if self.confirm is None else self.confirm.epochs or self.search.epochs

    def shortlist(self) -> Shortlist | None:
        """What is trained again to pick the winners; None where the search alone picks them."""
        shortlist = self.confirm.shortlist if self.confirm else None
        return shortlist if shortlist and shortlist.trials > 1 else None

    def shortlist_of(self, n_trials: int) -> int:
        """Of so many search trials of an arm those on its shortlist; one alone wins without being trained again."""
        shortlist = self.shortlist()
        length = min(shortlist.trials, n_trials) if shortlist else 0
        return length if length > 1 else 0

    def n_shortlisted(self) -> int:
        """Trials on all shortlists, if as many complete."""
        return sum(self.shortlist_of(self.trials_of(arm)) for arm in self.arms)

    def shortlist_member_epochs(self) -> int:
        """Epochs of all members of all shortlisted trials."""
        shortlist = self.shortlist()
        return self.n_shortlisted() * shortlist.members * self.confirm_epochs() if shortlist else 0

    def search_member_epochs(self) -> int:
        """Epochs of all members of all trials, if none is stopped early."""
        return self.n_trials() * self.search.members * self.search.epochs

    def confirm_member_epochs(self) -> int:
        """Epochs of all members of the confirm phase."""
        return 0 if self.confirm is None else len(self.arms) * self.confirm.members * self.confirm_epochs()

    def member_epochs(self) -> int:
        """Epochs of all members of the whole study, if none is stopped early."""
        return self.search_member_epochs() + self.shortlist_member_epochs() + self.confirm_member_epochs()

    def reference_of(self, claim: Claim) -> str | None:
        """The arm that ``claim`` is to replace."""
        return claim.reference or self.reference

    def gate_of(self, claim: Claim) -> str | None:
        """The arm that the claim's reference must beat."""
        return claim.gate or next((arm for arm, losses in self.arms.items() if not losses), None)

    def canonical(self) -> dict[str, Any]:
        """Plain values in a fixed order, defaults written out, that ``from_canonical`` turns into an equal file."""
        return self.model_dump(mode="json")

    @classmethod
    def from_canonical(cls, plain: Mapping[str, Any]) -> "StudyFile":
        """The study file that ``canonical`` wrote.

        Raises:
            BadStudyInput: ``plain`` was written by another version, or changed.
        """
        try:
            return cls.model_validate(plain)
        except ValidationError as error:
            found = [explain(details, plain, cls) for details in error.errors()]
        raise BadStudyInput(*(f"{dotted(path)}: {text}" for path, text in found))

    def contradictions(self, incomplete: Collection[str] = ()) -> Iterator[Finding]:
        """What must hold between sections, or by the core's tables, and does not.

        Args:
            incomplete: sections that lack entries; what cannot be judged without those is not.
        """
        for check, needs in _CHECKS:
            if needs.isdisjoint(incomplete):
                yield from check(self)


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


def _metric_problems(study_file: StudyFile, metrics: "Mapping[str, MetricRow]") -> Iterator[Finding]:
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


def read_study_file(
    path: Path,
    overrides: Sequence[str] = (),
    data_root: Path | None = None,
    metrics: "Mapping[str, MetricRow] | None" = None,
) -> StudyFile:
    """Read and check a study file.

    A relative path among the options of ``data`` is relative to the folder of the study file where the file gives it,
    and to the working directory where the command line does.

    Args:
        path: the YAML file.
        overrides: ``key.path=value`` with a YAML value, as ``search.trials_per_arm=3`` or ``arms.gt=[gt]``. Items of a
            list are counted from 0; all that follows ``arms.`` is the name of an arm.
        data_root: folder of recordings or motion archive to use instead of the file's data. The options stay if the
            file's data set is of the same kind, and the split always does.
        metrics: those that exist, with the goal that an objective has if the file gives none. Without them metrics are
            not checked, and less is better: their table needs torch.

    Raises:
        BadStudyInput: all problems, ``FILE:LINE: key.path: what must hold, what was found`` each.
    """
    draft = Draft(path)
    overridden = {draft.override(text) for text in overrides}
    _complete_paths(draft, overridden)
    if data_root is not None:
        _read_from(data_root, draft)
    draft.data.setdefault("name", path.stem)
    _complete_goals(draft.data, metrics or {})
    study_file, incomplete = draft.sound_part(StudyFile, stand_ins={"name": "study"})
    unknown_metrics = () if metrics is None else _metric_problems(study_file, metrics)
    for key_path, text in chain(study_file.contradictions(incomplete), unknown_metrics):
        draft.complain(key_path, text)
    draft.finish()
    return study_file


def _complete_goals(data: dict[str, Any], metrics: "Mapping[str, MetricRow]") -> None:
    """Give every objective without a goal that of its metric."""
    listed = data.get("objectives")
    for objective in (data.get("objective"), *(listed if isinstance(listed, list) else ())):
        if isinstance(objective, dict) and isinstance(metric := objective.get("metric"), str):
            row = metrics.get(metric.removeprefix("val/"))
            if row is not None and row.goal == "maximize":
                objective.setdefault("goal", row.goal)


def _complete_paths(draft: Draft, overridden: Collection[KeyPath | None]) -> None:
    """Make the paths among the data's options absolute."""
    from hpgan_core.data import PATH_OPTIONS

    data = draft.data.get("data")
    if not isinstance(data, dict):
        return
    for name in PATH_OPTIONS:
        if isinstance(given := data.get(name), str):
            from_command_line = {("data",), ("data", name)} & set(overridden)
            data[name] = _absolute(given, Path() if from_command_line else draft.path.parent)


def _read_from(place: Path, draft: Draft) -> None:
    """Put the recordings at ``place`` in the place of the draft's data."""
    from hpgan_core.data import READERS, dataset_at

    option = f"--data {place}"
    try:
        found = dataset_at(Path(_absolute(str(place), Path())))
    except BadInput as error:
        draft.refuse(option, str(error))
        return
    if not isinstance(draft.data.get("data"), dict):
        draft.put(("data",), {}, option)
    data = draft.data["data"]
    before = data.get("dataset", "synthetic")
    if not isinstance(before, str) or before not in READERS:
        del found["dataset"]  # what is misspelt stays to be complained about
    elif before != found["dataset"]:
        for name in data.keys() - {"split"}:
            del data[name]
    for name, value in found.items():
        draft.put(("data", name), value, option)


def _absolute(root: str, folder: Path) -> str:
    path = Path(root).expanduser() if root.startswith("~/") else folder / root
    return os.path.normpath(path.absolute())
