"""The critic's closed-form update against autograd's double backward."""

import pytest
import torch
from torch import Tensor

from hpgan_core import sweeps
from hpgan_core.adam import Adam
from hpgan_core.models import Critic, CriticSizes, Generator, GeneratorSizes
from hpgan_core.streams import streams
from hpgan_core.wgan_gp import train_critic, values_and_gradients

PAST, FUTURE, POSE, BATCH = 3, 4, 3, 5
FRAMES = PAST + FUTURE

every_shape = pytest.mark.parametrize(
    ("layers", "embedding", "slope"), [(1, 0, 0.01), (2, 0, 0.0), (3, 0, 0.2), (4, 0, 0.01), (1, 4, 0.2), (3, 4, 0.0)]
)
# Frames a block of the first layer: each by itself, some left over, all of them.
every_block = pytest.mark.parametrize("block", [1, 3, 10])


def build_critic(members: int, layers: int, embedding: int = 0, slope: float = 0.01) -> Critic:
    sizes = CriticSizes(POSE, embedding, hidden=9, layers=layers)
    critic = Critic(streams(range(members), "critic"), FRAMES, sizes, slope).double()
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.mul_(3)  # slopes near 1, as in training
    return critic


def join(past: Tensor, future: Tensor) -> Tensor:
    """Windows as the critic sees them, ``(S, B, frames D)``."""
    return torch.cat([past, future], dim=2).flatten(2)


def observer(critic: Critic) -> Adam:
    """An optimizer that moves nothing, and whose running means are the last gradients."""
    return Adam(critic, learning_rate=0.0, betas=(0.0, 0.9))


def motions(members: int, mixed: int = BATCH, iterations: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Past, future, generated future for each iteration, and the share of the real one in interpolates."""
    random = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return 3 * torch.randn(members, BATCH, *shape, POSE, generator=random, dtype=torch.float64)

    mixes = torch.rand(members, mixed, iterations, generator=random, dtype=torch.float64)
    return normal(PAST), normal(FUTURE), normal(iterations, FUTURE), mixes


def loss_by_definition(
    critic: Critic, real: Tensor, fake: Tensor, mix: Tensor, lambda_gp: Tensor, by_frame: bool
) -> tuple[Tensor, Tensor, Tensor]:
    interpolates = (mix * real + (1 - mix) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(interpolates).sum(), interpolates, create_graph=True)
    penalised = gradient.unflatten(2, (FRAMES, POSE)) if by_frame else gradient.unsqueeze(2)
    norm = (penalised.square().sum(-1) + sweeps.NORM_EPSILON).sqrt()
    penalty = (norm - 1).square().mean(dim=(1, 2))
    difference = critic(fake).mean(1) - critic(real).mean(1)
    return (difference + lambda_gp * penalty).sum(), difference, penalty


@every_shape
@every_block
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("by_frame", [False, True])
@pytest.mark.parametrize("mixed", [1, BATCH])
@pytest.mark.parametrize("iterations", [1, 3])
def test_closed_form_equals_double_backward(
    monkeypatch: pytest.MonkeyPatch,
    layers: int,
    embedding: int,
    slope: float,
    block: int,
    members: int,
    by_frame: bool,
    mixed: int,
    iterations: int,
) -> None:
    monkeypatch.setattr(sweeps, "FRAMES_PER_BLOCK", block)
    critic = build_critic(members, layers, embedding, slope)
    past, future, generated, mixes = motions(members, mixed, iterations)
    lambda_gp = torch.tensor([10.0, 0.0, 0.3], dtype=torch.float64)[:members]
    last = join(past, generated[:, :, -1]), mixes[:, :, -1:]
    loss, difference, penalty = loss_by_definition(critic, join(past, future), *last, lambda_gp, by_frame)
    expected = torch.autograd.grad(loss, list(critic.parameters()))
    optimizer = observer(critic)
    found = train_critic(critic, optimizer, past, future, generated, mixes, lambda_gp, by_frame)
    torch.testing.assert_close(found, (difference.detach(), penalty.detach()), rtol=1e-10, atol=1e-10)
    for (name, found_gradient), gradient in zip(optimizer.means.items(), expected, strict=True):
        torch.testing.assert_close(found_gradient, gradient, rtol=1e-9, atol=1e-9, msg=name)
    assert optimizer.updates.tolist() == [iterations] * len(optimizer.updates)


@every_shape
@every_block
def test_each_iteration_sees_what_the_one_before_has_learned(
    monkeypatch: pytest.MonkeyPatch, layers: int, embedding: int, slope: float, block: int
) -> None:
    monkeypatch.setattr(sweeps, "FRAMES_PER_BLOCK", block)
    together, apart = (build_critic(2, layers, embedding, slope) for _ in range(2))
    optimizers = [Adam(critic, 0.01, (0.5, 0.9), weight_decay=0.1) for critic in (together, apart)]
    past, future, generated, mixes = motions(2, iterations=3)
    lambda_gp = torch.ones(2, dtype=torch.float64)
    train_critic(together, optimizers[0], past, future, generated, mixes, lambda_gp)
    for n in range(3):
        shown = generated[:, :, n : n + 1]
        train_critic(apart, optimizers[1], past, future, shown, mixes[..., n : n + 1], lambda_gp)
    for weight, expected in zip(together.parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(weight, expected, rtol=1e-10, atol=1e-10)


@every_shape
def test_gradients_of_values_are_those_of_autograd(layers: int, embedding: int, slope: float) -> None:
    critic, (past, future, _, _) = build_critic(3, layers, embedding, slope), motions(3)
    future.requires_grad_()
    expected = critic(join(past, future))
    values, gradients = values_and_gradients(critic, past, future)
    torch.testing.assert_close(values, expected.detach(), rtol=1e-12, atol=1e-12)
    (expected_gradients,) = torch.autograd.grad(expected.sum(), future)
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("decoder", ["hpgan", "report"])
def test_critic_updates_leave_the_generator_without_gradients(decoder: str) -> None:
    sizes = GeneratorSizes(POSE, embedding=4, hidden=4, z=2, layers=1)
    generator = Generator(streams([0, 1], "generator"), sizes, decoder, residual=True).double()
    past, future, _, mixes = motions(2)
    generated = generator(past, torch.ones(2, BATCH, 1, 2, dtype=torch.float64), FUTURE)
    assert generated.requires_grad
    critic = build_critic(2, 2)
    train_critic(critic, observer(critic), past, future, generated, mixes, torch.ones(2, dtype=torch.float64))
    assert all(parameter.grad is None for parameter in generator.parameters())


@every_block
@pytest.mark.parametrize("by_frame", [False, True])
@pytest.mark.parametrize("embedding", [0, 4])
def test_a_perfectly_flat_critic_has_finite_gradients(
    monkeypatch: pytest.MonkeyPatch, by_frame: bool, embedding: int, block: int
) -> None:
    monkeypatch.setattr(sweeps, "FRAMES_PER_BLOCK", block)
    critic = build_critic(1, 2, embedding)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.zero_()
    optimizer = observer(critic)
    _, penalty = train_critic(critic, optimizer, *motions(1), torch.ones(1, dtype=torch.float64), by_frame)
    assert penalty.item() == pytest.approx(1, abs=1e-5)
    assert all(gradient.isfinite().all() for gradient in optimizer.means.values())
