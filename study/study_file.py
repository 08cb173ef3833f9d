"""The study file: what its sections must hold together, and the way from YAML to a checked ``StudyFile``."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from hpgan_core.config import LOSS_NAMES, SETTINGS, unknown_name
from hpgan_core.errors import BadInput
from hpgan_core.presets import PRESETS
from study.draft import Draft, dotted, explain
from study.errors import BadStudyInput
from study.sections import (
    DEFAULT_TRIALS_PER_ARM,
    ArmName,
    Budget,
    Claim,
    Confirm,
    Data,
    Finding,
    Median,
    Name,
    NoPruning,
    Objective,
    Pruner,
    Resources,
    Sampler,
    Search,
    Section,
    Split,
    SuccessiveHalving,
    Tracking,
    Words,
)
from study.space import Parameter, parameter_problems, required_loss, setting_problem, weighted_loss
from study.yaml_source import KeyPath

__all__ = [
    "Budget", "Claim", "Confirm", "Data", "Median", "NoPruning", "Objective", "Pruner", "Resources", "Sampler",
    "Search", "Split", "StudyFile", "SuccessiveHalving", "Tracking", "read_study_file",
]  # fmt: skip


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
    search: Search = Field(default=Search(), description="The first phase.")
    confirm: Confirm | None = Field(default=Confirm(), description="The second phase; null leaves it out.")
    objective: Objective = Field(default=Objective(), description="What the search improves.")
    claims: tuple[Claim, ...] = Field(default=(), strict=False, description="What the study decides.")
    budget: Budget = Field(default=Budget(), description="Where the search ends.")
    resources: Resources = Field(default=Resources(), description="What one trial occupies.")
    tracking: Tracking = Field(default=Tracking(), description="Where MLflow is.")

    def trials_per_arm(self) -> int:
        """Trials that each arm may run in the search."""
        share = None if self.budget.trials is None else self.budget.trials // len(self.arms)
        limits = [limit for limit in (self.search.trials_per_arm, share) if limit is not None]
        return min(limits, default=DEFAULT_TRIALS_PER_ARM)

    def n_trials(self) -> int:
        """Trials of the whole search."""
        return len(self.arms) * self.trials_per_arm()

    def confirm_epochs(self) -> int:
        """Length of a confirm run; 0 where there is no confirm phase."""
        return 0 if self.confirm is None else self.confirm.epochs or self.search.epochs

    def search_member_epochs(self) -> int:
        """Epochs of all members of all trials, if none is stopped early."""
        return self.n_trials() * self.search.members * self.search.epochs

    def confirm_member_epochs(self) -> int:
        """Epochs of all members of the confirm phase."""
        return 0 if self.confirm is None else len(self.arms) * self.confirm.members * self.confirm_epochs()

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
    needed = {("training", name): weighted_loss(name) for name in study_file.training}
    needed |= {("parameters", name): required_loss(name, p) for name, p in study_file.parameters.items()}
    for path, loss in needed.items():
        if loss in LOSS_NAMES and loss not in used:
            yield path, f"has no effect, since no arm has the loss {loss!r}: remove it"


def _check_budget(study_file: StudyFile) -> Iterator[Finding]:
    arms, trials = len(study_file.arms), study_file.budget.trials
    if trials is not None and trials < arms:
        yield ("budget", "trials"), f"must be {arms} or more, one an arm, found {trials}"


def _check_repeats(study_file: StudyFile) -> Iterator[Finding]:
    if not study_file.parameters and (repeats := study_file.trials_per_arm()) > 1:
        text = f"must be 1 without parameters, or the {repeats} trials of an arm are all the same"
        yield ("search", "trials_per_arm"), text


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
    (_check_preset, frozenset()),
    (_check_data, frozenset({"data"})),
    (_check_arms, frozenset()),
    (_check_settings, frozenset()),
    (_check_effects, frozenset({"arms"})),
    (_check_budget, frozenset({"arms"})),
    (_check_repeats, frozenset({"arms", "parameters", "search", "budget"})),
    (_check_reference, frozenset({"arms"})),
    (_check_claims, frozenset({"arms", "reference"})),
)


def _metric_problems(study_file: StudyFile, metrics: Collection[str]) -> Iterator[Finding]:
    """Metrics that the study names and ``metrics`` does not have."""
    known = tuple(metrics)
    name = study_file.objective.metric.removeprefix("val/")
    if name not in known:
        yield ("objective", "metric"), unknown_name("metric", name, known)
    for index, claim in enumerate(study_file.claims):
        for position, metric in enumerate(claim.metrics):
            if metric not in known:
                yield ("claims", index, "metrics", position), unknown_name("metric", metric, known)


def read_study_file(
    path: Path,
    overrides: Sequence[str] = (),
    data_root: Path | None = None,
    metrics: Collection[str] | None = None,
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
        metrics: names of the metrics that exist. Without them metrics are not checked: their table needs torch.

    Raises:
        BadStudyInput: all problems, ``FILE:LINE: key.path: what must hold, what was found`` each.
    """
    draft = Draft(path)
    overridden = {draft.override(text) for text in overrides}
    _complete_paths(draft, overridden)
    if data_root is not None:
        _read_from(data_root, draft)
    draft.data.setdefault("name", path.stem)
    study_file, incomplete = draft.sound_part(StudyFile, stand_ins={"name": "study"})
    unknown_metrics = () if metrics is None else _metric_problems(study_file, metrics)
    for key_path, text in chain(study_file.contradictions(incomplete), unknown_metrics):
        draft.complain(key_path, text)
    draft.finish()
    return study_file


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
