"""The closed-form gradients against autograd's double backward."""

import pytest
import torch
from torch import Tensor

from hpgan_core.models import Critic, CriticSizes, Generator, GeneratorSizes
from hpgan_core.streams import streams
from hpgan_core.wgan_gp import accumulate_critic_gradients, input_gradient

FRAMES, POSE, BATCH = 7, 3, 5
N_IN = FRAMES * POSE

every_shape = pytest.mark.parametrize(
    ("layers", "embedding", "slope"), [(1, 0, 0.01), (2, 0, 0.0), (3, 0, 0.2), (4, 0, 0.01), (1, 4, 0.2), (3, 4, 0.0)]
)


def build_critic(members: int, layers: int, embedding: int = 0, slope: float = 0.01) -> Critic:
    sizes = CriticSizes(POSE, embedding, hidden=9, layers=layers)
    critic = Critic(streams(range(members), "critic"), FRAMES, sizes, slope).double()
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.mul_(3)  # slopes near 1, as in training, where the guard against a norm of 0 weighs nothing
    return critic


def motions(members: int, mixed: int = BATCH) -> tuple[Tensor, Tensor, Tensor]:
    """Real windows, generated windows and the share of the real ones in their interpolates."""
    random = torch.Generator().manual_seed(1)
    real, fake = 3 * torch.randn(2, members, BATCH, N_IN, generator=random, dtype=torch.float64)
    return real, fake, torch.rand(members, mixed, 1, generator=random, dtype=torch.float64)


def loss_by_definition(
    critic: Critic, real: Tensor, fake: Tensor, mix: Tensor, lambda_gp: Tensor, by_frame: bool
) -> tuple[Tensor, Tensor, Tensor]:
    interpolates = (mix * real + (1 - mix) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(interpolates).sum(), interpolates, create_graph=True)
    penalised = gradient.unflatten(2, (FRAMES, POSE)) if by_frame else gradient.unsqueeze(2)
    penalty = (penalised.norm(dim=-1) - 1).square().mean(dim=(1, 2))
    difference = critic(fake).mean(1) - critic(real).mean(1)
    return (difference + lambda_gp * penalty).sum(), difference, penalty


@every_shape
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("by_frame", [False, True])
@pytest.mark.parametrize("mixed", [1, BATCH])
def test_closed_form_equals_double_backward(
    members: int, layers: int, embedding: int, slope: float, by_frame: bool, mixed: int
) -> None:
    critic, (real, fake, mix) = build_critic(members, layers, embedding, slope), motions(members, mixed)
    lambda_gp = torch.tensor([10.0, 0.0, 0.3], dtype=torch.float64)[:members]
    loss, difference, penalty = loss_by_definition(critic, real, fake, mix, lambda_gp, by_frame)
    expected = torch.autograd.grad(loss, list(critic.parameters()))
    found_difference, found_penalty = accumulate_critic_gradients(critic, real, fake, mix, lambda_gp, by_frame)
    torch.testing.assert_close(found_difference, difference, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found_penalty, penalty, rtol=1e-10, atol=1e-10)
    for (name, parameter), gradient in zip(critic.named_parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-9, msg=name)


@every_shape
def test_gradients_are_overwritten_not_summed(layers: int, embedding: int, slope: float) -> None:
    critic, (real, fake, mix) = build_critic(2, layers, embedding, slope), motions(2)
    lambda_gp = torch.ones(2, dtype=torch.float64)
    accumulate_critic_gradients(critic, real, fake, mix, lambda_gp)
    once = [parameter.grad.clone() for parameter in critic.parameters() if parameter.grad is not None]
    accumulate_critic_gradients(critic, real, fake, mix, lambda_gp)
    twice = [parameter.grad for parameter in critic.parameters() if parameter.grad is not None]
    assert len(once) == len(twice) == 2 * layers + 2 + (embedding > 0)
    assert all(map(torch.equal, once, twice))


@every_shape
def test_input_gradient_is_that_of_autograd(layers: int, embedding: int, slope: float) -> None:
    critic, (real, _, _) = build_critic(3, layers, embedding, slope), motions(3)
    (expected,) = torch.autograd.grad(critic(real.requires_grad_()).sum(), real)
    torch.testing.assert_close(input_gradient(critic, real), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("decoder", ["hpgan", "report"])
def test_critic_step_leaves_the_generator_without_gradients(decoder: str) -> None:
    sizes = GeneratorSizes(POSE, embedding=4, hidden=4, z=2, layers=1)
    generator = Generator(streams([0, 1], "generator"), sizes, decoder, residual=True).double()
    past = torch.ones(2, BATCH, 2, POSE, dtype=torch.float64)
    predicted = generator(past, torch.ones(2, BATCH, 1, 2, dtype=torch.float64), FRAMES - 2).squeeze(2)
    fake = torch.cat([past, predicted], dim=2).flatten(2)
    assert fake.requires_grad
    critic, (real, _, mix) = build_critic(2, 2), motions(2)
    accumulate_critic_gradients(critic, real, fake, mix, torch.ones(2, dtype=torch.float64))
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert all(parameter.grad is not None for parameter in critic.parameters())


@pytest.mark.parametrize("by_frame", [False, True])
@pytest.mark.parametrize("embedding", [0, 4])
def test_a_perfectly_flat_critic_has_finite_gradients(by_frame: bool, embedding: int) -> None:
    critic, (real, fake, mix) = build_critic(1, 2, embedding), motions(1)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.zero_()
    _, penalty = accumulate_critic_gradients(critic, real, fake, mix, torch.ones(1, dtype=torch.float64), by_frame)
    assert penalty.item() == pytest.approx(1, abs=1e-5)
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in critic.parameters())
