"""The training step and the epoch: what each part learns from, and what a member depends on."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hpgan_core.config import TrainingConfig
from hpgan_core.evaluation import diverged, evaluate_population, evaluation_windows
from hpgan_core.losses import LOSSES
from hpgan_core.training import Population
from hpgan_core.windows import MotionData

EXACT = torch.float64


class Observed(Population):
    """A population that keeps what each of its steps was given."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def train_step(self, windows: Tensor, z: Tensor, mixes: Tensor) -> dict[str, Tensor]:
        self.seen.append((windows, z, mixes))
        return super().train_step(windows, z, mixes)


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


def test_a_member_of_a_population_is_its_seed_trained_alone(tiny: TrainingConfig, motion: MotionData) -> None:
    together = trained(tiny, motion, [3, 1, 2], epochs=4, dtype=EXACT)
    evaluated = evaluate_population(together, evaluation_windows(together, motion.validation, 4), samples=3, epoch=0)
    for member, seed in enumerate(together.seeds):
        alone = trained(tiny, motion, [seed], epochs=4, dtype=EXACT)
        for name, weight in networks(alone).items():
            torch.testing.assert_close(networks(together)[name][member : member + 1], weight, rtol=1e-6, atol=1e-6)
        (metrics,) = evaluate_population(alone, evaluation_windows(alone, motion.validation, 4), samples=3, epoch=0)
        assert evaluated[member] == pytest.approx(metrics, rel=1e-6)


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
        {"losses": ("bone",), "bone_weight": 3.0},
        {"critic_iterations": 5},
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
        assert torch.equal(z, their_z)


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


def test_the_last_smaller_batch_is_dropped(tiny: TrainingConfig, motion: MotionData) -> None:
    population = trained(tiny, motion, [0], epochs=1)
    assert len(motion.train) == 15
    assert [windows.shape for windows, _, _ in population.seen] == [(1, 4, 30, 25, 3)] * 3
    assert [mixes.shape for _, _, mixes in population.seen] == [(1, 4, 2)] * 3


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


def naive_step(population: Population, windows: Tensor, z: Tensor, mixes: Tensor) -> None:
    """One step of a single member as the papers write it: nothing hoisted, every gradient by autograd."""
    config, normaliser = population.config, population.normaliser
    anchor = normaliser.anchor(windows[:, :, :10])
    real = normaliser.normalise(windows, anchor)
    past = real[:, :, :10].flatten(-2)

    def generate() -> Tensor:
        predicted = population.generator(past, z.unsqueeze(2), 20).squeeze(2)
        return torch.cat([past, predicted], dim=2).flatten(2)

    def update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    for iteration in range(config.critic_iterations):
        fake, share = generate().detach(), mixes[..., iteration, None]
        interpolates = (share * real.flatten(2) + (1 - share) * fake).requires_grad_()
        values = population.critic(interpolates)
        (gradient,) = torch.autograd.grad(values.sum(), interpolates, create_graph=True)
        penalty = (gradient.norm(dim=-1) - 1).square().mean()
        difference = population.critic(fake).mean() - population.critic(real.flatten(2)).mean()
        update(population.critic_optimizer, difference + config.lambda_gp * penalty)

    fake = generate()
    logits = population.discriminator(torch.cat([real.flatten(2), fake.detach()], dim=1))
    labels = torch.cat([torch.ones_like(logits[:, :4]), torch.zeros_like(logits[:, 4:])], dim=1)
    cross_entropy = nn.functional.binary_cross_entropy_with_logits(logits, labels)
    update(population.discriminator_optimizer, 2 * cross_entropy)

    loss = -population.critic(fake).mean()
    generated = fake.view(1, -1, 30, 25, 3)
    in_space = {"normalised": (generated, real), "metres": (normaliser.metres(generated, anchor), windows)}
    for name in config.losses:
        motion, truth = in_space[LOSSES[name].space]
        value = LOSSES[name].function(truth[:, :, :10], motion[:, :, 10:], truth[:, :, 10:], population.data.skeleton)
        loss = loss + getattr(config, f"{name}_weight") * value.sum()
    update(population.generator_optimizer, loss)
    for averaged, current in zip(population.averaged.parameters(), population.generator.parameters(), strict=True):
        averaged.data = config.averaging * averaged.data + (1 - config.averaging) * current.data


@pytest.mark.parametrize("losses", [(), ("gt",), ("consistency", "bone"), ("gt", "consistency", "bone")], ids=str)
@pytest.mark.parametrize("residual", [False, True])
def test_the_step_is_the_naive_one(
    tiny: TrainingConfig, motion: MotionData, losses: tuple[str, ...], residual: bool
) -> None:
    config = replace(tiny, losses=losses, residual=residual, bone_weight=2.0, consistency_weight=3.0)
    ours = Observed(config, motion, [0], dtype=EXACT)
    naive = copy.deepcopy(ours)
    naive_optimizers(naive)
    for epoch in (1, 2):
        ours.train_steps(epoch, steps=3)
    for step in ours.seen:
        naive_step(naive, *step)
    for name, weight in networks(ours).items():
        torch.testing.assert_close(weight, networks(naive)[name], rtol=1e-6, atol=1e-6, msg=name)


def naive_optimizers(population: Population) -> None:
    """Optimisers of this copy's own weights, by torch's plain loop."""
    config = population.config
    for name in ("generator", "critic", "discriminator"):
        optimizer = torch.optim.Adam(
            getattr(population, name).parameters(),
            lr=getattr(config, f"{name}_learning_rate"),
            betas=(config.adam_beta1, config.adam_beta2),
            foreach=False,
        )
        setattr(population, f"{name}_optimizer", optimizer)


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
        for weight in population.averaged.head.parameters():
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
    assert z.shape == (2, 4, 500)
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
    config = replace(tiny, losses=("gt",), gt_weight=1e4, generator_learning_rate=1e-2)
    population = Population(config, motion, [0, 1])
    losses = torch.stack([population.train_epoch()["gt"] for _ in range(30)])
    assert (losses[-5:].mean(0) < 0.65 * losses[:5].mean(0)).all()


def test_held_out_people_are_never_trained_on(tiny: TrainingConfig, motion: MotionData) -> None:
    unread = replace(motion.test, frames=np.full_like(motion.test.frames, np.nan))
    blind = trained(tiny, replace(motion, validation=unread, test=unread), [0])
    assert_same_bits(networks(blind), networks(trained(tiny, motion, [0])))
