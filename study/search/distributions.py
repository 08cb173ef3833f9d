"""A parameter of the study file in Optuna's words, and its values there and back."""

from typing import cast

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from study.sections import Value
from study.space import CategoricalParameter, IntParameter, Parameter


def shown_distribution(parameter: Parameter) -> BaseDistribution:
    """What the tables hold, for people and their dashboard."""
    if isinstance(parameter, CategoricalParameter):
        return CategoricalDistribution(parameter.values)
    if isinstance(parameter, IntParameter):
        return IntDistribution(parameter.min, parameter.max, step=parameter.step or 1, log=parameter.log)
    return FloatDistribution(parameter.min, parameter.max, step=parameter.step, log=parameter.log)


def sampled_distribution(parameter: Parameter) -> BaseDistribution:
    """What a sampler draws from: of ordered categories their index, so that it knows which are neighbours."""
    if isinstance(parameter, CategoricalParameter) and parameter.ordered:
        return IntDistribution(0, len(parameter.values) - 1)
    return shown_distribution(parameter)


def to_sampled(parameter: Parameter, value: Value) -> Value:
    """A value as ``sampled_distribution`` has it."""
    if isinstance(parameter, CategoricalParameter) and parameter.ordered:
        return parameter.values.index(value)
    return value


def from_sampled(parameter: Parameter, drawn: Value) -> Value:
    """A value of the parameter, from what ``sampled_distribution`` gave."""
    if isinstance(parameter, CategoricalParameter) and parameter.ordered:
        return parameter.values[cast(int, drawn)]
    return drawn
