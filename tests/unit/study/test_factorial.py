"""Effects of losses from arms whose badness is made of known ones."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from scipy import stats

from study.factorial import Effects, factorial_effects
from study.stats import Estimate

ALL = {
    "none": (),
    "gt": ("gt",),
    "consistency": ("consistency",),
    "bone": ("bone",),
    "gt+consistency": ("gt", "consistency"),
    "gt+bone": ("gt", "bone"),
    "paper": ("consistency", "bone"),
    "all": ("gt", "consistency", "bone"),
}
QUICK = {name: ALL[name] for name in ("none", "gt", "paper")}
Badness = dict[str, list[float]]


def badness(arms: Mapping[str, Sequence[str]], n_seeds: int = 10, seed_sd: float = 0.2, noise: float = 0.02) -> Badness:
    """The ground-truth loss takes 0.3 away, 0.2 less where bone is; seeds differ, and there is noise."""
    generator = np.random.default_rng(7)
    of_seed = generator.normal(0, seed_sd, n_seeds)
    return {
        arm: (
            -0.3 * ("gt" in losses)
            + 0.2 * ("gt" in losses and "bone" in losses)
            + of_seed
            + generator.normal(0, noise, n_seeds)
        ).tolist()
        for arm, losses in arms.items()
    }


def changes(effects: Effects | None) -> dict[tuple[str, ...], float]:
    assert effects is not None
    return {effect.losses: effect.change.value for effect in effects.effects}


def test_all_eight_arms_tell_every_effect() -> None:
    effects = factorial_effects("ade", ALL, badness(ALL))
    found = changes(effects)
    assert effects is not None
    assert (effects.metric, effects.model, effects.assumed_none) == ("ade", "mixed", ())
    assert list(found) == [
        ("gt",),
        ("consistency",),
        ("bone",),
        ("gt", "consistency"),
        ("gt", "bone"),
        ("consistency", "bone"),
        ("gt", "consistency", "bone"),
    ]
    true = dict.fromkeys(found, 0.0) | {("gt",): -0.2, ("bone",): 0.1, ("gt", "bone"): 0.2}
    assert found == pytest.approx(true, abs=0.03)
    for effect in effects.effects:
        assert effect.change.low < true[effect.losses] < effect.change.high


def test_effects_are_differences_of_means_where_no_seed_is_missing() -> None:
    values = badness(ALL)
    with_gt = np.mean([values[arm] for arm, losses in ALL.items() if "gt" in losses])
    without = np.mean([values[arm] for arm, losses in ALL.items() if "gt" not in losses])
    assert changes(factorial_effects("ade", ALL, values))["gt",] == pytest.approx(with_gt - without)


def test_seeds_that_differ_do_not_widen_the_intervals() -> None:
    widths = []
    for seed_sd in (0.05, 5.0):
        effects = factorial_effects("ade", ALL, badness(ALL, seed_sd=seed_sd))
        assert effects is not None
        widths.append(effects.effects[0].change.high - effects.effects[0].change.low)
    assert widths[0] == pytest.approx(widths[1], rel=1e-3)


def test_losses_that_always_come_together_are_one() -> None:
    effects = factorial_effects("ade", QUICK, badness(QUICK))
    assert list(changes(effects)) == [("gt",), ("consistency+bone",)]
    assert effects is not None
    assert effects.assumed_none == (("gt", "consistency+bone"),)


def test_a_loss_of_all_arms_has_no_effect_to_be_told() -> None:
    arms = {"paper": ("consistency", "bone"), "all": ("gt", "consistency", "bone")}
    assert list(changes(factorial_effects("ade", arms, badness(arms)))) == [("gt",)]


def test_without_spread_between_seeds_they_are_blocks() -> None:
    values = badness(QUICK, n_seeds=4, seed_sd=0.0)
    flat = {arm: list(np.array(own) - np.mean(list(values.values()), axis=0)) for arm, own in values.items()}
    effects = factorial_effects("ade", QUICK, flat)
    assert effects is not None
    assert effects.model == "blocks"
    gain = np.mean(flat["gt"]) - np.mean(flat["none"])
    assert changes(effects)["gt",] == pytest.approx(gain)


@pytest.mark.parametrize(("model", "n_seeds"), [("mixed", 3), ("mixed", 10), ("blocks", 2), ("blocks", 10)])
def test_between_two_arms_the_interval_is_students_of_the_paired_differences(model: str, n_seeds: int) -> None:
    """Two seeds are the fewest that have one: a single degree of freedom."""
    arms = {name: ALL[name] for name in ("none", "gt")}
    values = badness(arms, n_seeds=n_seeds, noise=0.1)
    if model == "blocks":
        # The same differences without spread between seeds, which the mixed model does not take.
        middle = np.mean(list(values.values()), axis=0)
        values = {arm: list(of_arm - middle) for arm, of_arm in values.items()}
    effects = factorial_effects("ade", arms, values)
    assert effects is not None
    assert effects.model == model
    paired = stats.ttest_rel(values["gt"], values["none"]).confidence_interval(0.95)
    change = effects.effects[0].change
    assert (change.low, change.high) == pytest.approx((paired.low, paired.high), rel=1e-4)


def test_arms_that_are_all_the_same_have_effects_of_nothing() -> None:
    effects = factorial_effects("ade", ALL, {arm: [0.0] * 3 for arm in ALL})
    assert effects is not None
    assert {(effect.change, effect.direction) for effect in effects.effects} == {(Estimate(0.0, 0.0, 0.0), None)}


@pytest.mark.parametrize(
    "arms",
    [
        {"gt": ("gt",), "paper": ("consistency", "bone")},
        {"none": ()},
        {},
        {"gt": ("gt",), "bone": ("bone",), "consistency": ("consistency",)},
    ],
    ids=["two different", "one", "none", "one loss each and no arm without"],
)
def test_arms_that_cannot_tell_main_effects_apart_tell_none(arms: dict[str, tuple[str, ...]]) -> None:
    assert factorial_effects("ade", arms, badness(arms)) is None


def test_one_seed_has_no_interval() -> None:
    assert factorial_effects("ade", QUICK, badness(QUICK, n_seeds=1)) is None


def test_members_that_diverged_are_left_out() -> None:
    values = badness(ALL)
    values["gt"][3] = values["all"][0] = math.nan
    assert changes(factorial_effects("ade", ALL, values))["gt",] == pytest.approx(-0.2, abs=0.03)


def test_the_order_of_arms_and_seeds_does_not_matter() -> None:
    values = badness(ALL)
    backwards = {arm: values[arm][::-1] for arm in reversed(ALL)}
    there = changes(factorial_effects("ade", ALL, values))
    back = changes(factorial_effects("ade", dict(reversed(ALL.items())), backwards))
    assert back == pytest.approx(there)


def test_the_change_of_the_metric_itself_is_told_beside_that_of_its_badness() -> None:
    values = badness(ALL)
    own = {arm: [-value for value in of_arm] for arm, of_arm in values.items()}
    effects = factorial_effects("apd", ALL, values, own)
    assert effects is not None
    for effect in effects.effects:
        change, mirrored = effect.change, effect.own
        assert (mirrored.value, mirrored.low, mirrored.high) == pytest.approx(
            (-change.value, -change.high, -change.low)
        )
