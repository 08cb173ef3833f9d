"""The training step and the epoch: what each part learns from, and what a member depends on."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hpgan_core import training
from hpgan_core.config import LOSS_NAMES, TrainingConfig
from hpgan_core.evaluation import diverged, evaluate_population, evaluation_windows
from hpgan_core.losses import LOSSES
from hpgan_core.presets import PRESETS
from hpgan_core.training import Population
from hpgan_core.windows import MotionData
from tests.oracle.populations import Observed, narrow

EXACT = torch.float64


def networks(population: Population) -> dict[str, Tensor]:
    """Every weight of a population by name, members first."""
    parts = {name: getattr(population, name) for name in ("generator", "critic", "discriminator", "averaged")}
    return {f"{part}.{name}": weight for part, net in parts.items() for name, weight in net.named_parameters()}


def trained(config: TrainingConfig, data: MotionData, seeds: list[int], epochs: int = 2, **options: Any) -> Observed:
    population = Observed(config, data, seeds, **options)
    for _ in range(epochs):
        population.train_epoch()
    return population


def assert_same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def assert_member_is(alone: Population, together: Population, member: int) -> None:
    for name, weight in networks(alone).items():
        stacked = networks(together)[name][member : member + 1]
        torch.testing.assert_close(stacked, weight, rtol=1e-6, atol=1e-6, msg=name)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_member_of_a_population_is_its_seed_trained_alone(motion: MotionData, preset: str) -> None:
    config = narrow(preset, losses=LOSS_NAMES)
    together = trained(config, motion, [3, 1, 2], epochs=2, dtype=EXACT)
    evaluated = evaluate_population(together, evaluation_windows(together, motion.validation, 4), samples=3, epoch=0)
    for member, seed in enumerate(together.seeds):
        alone = trained(config, motion, [seed], epochs=2, dtype=EXACT)
        assert_member_is(alone, together, member)
        (metrics,) = evaluate_population(alone, evaluation_windows(alone, motion.validation, 4), samples=3, epoch=0)
        assert evaluated[member] == pytest.approx(metrics, rel=1e-6)


@pytest.mark.parametrize("at_once", [1, 2])
def test_large_critics_learn_a_few_at_a_time_and_no_otherwise(
    tiny: TrainingConfig, motion: MotionData, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    together = trained(tiny, motion, [3, 1, 2], epochs=2, dtype=EXACT)
    monkeypatch.setattr(training, "NUMBERS_AT_ONCE", at_once * sum(w[0].numel() for w in together.critic.parameters()))
    first = trained(tiny, motion, [3, 1, 2], epochs=1, dtype=EXACT)
    resumed = Observed(tiny, motion, [3, 1, 2], dtype=EXACT)
    assert [kept for kept, *_ in resumed._critics] == [slice(at, at + at_once) for at in range(0, 3, at_once)]
    resumed.load_state(copy.deepcopy(first.state()))
    for apart in (first, resumed):
        apart.train_epoch()
        torch.testing.assert_close(networks(apart), networks(together), rtol=1e-9, atol=1e-9)
        assert apart.critic_optimizer.updates.tolist() == together.critic_optimizer.updates.tolist()
    assert_same_bits(networks(first), networks(resumed))


@pytest.mark.parametrize("setting", ["lambda_gp", *(f"{name}_weight" for name in LOSS_NAMES)])
def test_each_member_may_have_a_weight_of_its_own(tiny: TrainingConfig, motion: MotionData, setting: str) -> None:
    together, own = Observed(tiny, motion, [4, 7], dtype=EXACT), [0.5, 5.0]
    values = together.lambda_gp if setting == "lambda_gp" else together.weights[setting.removesuffix("_weight")]
    values.copy_(torch.tensor(own))
    for _ in range(2):
        together.train_epoch()
    usual = trained(tiny, motion, [4, 7], dtype=EXACT)
    for member, seed in enumerate(together.seeds):
        its_own: dict[str, Any] = {setting: own[member]}
        alone = trained(replace(tiny, **its_own), motion, [seed], dtype=EXACT)
        assert_member_is(alone, together, member)
        with pytest.raises(AssertionError):
            assert_member_is(alone, usual, member)


def test_same_seed_same_bits_and_another_seed_other_weights(tiny: TrainingConfig, motion: MotionData) -> None:
    first, again, other = (networks(trained(tiny, motion, seeds)) for seeds in ([5, 6], [5, 6], [7, 6]))
    assert_same_bits(first, again)
    for name, weight in first.items():
        assert not torch.equal(weight[0], other[name][0]), name
        assert torch.equal(weight[1], other[name][1]), name


@pytest.mark.parametrize(
    "change",
    [
        {"losses": ()},
        {"losses": ("bone",), "bone_weight": 3.0, "bone_form": "literal", "bone_space": "normalised"},
        {"critic_iterations": 5},
        {"decoder": "report", "critic_embedding_size": 5, "gp_norm": "frame", "gp_alpha": "batch"},
        {"lambda_gp": 0.1, "hidden_size": 16, "residual": False, "generator_layers": 1},
    ],
    ids=str,
)
def test_every_arm_sees_the_same_batches_and_z(
    tiny: TrainingConfig, motion: MotionData, change: dict[str, Any]
) -> None:
    ours, theirs = (trained(config, motion, [0, 1]).seen for config in (tiny, replace(tiny, **change)))
    assert len(ours) == len(theirs) == 6
    for (windows, z, _), (their_windows, their_z, _) in zip(ours, theirs, strict=True):
        assert torch.equal(windows, their_windows)
        assert torch.equal(z[:, :, -1], their_z[:, :, -1])  # the generator's


@pytest.mark.parametrize(("change", "same"), [({"losses": ("gt",)}, True), ({"hidden_size": 9}, False)], ids=str)
def test_arms_start_from_the_same_weights(
    tiny: TrainingConfig, motion: MotionData, change: dict[str, Any], same: bool
) -> None:
    ours, theirs = (networks(Population(config, motion, [0, 1])) for config in (tiny, replace(tiny, **change)))
    if same:
        assert_same_bits(ours, theirs)
    else:
        critics = [{name: net[name] for name in net if "critic" in name} for net in (ours, theirs)]
        assert_same_bits(*critics)


def test_members_epochs_and_steps_have_batches_z_and_mixes_of_their_own(
    tiny: TrainingConfig, motion: MotionData
) -> None:
    seen = trained(tiny, motion, [0, 1]).seen
    for part in range(3):
        rows = torch.cat([step[part].flatten(1) for step in seen])
        assert len({tuple(row) for row in rows.tolist()}) == 2 * 6


@pytest.mark.parametrize(("drop_last", "sizes"), [(True, [4, 4, 4]), (False, [4, 4, 4, 3])])
@pytest.mark.parametrize("gp_alpha", ["sample", "batch"])
def test_what_does_not_fill_a_batch_is_dropped_or_makes_a_smaller_one(
    tiny: TrainingConfig, motion: MotionData, drop_last: bool, sizes: list[int], gp_alpha: Any
) -> None:
    population = trained(replace(tiny, drop_last=drop_last, gp_alpha=gp_alpha), motion, [0], epochs=1)
    assert len(motion.train) == 15
    assert population.steps_per_epoch == len(sizes)
    assert [windows.shape for windows, _, _ in population.seen] == [(1, size, 30, 25, 3) for size in sizes]
    assert [z.shape for _, z, _ in population.seen] == [(1, size, 3, 4) for size in sizes]
    mixed = sizes if gp_alpha == "sample" else [1] * len(sizes)
    assert [mixes.shape for _, _, mixes in population.seen] == [(1, size, 2) for size in mixed]


def windows_of_epochs(config: TrainingConfig, data: MotionData) -> list[Tensor]:
    """All windows of each of two epochs, ``(clips, T J 3)``."""
    seen = trained(replace(config, drop_last=False), data, [0]).seen
    return [torch.cat([step[0][0] for step in seen[first : first + 4]]).flatten(1) for first in (0, 4)]


@pytest.mark.parametrize("crop", ["random", "centre"])
@pytest.mark.parametrize("reshuffle", [True, False])
def test_an_epoch_orders_and_crops_as_configured(
    tiny: TrainingConfig, motion: MotionData, crop: Any, reshuffle: bool
) -> None:
    first, second = windows_of_epochs(replace(tiny, crop=crop, reshuffle=reshuffle), motion)
    clips = [motion.train.frames[start : start + 44] for start in motion.train.starts]
    centres = {tuple(clip[7:37].ravel().tolist()) for clip in clips}
    assert ({tuple(row) for row in first.tolist()} == centres) == (crop == "centre")

    def clip_order(windows: Tensor) -> list[int]:
        middles = windows.view(15, 30, 25, 3)[:, 15].numpy()
        return [next(n for n, clip in enumerate(clips) if (clip == middle).all((1, 2)).any()) for middle in middles]

    assert sorted(clip_order(first)) == sorted(clip_order(second)) == list(range(15))
    assert (clip_order(first) == clip_order(second)) == (not reshuffle)
    assert torch.equal(first, second) == (crop == "centre" and not reshuffle)


def test_fewer_clips_than_a_batch_make_one_batch(tiny: TrainingConfig, motion: MotionData) -> None:
    population = trained(replace(tiny, batch_size=64), motion, [0], epochs=1)
    assert [windows.shape[1] for windows, _, _ in population.seen] == [15]


def test_some_steps_of_an_epoch_are_its_first(tiny: TrainingConfig, motion: MotionData) -> None:
    whole, part = trained(tiny, motion, [0], epochs=1), Observed(tiny, motion, [0])
    part.train_steps(epoch=1, steps=2)
    assert len(part.seen) == 2
    for ours, theirs in zip(part.seen, whole.seen, strict=False):
        assert all(map(torch.equal, ours, theirs))


def test_interpolation_factors_are_shares(tiny: TrainingConfig, motion: MotionData) -> None:
    mixes = torch.cat([mixes.flatten() for _, _, mixes in trained(tiny, motion, [0, 1]).seen])
    assert 0 <= mixes.min() < 0.2
    assert 0.8 < mixes.max() < 1


@pytest.mark.parametrize(("resample", "n_z"), [(True, 5), (False, 1)])
def test_each_update_has_a_z_of_its_own_or_all_share_one(
    tiny: TrainingConfig, motion: MotionData, resample: bool, n_z: int
) -> None:
    config = replace(tiny, critic_iterations=3, generator_iterations=2, resample_z=resample)
    population = Observed(config, motion, [0])
    population.train_steps(epoch=1, steps=1)
    ((_, z, _),) = population.seen
    assert z.shape == (1, 4, n_z, tiny.z_size)
    assert len({tuple(vector) for vector in z[0, 0].tolist()}) == n_z


@pytest.mark.parametrize(
    ("name", "form", "space"),
    [
        ("gt", "mean", "normalised"),
        ("consistency", "mean", "normalised"),
        ("consistency", "literal", "normalised"),
        ("bone", "mean", "metres"),
        ("bone", "literal", "normalised"),
    ],
)
def test_every_loss_reaches_every_weight_of_the_generator(
    tiny: TrainingConfig, motion: MotionData, name: str, form: str, space: str
) -> None:
    """That of the ground truth does too: the report's text detaches what it compares, and nothing would be learned."""
    assert {form for row in LOSSES.values() for form in row.forms} == {"mean", "literal"}
    settings: dict[str, Any] = {f"{name}_form": form, f"{name}_space": space, f"{name}_weight": 10.0}
    known = {setting: value for setting, value in settings.items() if hasattr(tiny, setting)}
    gradients = []
    for losses in ((), (name,)):
        population = Population(replace(tiny, losses=losses, residual=False, **known), motion, [0, 1], dtype=EXACT)
        population.train_steps(epoch=1, steps=1)
        gradients.append(population.generator_optimizer.means.values())
    for without, given in zip(*gradients, strict=True):
        assert (without != given).flatten(1).any(dim=1).all()


def test_critic_updates_give_the_generator_no_gradient(tiny: TrainingConfig, motion: MotionData) -> None:
    population = Population(tiny, motion, [0, 1])
    past, z = torch.zeros(2, 4, 10, 75), torch.ones(2, 4, 1, tiny.z_size)
    predicted = population.generator(past, z, 20)
    assert predicted.requires_grad
    population._train_critic(past, torch.ones_like(predicted[:, :, 0]), predicted, torch.full((2, 4, 2), 0.5))
    assert all(weight.grad is None for weight in population.generator.parameters())
    assert population.critic_optimizer.updates.tolist() == [tiny.critic_iterations] * 2
    assert population.generator_optimizer.updates.tolist() == [0, 0]


def test_critic_updates_leave_the_generator_alone(tiny: TrainingConfig, motion: MotionData) -> None:
    frozen = trained(replace(tiny, generator_learning_rate=0.0), motion, [0])
    fresh = networks(Population(tiny, motion, [0]))
    untouched = {name.split(".")[0] for name, weight in networks(frozen).items() if torch.equal(weight, fresh[name])}
    changed = {name.split(".")[0] for name, weight in networks(frozen).items() if not torch.equal(weight, fresh[name])}
    assert changed == {"critic", "discriminator"}
    assert untouched >= {"generator", "averaged"}


def test_the_discriminator_never_influences_the_generator(tiny: TrainingConfig, motion: MotionData) -> None:
    ours = trained(tiny, motion, [0, 1])
    theirs = Observed(replace(tiny, discriminator_learning_rate=0.1), motion, [0, 1])
    with torch.no_grad():
        for parameter in theirs.discriminator.parameters():
            parameter.neg_()
    for _ in range(2):
        theirs.train_epoch()
    for name, weight in networks(ours).items():
        assert torch.equal(weight, networks(theirs)[name]) != name.startswith("discriminator"), name


@pytest.mark.parametrize("sick", ["generator", "critic", "discriminator"])
def test_a_diverged_member_leaves_the_others_untouched(tiny: TrainingConfig, motion: MotionData, sick: str) -> None:
    healthy, population = (Observed(tiny, motion, [0, 1, 2]) for _ in range(2))
    with torch.no_grad():
        for weight in getattr(population, sick).parameters():
            weight[1] = torch.nan
    for _ in range(2):
        losses, sick_losses = healthy.train_epoch(), population.train_epoch()
    assert not any(sick_losses[name][1].isfinite() for name in losses if sick in name)
    for name, values in losses.items():
        assert torch.equal(values[[0, 2]], sick_losses[name][[0, 2]]), name
    for name, weight in networks(healthy).items():
        assert torch.equal(weight[[0, 2]], networks(population)[name][[0, 2]]), name

    windows = evaluation_windows(healthy, motion.validation, 4)
    ours, theirs = (evaluate_population(one, windows, samples=3, epoch=0) for one in (healthy, population))
    assert (ours[0], ours[2]) == (theirs[0], theirs[2])
    assert not diverged(ours[1])
    assert diverged(theirs[1])


def test_averaging_zero_evaluates_the_weights_themselves(tiny: TrainingConfig, motion: MotionData) -> None:
    population = trained(replace(tiny, averaging=0.0), motion, [0, 1])
    assert_same_bits(dict(population.averaged.named_parameters()), dict(population.generator.named_parameters()))


def test_averaged_weights_follow_the_weights_by_their_decay(tiny: TrainingConfig, motion: MotionData) -> None:
    population = Population(replace(tiny, averaging=0.75), motion, [0], dtype=EXACT)
    expected = [weight.detach().clone() for weight in population.averaged.parameters()]
    for epoch in (1, 2, 3):
        population.train_steps(epoch, steps=1)
        current = population.generator.parameters()
        expected = [0.75 * average + 0.25 * weight for average, weight in zip(expected, current, strict=True)]
    for average, weight in zip(population.averaged.parameters(), expected, strict=True):
        torch.testing.assert_close(average, weight)


def test_predictions_are_of_the_averaged_weights_in_metres(tiny: TrainingConfig, motion: MotionData) -> None:
    population = trained(tiny, motion, [0, 1])
    windows = evaluation_windows(population, motion.validation, 4)
    z = torch.zeros(2, 4, 3, tiny.z_size)
    with torch.no_grad():
        for weight in population.generator.parameters():
            weight.fill_(torch.nan)
        before = population.predict(windows.past, z)
        for weight in population.averaged.decoder.head.parameters():
            weight.zero_()
    frozen = population.predict(windows.past, z)
    assert before.shape == frozen.shape == (2, 4, 3, 20, 25, 3)
    assert not torch.allclose(before, frozen)
    torch.testing.assert_close(frozen, windows.past[:, None, -1:].expand_as(frozen[0]).expand_as(frozen))


@pytest.mark.parametrize(("distribution", "deviation", "most"), [("uniform", 0.1 / 3**0.5, 0.1), ("normal", 1, 9)])
def test_z_follows_its_distribution(
    tiny: TrainingConfig, motion: MotionData, distribution: Any, deviation: float, most: float
) -> None:
    population = Observed(replace(tiny, z_distribution=distribution, z_size=500), motion, [0, 1])
    population.train_steps(epoch=1, steps=1)
    ((_, z, _),) = population.seen
    assert z.shape == (2, 4, 3, 500)
    assert z.std().item() == pytest.approx(deviation, rel=0.05)
    assert z.abs().max() <= most


def test_state_restores_training_bit_for_bit(tiny: TrainingConfig, motion: MotionData) -> None:
    population = trained(tiny, motion, [0, 1])
    restored = Population(tiny, motion, [0, 1])
    restored.load_state(copy.deepcopy(population.state()))
    for one in (population, restored):
        one.train_epoch()
    assert restored.epochs_done == 3
    assert_same_bits(networks(population), networks(restored))


def test_the_ground_truth_loss_is_learned_from(tiny: TrainingConfig, motion: MotionData) -> None:
    def losses(weight: float) -> Tensor:
        """Of each epoch and member."""
        config = replace(tiny, losses=("gt",), gt_weight=weight, generator_learning_rate=1e-2)
        population = Population(config, motion, [0, 1])
        return torch.stack([population.train_epoch()["gt"] for _ in range(15)])

    assert (losses(1e4)[-5:].mean(0) < 0.5 * losses(0.0)[-5:].mean(0)).all()


def test_held_out_people_are_never_trained_on(tiny: TrainingConfig, motion: MotionData) -> None:
    unread = replace(motion.test, frames=np.full_like(motion.test.frames, np.nan))
    blind = trained(tiny, replace(motion, validation=unread, opened_test=unread), [0])
    assert_same_bits(networks(blind), networks(trained(tiny, motion, [0])))
