"""Seeds that a claim needs, against the published table and statsmodels."""

import math

import pytest
from statsmodels.stats.power import TTestPower

from study.power import MIN_SEEDS, power_of, seeds_needed, seeds_to_decide

MARGINS_IN_SDS = (0.5, 0.75, 1.0, 1.5, 2.0)


@pytest.mark.parametrize(("power", "seeds"), [(0.8, [27, 13, 8, 5, 4]), (0.9, [36, 17, 11, 6, 4])])
def test_the_table_of_the_documentation(power: float, seeds: list[int]) -> None:
    assert [seeds_needed(margin, 0.05, power) for margin in MARGINS_IN_SDS] == seeds


@pytest.mark.parametrize("n_seeds", [3, 5, 10, 40])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 3])
def test_power_is_that_of_statsmodels(n_seeds: int, alpha: float) -> None:
    expected = TTestPower().power(0.7, n_seeds, alpha, alternative="larger")
    assert power_of(n_seeds, 0.7, alpha) == pytest.approx(expected)


@pytest.mark.parametrize("margin", [0.05, 0.3, 0.9, 4.0])
def test_one_seed_less_is_too_few(margin: float) -> None:
    needed = seeds_needed(margin, 0.05)
    assert needed is not None
    assert power_of(needed, margin, 0.05) >= 0.8
    assert needed == MIN_SEEDS or power_of(needed - 1, margin, 0.05) < 0.8


def test_three_seeds_are_the_least() -> None:
    assert seeds_needed(1e6, 0.05) == MIN_SEEDS


@pytest.mark.parametrize("margin", [0.0, -1.0, 1e-4, math.nan])
def test_a_margin_that_no_number_of_seeds_can_tell_has_none(margin: float) -> None:
    assert seeds_needed(margin, 0.05) is None


def test_what_noise_has_left_open_is_decided_by_the_seeds_of_the_table() -> None:
    assert seeds_to_decide(5, difference=0.3, margin=1.0, sd=1.0, alpha=0.05) == 8


def test_where_those_are_there_already_the_difference_itself_lies_near_the_margin() -> None:
    assert seeds_to_decide(10, difference=0.5, margin=1.0, sd=1.0, alpha=0.05) == 27
    assert seeds_to_decide(8, difference=3.0, margin=2.0, sd=2.0, alpha=0.05) == 27


def test_a_difference_that_lies_on_the_margin_without_noise_is_decided_by_no_number_of_seeds() -> None:
    assert seeds_to_decide(5, difference=0.5, margin=0.5, sd=0.0, alpha=0.05) is None
