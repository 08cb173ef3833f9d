"""What each loss does by itself and together with others, from all arms at once: a factorial experiment."""

import itertools
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hpgan_core.config import LOSS_NAMES
from study.stats import Estimate

# A half on either side: an effect is the change from without to with, at the mean of all else.
WITH, WITHOUT = 0.5, -0.5


@dataclass(frozen=True)
class Effect:
    """What a loss, or several at once, change.

    Attributes:
        losses: one for a main effect. Of an interaction two or more: by how much the effect of one of them differs
            where the others are. Losses that no arm has apart from each other are one, joined by ``+``.
        change: of log badness; -0.1 is 10 % better. With its 95 % interval.
        own: of the logarithm of the metric itself: more diversity is less badness, and a jerk ratio may come from below
            its ideal or from above.
    """

    losses: tuple[str, ...]
    change: Estimate
    own: Estimate

    @property
    def direction(self) -> Literal["better", "worse"] | None:
        """What the whole interval says; None where it reaches across no change."""
        return "better" if self.change.high < 0 else "worse" if self.change.low > 0 else None


@dataclass(frozen=True)
class Effects:
    """The effects of all losses on one metric.

    Attributes:
        metric: on the test split.
        model: of log badness. ``mixed``: seeds are random effects of a linear mixed model. ``blocks``: they are fixed
            ones, where the mixed model does not converge or finds no spread between seeds.
        effects: main effects, then interactions.
        assumed_none: interactions that these arms cannot tell from other effects.
    """

    metric: str
    model: Literal["mixed", "blocks"]
    effects: tuple[Effect, ...]
    assumed_none: tuple[tuple[str, ...], ...]


def factorial_effects(
    metric: str,
    arms: Mapping[str, Sequence[str]],
    badness: Mapping[str, Sequence[float]],
    own: Mapping[str, Sequence[float]] | None = None,
) -> Effects | None:
    """Effects of the losses by all arms that have been confirmed.

    Args:
        metric: what is analysed, for the result.
        arms: the losses of each.
        badness: for each of them its log badness, one a seed in the same order of seeds, NaN where there is none.
        own: in the same form the logarithm of the metric itself, where that is another.

    Returns:
        None where the arms cannot tell the main effects apart, or there are too few seeds for an interval.
    """
    factors = _factors(arms)
    rows = [
        (arm, seed, value) for arm in sorted(arms) for seed, value in enumerate(badness[arm]) if math.isfinite(value)
    ]
    coded = {arm: [WITH if set(factor) <= set(arms[arm]) else WITHOUT for factor in factors] for arm in arms}
    codes = np.array([coded[arm] for arm, _, _ in rows]).reshape(len(rows), len(factors))
    terms, assumed_none = _estimable(len(factors), codes)
    seeds, values = np.array([seed for _, seed, _ in rows]), np.array([value for _, _, value in rows])
    own_values = values if own is None else np.array([own[arm][seed] for arm, seed, _ in rows])
    freedom = len(rows) - len(terms) - len(set(seeds))
    if not terms or freedom < 1:
        return None
    design = _design(codes, terms)
    model, found = _fit(values, design, seeds, freedom)
    found_own = found if own is None else _fit(own_values, design, seeds, freedom)[1]
    names = ["+".join(factor) for factor in factors]
    return Effects(
        metric,
        model,
        tuple(
            Effect(tuple(names[i] for i in term), change, change_of_own)
            for term, change, change_of_own in zip(terms, found, found_own, strict=True)
        ),
        tuple(tuple(names[i] for i in term) for term in assumed_none),
    )


def _factors(arms: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """Losses that some arms have and others do not, together with those that are always in the same arms."""
    members: dict[frozenset[str], list[str]] = {}
    for loss in sorted({loss for losses in arms.values() for loss in losses}, key=LOSS_NAMES.index):
        having = frozenset(arm for arm, losses in arms.items() if loss in losses)
        if len(having) < len(arms):
            members.setdefault(having, []).append(loss)
    return [tuple(losses) for losses in members.values()]


Term = tuple[int, ...]


def _estimable(n_factors: int, codes: np.ndarray) -> tuple[list[Term], list[Term]]:
    """Terms of all orders up to the last of which all can be told apart, and the terms beyond."""
    orders = [list(itertools.combinations(range(n_factors), order)) for order in range(1, n_factors + 1)]
    kept: list[Term] = []
    for position, terms in enumerate(orders):
        design = _design(codes, [*kept, *terms])
        if np.linalg.matrix_rank(design) < design.shape[1]:
            return kept, list(itertools.chain(*orders[position:]))
        kept += terms
    return kept, []


def _design(codes: np.ndarray, terms: Sequence[Term]) -> np.ndarray:
    """A column of ones, then one a term."""
    columns = [np.prod(codes[:, list(term)], axis=1) for term in terms]
    return np.column_stack([np.ones(len(codes)), *columns])


def _fit(
    values: np.ndarray, design: np.ndarray, seeds: np.ndarray, freedom: int
) -> tuple[Literal["mixed", "blocks"], list[Estimate]]:
    """Coefficients but the first, with Student's intervals: the mixed model's own take its variances for known."""
    from statsmodels.regression.linear_model import OLS

    mixed = _mixed(values, design, seeds)
    if mixed is not None:
        return "mixed", list(_estimates(*mixed, freedom))
    # All seeds but one: the first column stands for that.
    blocks = seeds[:, None] == np.unique(seeds)[1:]
    fitted = OLS(values, np.column_stack([design, blocks])).fit()
    terms = slice(1, design.shape[1])
    return "blocks", list(_estimates(fitted.params[terms], fitted.bse[terms], freedom))


def _mixed(values: np.ndarray, design: np.ndarray, seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Coefficients but the first and their standard errors by restricted maximum likelihood, where it converges."""
    from statsmodels.regression.mixed_linear_model import MixedLM
    from statsmodels.tools.sm_exceptions import ConvergenceWarning

    # Its checks of convergence are absolute numbers.
    scale = float(values.std())
    with warnings.catch_warnings():
        # A boundary (no spread between seeds), a singular covariance, a logarithm of zero, no spread at all.
        for category in (ConvergenceWarning, UserWarning, RuntimeWarning):
            warnings.simplefilter("error", category)
        try:
            fitted = MixedLM(values / scale, design, groups=seeds).fit()
        except (ConvergenceWarning, UserWarning, RuntimeWarning, np.linalg.LinAlgError):
            return None
    errors = np.asarray(fitted.bse_fe)[1:] * scale
    if not (fitted.converged and np.isfinite(errors).all() and (errors > 0).all()):
        return None
    return np.asarray(fitted.fe_params)[1:] * scale, errors


def _estimates(changes: np.ndarray, errors: np.ndarray, freedom: int) -> Iterator[Estimate]:
    from scipy.stats import t

    reach = float(t.ppf(0.975, freedom)) * errors
    for change, half in zip(changes.tolist(), reach.tolist(), strict=True):
        yield Estimate(change, change - half, change + half)
