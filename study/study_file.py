"""The study file as a whole: its sections, and what they say together."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from study.constraints import ConstraintText
from study.draft import dotted, explain
from study.errors import BadStudyInput
from study.sections import (
    DEFAULT_TRIALS_PER_ARM,
    ArmName,
    Budget,
    Claim,
    Confirm,
    Data,
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
    Wilcoxon,
    Words,
)
from study.space import (
    Parameter,
    Space,
)

if TYPE_CHECKING:
    pass

__all__ = [
    "Budget", "Claim", "Confirm", "Data", "Hyperband", "Median", "NoPruning", "Objective", "Pruner", "Resources",
    "Sampler", "Search", "Shortlist", "Split", "Storage", "StudyFile", "SuccessiveHalving", "Tracking", "Wilcoxon",
]  # fmt: skip

# The sampler `grid` tries every combination of values, so these must be few enough for it to come to an end.
MAX_GRID = 10_000


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
