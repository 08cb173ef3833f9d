"""The sections of a study file that stand by themselves: types, ranges, defaults and what each key means."""

import math
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from hpgan_core.config import RANGES
from study.secrets import holds_secret, without_secrets
from study.yaml_source import KeyPath

DEFAULT_TRIALS_PER_ARM = 10
DEFAULT_KEEP = 0.5
# The protocol that every data set has, and the people it tests.
BY_SUBJECT, DEFAULT_TEST = "by_subject", 0.2
# Ray counts in ten-thousandths.
LEAST_GPU_SHARE = 0.0001
# Where MLflow keeps its tables, if not on a server.
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")

# Names become folders, tags and parts of command lines.
MAX_NAME_LENGTH = 64
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
_ARM = r"^[A-Za-z0-9_][A-Za-z0-9_+.-]{0,63}$"
_METRIC = r"^val/[a-z0-9_]+$"
PATTERNS = {
    NAME_PATTERN: "1 to 64 letters, digits, _ . or -, the first a letter or digit",
    _ARM: "1 to 64 letters, digits, _ + . or -, the first a letter, digit or _",
    _METRIC: "val/ and the name of a metric, such as val/score",
}

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
ArmName = Annotated[str, StringConstraints(pattern=_ARM)]
# YAML has lists only; strictness would ask for a Python tuple.
Words = Annotated[tuple[str, ...], Field(strict=False)]
# NumPy's generators, which samplers use, take no greater seed.
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Members = Annotated[int, Field(ge=1, le=1024)]
Epochs = Annotated[int, Field(ge=1, le=int(RANGES["epochs"][1]))]


def _is_plain(value: Any) -> Any:
    if not isinstance(value, (bool, int, float, str)) or (isinstance(value, float) and not math.isfinite(value)):
        raise PydanticCustomError("plain_value", "a finite number, text, true or false")
    return value


# The check in front gives one message where a union would give one for each of its types.
Value = Annotated[bool | int | float | str, BeforeValidator(_is_plain)]
Finding = tuple[KeyPath, str]


class Section(BaseModel):
    """A mapping of a study file: no unknown keys, no converted types, no change once it is read."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    def problems(self) -> Iterator[Finding]:
        """What must hold between the keys of this section and does not: the path from here, and what to tell."""
        yield from ()

    @model_validator(mode="after")
    def _has_no_problems(self) -> Self:
        found = [
            InitErrorDetails(type=PydanticCustomError("study", "{text}", {"text": text}), loc=path, input=None)
            for path, text in self.problems()
        ]
        if found:
            raise ValidationError.from_exception_data(type(self).__name__, found)
        return self


class Split(Section):
    """Who trains, who validates, who tests. Nobody does two of these, unless an official protocol has it so."""

    protocol: str = Field(
        default=BY_SUBJECT, description="by_subject draws people; a benchmark's official protocol says who tests."
    )
    seed: Seed = Field(default=0, description="Decides who belongs to which split.")
    validation: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="Share of the people, or of those that a protocol trains on, that the search is judged on.",
    )
    test: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description=f"Share of the people that only the confirm phase sees. Default: {DEFAULT_TEST}, or by protocol.",
    )

    def test_share(self) -> float | None:
        """Share of the people who test, None where the protocol says who does."""
        return DEFAULT_TEST if self.test is None and self.protocol == BY_SUBJECT else self.test

    def problems(self) -> Iterator[Finding]:
        if self.protocol != BY_SUBJECT and self.test is not None:
            yield ("test",), f"must be left out, since {self.protocol} says who tests"
        elif (shares := self.validation + (self.test_share() or 0)) >= 1:
            yield ("test",), f"must leave people to train on: validation and test make {shares:g}"


class Data(Section):
    """A data set; keys beside the two below are options of its reader."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Value | None]

    dataset: str = Field(default="synthetic", description="Name of a reader.")
    split: Split = Field(default=Split(), description="Who trains, who validates, who tests.")

    @property
    def options(self) -> dict[str, Value | None]:
        """What the reader is called with."""
        return dict(self.__pydantic_extra__)


class Sampler(Section):
    """How configurations are chosen."""

    name: Literal["tpe", "random", "qmc", "gp", "cmaes", "grid"] = Field(
        default="tpe",
        description="tpe, gp (a Gaussian process: few, dear trials) and cmaes (numbers only) learn from finished "
        "trials; random does not; qmc covers the space evenly, with the same points in every arm; grid tries every "
        "combination.",
    )
    seed: Seed = Field(
        default=0, description="Same seed, same configurations, as far as the sampler depends on nothing else."
    )

    @property
    def learns(self) -> bool:
        """Whether the results of trials guide it."""
        return self.name in ("tpe", "gp", "cmaes")


class SuccessiveHalving(Section):
    """Stop all but the best of each rung."""

    name: Literal["successive_halving"] = Field(description="Keep the best share of the trials at each rung.")
    grace_epochs: Epochs = Field(default=5, description="Epochs that every trial may run.")
    reduction_factor: int = Field(default=3, ge=2, le=100, description="One of so many trials passes a rung.")


class Hyperband(Section):
    """Successive halving with several first rungs: some trials may start slowly."""

    name: Literal["hyperband"] = Field(
        description="Successive halving in brackets, whose first rungs are later and later."
    )
    grace_epochs: Epochs = Field(default=5, description="Epochs that every trial may run.")
    reduction_factor: int = Field(default=3, ge=2, le=100, description="One of so many trials passes a rung.")


class Median(Section):
    """Stop what is worse than the median at the same epoch."""

    name: Literal["median"] = Field(description="Stop trials that are worse than the median at the same epoch.")
    grace_epochs: Epochs = Field(default=5, description="Epochs that every trial may run.")


class Wilcoxon(Section):
    """Stop what is worse than the best trial, seed by seed at the same epoch, by a signed-rank test.

    Epochs of one trial depend on each other, its members do not: the pairs of the test are the members, which have the
    same seeds in every trial.
    """

    name: Literal["wilcoxon"] = Field(
        description="Stop trials whose members are worse than those of the best trial at the same epoch."
    )
    grace_epochs: Epochs = Field(default=5, description="Epochs that every trial may run.")
    p_threshold: float = Field(
        default=0.1, gt=0, lt=0.5, description="One-sided p below which a trial stops, at each epoch anew."
    )

    @property
    def least_members(self) -> int:
        """Pairs with which p can fall below the threshold: all of them worse has p = 1 / 2^pairs."""
        return math.floor(-math.log2(self.p_threshold)) + 1


class NoPruning(Section):
    """Let every trial finish."""

    name: Literal["none"] = Field(description="Every trial runs to its end.")


Pruner = Annotated[SuccessiveHalving | Hyperband | Median | Wilcoxon | NoPruning, Field(discriminator="name")]


class Search(Section):
    """The first phase: many configurations an arm, judged on the validation split."""

    trials_per_arm: int | None = Field(
        default=None,
        ge=1,
        description="Configurations of each arm. Default: its part of budget.trials, the whole grid of the sampler "
        f"grid, or {DEFAULT_TRIALS_PER_ARM}.",
    )
    members: Members = Field(
        default=2, description="Seeds that train together as one trial; a trial is judged by their mean."
    )
    epochs: Epochs = Field(default=30, description="Length of a trial that is not stopped early.")
    sampler: Sampler = Field(default=Sampler(), description="How configurations are chosen.")
    pruner: Pruner = Field(
        default=SuccessiveHalving(name="successive_halving"), description="How bad trials end early."
    )
    enqueue: tuple[dict[str, Value], ...] = Field(
        default=(),
        strict=False,
        description="Points that every arm with all their parameters runs after the defaults, before the sampler's.",
    )
    warm_start: Name | None = Field(
        default=None, description="An earlier study, from whose complete trials the sampler learns; they do not count."
    )


class Shortlist(Section):
    """Between search and confirm: the best few trials of each arm again, on new seeds, to pick the winner among them.

    The best of many trials owes some of its place to the luck of its seeds; new ones take that away.
    """

    trials: int = Field(default=3, ge=1, le=100, description="Best trials of each arm to train again; 1 asks for none.")
    members: Members = Field(default=3, description="New seeds of each, the same for all; none of them confirms.")


class Confirm(Section):
    """The last phase: the best trial of each arm again, with fresh seeds, on the test split."""

    members: Members = Field(
        default=5, description="Fresh seeds for each arm. Verdicts need 3 or more, and are weak under 5."
    )
    epochs: Epochs | None = Field(
        default=None, description="Length of a run; there is no early stopping. Default: search.epochs."
    )
    shortlist: Shortlist | None = Field(
        default=Shortlist(),
        description="Which trials are trained again, in this length, to pick the winner on the validation split; null "
        "takes the best of the search.",
    )


class Objective(Section):
    """What the search improves."""

    metric: Annotated[str, StringConstraints(pattern=_METRIC)] = Field(
        default="val/score", description="A metric on the validation split. val/score favours no loss."
    )
    goal: Literal["minimize", "maximize"] = Field(
        default="minimize", description="Whether less or more of it is better. Default: as the metric has it."
    )

    def cost(self, value: float) -> float:
        """``value`` with the sign that makes less of it better."""
        return value if self.goal == "minimize" else -value


class Guardrails(Section):
    """What a candidate must not give up, whatever the metrics of its claim say."""

    diversity: float | None = Field(
        default=0.8,
        gt=0,
        lt=1,
        description="Share of the reference's APD that must be kept: a loss that trains one future for each past can "
        "cost the others. null asks for none.",
    )
    diverged: float | None = Field(
        default=0.2, ge=0, lt=1, description="Share of the candidate's members that may diverge. null allows all."
    )


class Claim(Section):
    """One question that the study decides: is the candidate no worse than the reference, by a margin fixed here?"""

    name: str = Field(min_length=1, max_length=200, description="The claim as a sentence.")
    candidate: str = Field(description="The arm that might replace the reference.")
    reference: str | None = Field(default=None, description="The arm to be replaced. Default: the study's reference.")
    gate: str | None = Field(
        default=None,
        description="An arm without the reference's losses: the reference must beat it, or the study cannot tell. "
        "Default: the arm without losses.",
    )
    metrics: Words = Field(min_length=1, description="All must hold, on the test split.")
    margin: float | None = Field(
        default=None,
        gt=0,
        description="Greatest loss that is allowed, as a difference of log badness: 0.05 is 5 % worse. "
        "Default: by keep.",
    )
    keep: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Share of the reference's effect over the gate to be kept, the effect counted by its lower bound. "
        f"Default: {DEFAULT_KEEP}, unless there is a margin.",
    )
    alpha: float = Field(
        default=0.05,
        gt=0,
        lt=0.5,
        description="Error probability of the one-sided bound, corrected by Holm over the claims of the study.",
    )
    guardrails: Guardrails = Field(default=Guardrails(), description="What the candidate must not give up.")

    @model_validator(mode="before")
    @classmethod
    def _keeps_unless_it_has_a_margin(cls, read: Any) -> Any:
        return {"keep": DEFAULT_KEEP} | read if isinstance(read, dict) and read.get("margin") is None else read

    def problems(self) -> Iterator[Finding]:
        if (self.keep is None) == (self.margin is None):
            found = "neither" if self.keep is None else "both"
            yield ("keep",), f"must be given, or `margin`, one of the two, found {found}"


class Budget(Section):
    """Where a study ends, whatever else the file says. The search ends early enough for the winners to be confirmed."""

    trials: int | None = Field(
        default=None, ge=1, description="Trials of all arms together; each arm has an equal part."
    )
    wall_time_s: float | None = Field(
        default=None, gt=0, description="Seconds of the whole study, over all launches. A round of trials is finished."
    )
    device_hours: float | None = Field(
        default=None,
        gt=0,
        description="Hours of training times the GPUs of a trial, or its CPU cores where it has no GPU.",
    )
    failed_fraction: float | None = Field(
        default=None, ge=0, lt=1, description="Share of the planned trials; when more have failed, the study stops."
    )


class Resources(Section):
    """What one trial occupies."""

    cpus_per_trial: int = Field(default=1, ge=1, description="CPU cores of a trial.")
    gpus_per_trial: float = Field(default=0.0, ge=0, description="GPUs of a trial; 0.25 lets four trials share one.")
    max_concurrent: int | None = Field(default=None, ge=1, description="Trials at a time. Default: as many as fit.")

    def problems(self) -> Iterator[Finding]:
        if 0 < self.gpus_per_trial < LEAST_GPU_SHARE:
            text = f"must be 0, or {LEAST_GPU_SHARE} or more, the least share that Ray counts"
            yield ("gpus_per_trial",), f"{text}, found {self.gpus_per_trial}"
        if self.gpus_per_trial > 1 and not self.gpus_per_trial.is_integer():
            yield ("gpus_per_trial",), f"must be whole above 1, found {self.gpus_per_trial}"


def _address_problem(address: str) -> str | None:
    """Why host and port of an address cannot be told, or None where they can."""
    try:
        _ = urlsplit(address).port
    except ValueError as error:
        return f"{without_secrets(address)!r} is no address: {error}"
    return None


class Storage(Section):
    """Where Optuna keeps its tables, for its dashboard; the record needs them for nothing."""

    url: str | None = Field(
        default=None,
        description="PostgreSQL, as postgresql+psycopg://USER@HOST/DATABASE, the password in PGPASSWORD or ~/.pgpass. "
        "Default: OPTUNA_STORAGE, or SQLite in the study's folder.",
    )

    def problems(self) -> Iterator[Finding]:
        if self.url is None:
            return
        if not re.match(r"postgresql\+psycopg://[^/]", self.url):
            yield ("url",), f"must be postgresql+psycopg://USER@HOST/DATABASE, found {without_secrets(self.url)!r}"
        elif problem := _address_problem(self.url):
            yield ("url",), problem
        elif holds_secret(self.url):
            yield ("url",), "must hold no password, which would end up in the record: use PGPASSWORD or ~/.pgpass"


class Tracking(Section):
    """Where MLflow is."""

    uri: str | None = Field(
        default=None, description="MLflow server or database. Default: MLFLOW_TRACKING_URI, or SQLite beside the study."
    )
    experiment: str | None = Field(
        default=None, min_length=1, description="MLflow experiment. Default: the study's name."
    )
    models: bool = Field(default=True, description="Whether each arm's confirmed winner is registered as a model.")

    def problems(self) -> Iterator[Finding]:
        if self.uri is not None and holds_secret(self.uri):
            text = "must hold no password or token, which would end up in the record: use MLFLOW_TRACKING_USERNAME"
            yield ("uri",), f"{text} and MLFLOW_TRACKING_PASSWORD, found {without_secrets(self.uri)!r}"


def tracking_uri_problem(uri: str) -> str | None:
    """Why no MLflow server or database can be at ``uri``, without its secrets; None where one can."""
    if problem := _address_problem(uri):
        return problem
    parts, shown = urlsplit(uri), repr(without_secrets(uri))
    if parts.scheme in ("http", "https"):
        return None if parts.hostname else f"{shown} names no host"
    if parts.scheme.partition("+")[0] not in DATABASES:
        names = ", ".join(DATABASES)
        example = "for instance sqlite:///mlflow.db"
        return f"{shown} must begin with http://, https:// or the name of a database ({names}), {example}"
    return None
