"""Agreement with libraries that were written by others."""

import numpy as np
import pytest
from rliable.metrics import aggregate_iqm
from rliable.metrics import probability_of_improvement as rliable_improvement
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW, ttost_paired

from study.factorial import factorial_effects
from study.stats import (
    holm,
    interquartile_mean_difference,
    mean_interval,
    one_sided_bounds,
    probability_of_improvement,
    share_interval,
    t_test_below,
)


@pytest.fixture(params=[3, 5, 10, 20])
def arms(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    """Log badness of a candidate and a reference, paired by seed."""
    generator = np.random.default_rng(request.param)
    of_seed = generator.normal(0, 0.3, request.param)
    return of_seed + generator.normal(0.05, 0.1, request.param), of_seed + generator.normal(0, 0.1, request.param)


@pytest.mark.parametrize("margin", [0.05, 0.2])
def test_non_inferiority_is_one_half_of_statsmodels_paired_equivalence(
    arms: tuple[np.ndarray, np.ndarray], margin: float
) -> None:
    candidate, reference = arms
    _, at_least, at_most = ttost_paired(candidate, reference, -margin, margin)
    assert t_test_below(candidate - reference, margin) == pytest.approx(at_most[1])
    assert t_test_below(reference - candidate, margin) == pytest.approx(at_least[1])


def test_bounds_and_intervals_are_statsmodels(arms: tuple[np.ndarray, np.ndarray]) -> None:
    differences = arms[0] - arms[1]
    described = DescrStatsW(differences)
    assert one_sided_bounds(differences, 0.05) == pytest.approx(described.tconfint_mean(0.1))
    interval = mean_interval(differences.tolist())
    assert (interval.low, interval.high) == pytest.approx(described.tconfint_mean(0.05))


def test_the_middle_halves_differ_as_rliable_says(arms: tuple[np.ndarray, np.ndarray]) -> None:
    candidate, reference = arms
    expected = aggregate_iqm(candidate[:, None]) - aggregate_iqm(reference[:, None])
    assert interquartile_mean_difference(candidate, reference, np.random.default_rng(0)).value == pytest.approx(
        expected
    )


def test_improvement_is_as_probable_as_rliable_says(arms: tuple[np.ndarray, np.ndarray]) -> None:
    candidate, reference = arms
    # There more is better.
    expected = rliable_improvement(-candidate[:, None], -reference[:, None])
    assert probability_of_improvement(candidate, reference).value == pytest.approx(expected)


@pytest.mark.parametrize("count", [0, 1, 5, 10])
def test_a_share_has_the_interval_of_statsmodels(count: int) -> None:
    share = share_interval(count, 10)
    assert (share.low, share.high) == pytest.approx(proportion_confint(count, 10, method="wilson"))


def test_holms_decisions_are_those_of_statsmodels() -> None:
    ps = np.random.default_rng(2).random((200, 4)) ** 4
    for p in ps.tolist():
        rejected, *_ = multipletests(p, 0.05, method="holm")
        levels = holm(p, [0.05] * 4).levels
        assert [own <= level for own, level in zip(p, levels, strict=True)] == rejected.tolist()


def test_effects_of_losses_are_coefficients_of_statsmodels_mixed_model() -> None:
    generator = np.random.default_rng(6)
    losses = {"none": (), "gt": ("gt",), "bone": ("bone",), "gt+bone": ("gt", "bone")}
    of_seed = generator.normal(0, 1.0, 12)
    values = {arm: (of_seed + generator.normal(0, 0.5, 12)).tolist() for arm in losses}
    rows = [("gt" in on, "bone" in on, seed, values[arm][seed]) for arm, on in losses.items() for seed in range(12)]
    gt, bone, seeds, measured = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    gt, bone = gt - 0.5, bone - 0.5
    fitted = MixedLM(measured, np.column_stack([np.ones(48), gt, bone, gt * bone]), groups=seeds).fit()
    effects = factorial_effects("ade", losses, values)
    assert effects is not None
    assert effects.model == "mixed"
    assert [effect.change.value for effect in effects.effects] == pytest.approx(fitted.fe_params[1:])
    # 48 values less 3 effects and 12 seeds.
    reach = stats.t.ppf(0.975, 33)
    errors = [(effect.change.high - effect.change.value) / reach for effect in effects.effects]
    assert errors == pytest.approx(fitted.bse_fe[1:], rel=1e-3)
