"""What is searched: parameters, which of them an arm has, and the configuration that their values make."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar

from pydantic import Field

from hpgan_core.config import CHOICES, LOSS_NAMES, RANGES, SETTINGS, convert_setting, unknown_name
from study.constraints import Constraint, parse_constraint
from study.sections import Finding, Section, Value
from study.yaml_source import KeyPath

if TYPE_CHECKING:
    from study.study_file import StudyFile

# Chosen elsewhere in a study file, or part of how a study measures, which a sampler must not choose.
NOT_SEARCHED = {
    "losses": "is no parameter: name the losses of each arm under arms",
    "epochs": "is no parameter: set search.epochs and confirm.epochs",
} | {
    name: "is no parameter, since it changes the measure: fix it under training"
    for name in SETTINGS
    if name.startswith(("evaluation_", "final_"))
}
_TYPES = {
    int: ("int", "categorical"),
    float: ("float", "int", "categorical"),
    bool: ("categorical",),
    str: ("categorical",),
}
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


class _Parameter(Section):
    type: str
    default: Any
    when: str | None = Field(
        default=None,
        description="A loss: the parameter exists in the arms that have it. The weight of a loss implies its loss.",
    )


Number = TypeVar("Number", int, float)


class _Range(_Parameter, Generic[Number]):
    default: Number = Field(description="Value in the first trial of each arm.")
    min: Number = Field(description="Least value.")
    max: Number = Field(description="Greatest value, included.")
    step: Annotated[Number, Field(gt=0)] | None = Field(
        default=None, description="Distance of neighbouring values, from min."
    )
    log: bool = Field(
        default=False, description="Sample the logarithm, for a value whose order of magnitude is unknown."
    )

    @property
    def rule(self) -> str:
        """What a value must be, for people."""
        return f"from {self.min} to {self.max}" + (f" in steps of {self.step}" if self.step is not None else "")

    def contains(self, value: Value) -> bool:
        """Whether a sampler may choose ``value``."""
        if isinstance(value, (bool, str)) or not self.min <= value <= self.max:
            return False
        # Optuna's tolerance, so that both agree on what lies on the grid.
        return self.step is None or abs(math.remainder(value - self.min, self.step)) <= 1e-8 * self.step

    def written_values(self) -> Iterator[tuple[KeyPath, Value]]:
        """Every value of the setting that the file names, and where."""
        yield from ((("min",), self.min), (("max",), self.max), (("default",), self.default))

    def problems(self) -> Iterator[Finding]:
        if self.max < self.min:
            yield ("max",), f"must be min ({self.min}) or more, found {self.max}"
            return
        if self.log and self.min <= 0:
            yield ("min",), f"must be above 0, since log is true, found {self.min}"
        if self.log and self.step is not None:
            yield ("step",), "cannot be combined with log: remove one of them"
        elif not self.contains(self.max):
            yield ("max",), f"must be min ({self.min}) plus a multiple of step ({self.step}), found {self.max}"
        elif not self.contains(self.default):
            yield ("default",), f"must be {self.rule}, found {self.default}"


class IntParameter(_Range[int]):
    """Whole numbers."""

    type: Literal["int"] = Field(description="Whole numbers from min to max.")

    @property
    def rule(self) -> str:
        """What a value must be, for people."""
        return f"a whole number {super().rule}"

    def contains(self, value: Value) -> bool:
        return isinstance(value, int) and super().contains(value)

    def at(self, share: float) -> int:
        """The value below which ``share`` of the range lies, from 0 to 1, the latter excluded."""
        if self.log:
            # Every whole number gets the stretch around it, as in Optuna.
            low, high = math.log(self.min - 0.5), math.log(self.max + 0.5)
            return min(max(round(math.exp(low + share * (high - low))), self.min), self.max)
        return self.grid()[int(share * len(self.grid()))]

    def grid(self) -> Sequence[int]:
        """Every value, from the least to the greatest."""
        return range(self.min, self.max + 1, self.step or 1)


class FloatParameter(_Range[float]):
    """Real numbers."""

    type: Literal["float"] = Field(description="Real numbers from min to max.")

    def at(self, share: float) -> float:
        """The value below which ``share`` of the range lies, from 0 to 1, the latter excluded."""
        if (grid := self.grid()) is not None:
            return grid[int(share * len(grid))]
        if self.log:
            low, high = math.log(self.min), math.log(self.max)
            return min(max(math.exp(low + share * (high - low)), self.min), self.max)
        return min(self.min + share * (self.max - self.min), self.max)

    def grid(self) -> Sequence[float] | None:
        """Every value, from the least to the greatest; None without a step."""
        if self.step is None:
            return None
        steps = round((self.max - self.min) / self.step)
        return [min(self.min + step * self.step, self.max) for step in range(steps + 1)]


class CategoricalParameter(_Parameter):
    """One of the values of a list."""

    type: Literal["categorical"] = Field(description="One of the listed values.")
    default: Value = Field(description="Value in the first trial of each arm.")
    values: tuple[Value, ...] = Field(strict=False, min_length=1, description="What to choose from.")
    ordered: bool = Field(
        default=False, description="The list goes from less to more: neighbours are alike to a sampler that learns."
    )

    @property
    def rule(self) -> str:
        """What a value must be, for people."""
        return f"one of {', '.join(map(repr, self.values))}"

    def contains(self, value: Value) -> bool:
        """Whether a sampler may choose ``value``; ``True`` is not 1."""
        return any(value == known and isinstance(value, bool) == isinstance(known, bool) for known in self.values)

    def at(self, share: float) -> Value:
        """The value at ``share`` of the list, from 0 to 1, the latter excluded."""
        return self.values[int(share * len(self.values))]

    def grid(self) -> Sequence[Value]:
        """Every value, in the order of the list."""
        return self.values

    def written_values(self) -> Iterator[tuple[KeyPath, Value]]:
        """Every value of the setting that the file names, and where."""
        yield from ((("values", index), value) for index, value in enumerate(self.values))
        yield ("default",), self.default

    def problems(self) -> Iterator[Finding]:
        for index, value in enumerate(self.values):
            if value in self.values[:index]:
                yield ("values", index), f"must be listed once, found {value!r} again"
        if not self.contains(self.default):
            yield ("default",), f"must be {self.rule}, found {self.default!r}"


Parameter = Annotated[IntParameter | FloatParameter | CategoricalParameter, Field(discriminator="type")]


def setting_problem(name: str, value: Any) -> str | None:
    """Why setting ``name`` cannot have ``value``, or None where it can."""
    converted = convert_setting(name, value)
    if converted is None:
        return f"must be {_WORDS[SETTINGS[name]]}, found {value!r}"
    if name in RANGES and not RANGES[name][0] <= converted <= RANGES[name][1]:
        low, high = RANGES[name]
        return f"must be from {low} to {high}, found {value!r}"
    if name in CHOICES and converted not in CHOICES[name]:
        return unknown_name(name, converted, CHOICES[name])
    return None


def parameter_problems(name: str, parameter: Parameter) -> Iterator[Finding]:
    """Where ``parameter`` does not fit the setting that it is named after; paths start below the parameter."""
    if name in NOT_SEARCHED:
        yield (), NOT_SEARCHED[name]
        return
    if name not in SETTINGS:
        yield (), unknown_name("setting", name, tuple(setting for setting in SETTINGS if setting not in NOT_SEARCHED))
        return
    if parameter.type not in _TYPES[SETTINGS[name]]:
        types = " or ".join(_TYPES[SETTINGS[name]])
        yield ("type",), f"must be {types}, since {name} is {_WORDS[SETTINGS[name]]}, found {parameter.type}"
        return
    for path, value in parameter.written_values():
        if problem := setting_problem(name, value):
            yield path, problem
    if parameter.when is not None:
        if parameter.when not in LOSS_NAMES:
            yield ("when",), unknown_name("loss", parameter.when, LOSS_NAMES)
        elif weighted_loss(name) not in (None, parameter.when):
            yield ("when",), f"must be {weighted_loss(name)}, the loss that {name} belongs to, found {parameter.when}"


def weighted_loss(name: str) -> str | None:
    """The loss whose weight setting ``name`` is, if it is one; elsewhere that setting does nothing."""
    loss = name.removesuffix("_weight")
    return loss if loss != name and loss in LOSS_NAMES else None


def required_loss(name: str, parameter: Parameter) -> str | None:
    """The loss without which parameter ``name`` does not exist in an arm."""
    return weighted_loss(name) or parameter.when


def active_parameters(study_file: "StudyFile", arm: str) -> dict[str, Parameter]:
    """The parameters that ``arm`` has, in the file's order."""
    losses = (None, *study_file.arms[arm])
    return {name: p for name, p in study_file.parameters.items() if required_loss(name, p) in losses}


def default_values(study_file: "StudyFile", arm: str) -> dict[str, Value]:
    """What the first trial of ``arm`` runs."""
    return {name: parameter.default for name, parameter in active_parameters(study_file, arm).items()}


def first_values(study_file: "StudyFile", arm: str) -> list[dict[str, Value]]:
    """What ``arm`` runs before its sampler is asked: the defaults, then the enqueued points that fit it.

    A point fits an arm that has all its parameters; those that it does not name have their default. Each runs once.
    """
    defaults = default_values(study_file, arm)
    points = [defaults, *(defaults | point for point in study_file.search.enqueue if point.keys() <= defaults.keys())]
    return [point for index, point in enumerate(points) if point not in points[:index]]


@dataclass(frozen=True)
class Space:
    """Parameters, and the constraints that are about some of them only."""

    parameters: Mapping[str, Parameter]
    constraints: tuple[Constraint, ...] = ()

    @classmethod
    def of(cls, study_file: "StudyFile", arm: str | None = None) -> "Space":
        """The space of ``arm``, or of all the file's parameters together; a constraint needs all that it names."""
        parameters = study_file.parameters if arm is None else active_parameters(study_file, arm)
        constraints = (parse_constraint(text) for text in study_file.constraints)
        return cls(parameters, tuple(c for c in constraints if parameters.keys() >= set(c.names)))

    def broken(self, values: Mapping[str, Value]) -> list[str]:
        """The constraints that ``values`` do not satisfy."""
        return [constraint.text for constraint in self.constraints if not constraint.holds(values)]

    def at(self, point: Iterable[float]) -> dict[str, Value]:
        """The values at a point of the unit cube, one coordinate a parameter; constraints are not looked at."""
        return {
            name: parameter.at(share) for (name, parameter), share in zip(self.parameters.items(), point, strict=True)
        }

    def grid_size(self) -> int | None:
        """Number of combinations of values before constraints; None where a range has no step."""
        grids = [parameter.grid() for parameter in self.parameters.values()]
        return None if None in grids else math.prod(len(grid) for grid in grids if grid is not None)

    def grid(self) -> list[dict[str, Value]]:
        """Every combination of values that the constraints allow; every range must have a step."""
        grids = [parameter.grid() for parameter in self.parameters.values()]
        combinations = product(*(grid for grid in grids if grid is not None))
        points = (dict(zip(self.parameters, values, strict=True)) for values in combinations)
        return [values for values in points if not self.broken(values)]


def configuration(study_file: "StudyFile", arm: str, values: Mapping[str, Value], epochs: int) -> dict[str, Any]:
    """The settings of a trial, for ``TrainingConfig.from_mapping``.

    The preset gives what nothing else names; then come the file's fixed settings, the arm's losses and ``values``.

    Args:
        study_file: the study.
        arm: one of its arms.
        values: one for each active parameter of the arm.
        epochs: length of the training.

    Raises:
        ValueError: ``values`` names other parameters than the arm has, or has a value outside its parameter.
    """
    active = active_parameters(study_file, arm)
    if values.keys() != active.keys():
        raise ValueError(f"arm {arm!r} has the parameters {sorted(active)}, found values for {sorted(values)}")
    if outside := {name: value for name, value in values.items() if not active[name].contains(value)}:
        raise ValueError(f"values outside their parameters: {outside}")
    settings = {**study_file.training, **values}
    return {
        "preset": study_file.preset,
        **{name: convert_setting(name, value) for name, value in settings.items()},
        "losses": list(study_file.arms[arm]),
        "epochs": epochs,
    }
