"""Stacked networks: each member is the network it would be alone."""

import pytest
import torch
from torch import Tensor, nn

from hpgan_core.models import LEAK, Critic, Generator, StackedGRU, slopes
from hpgan_core.streams import streams

POSE, HIDDEN, Z, FRAMES = 6, 5, 3, 4


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)), dtype=torch.float64)


def build_generator(seeds: list[int], *, layers: int = 2, residual: bool = False) -> Generator:
    return Generator(streams(seeds, "generator"), POSE, HIDDEN, layers, Z, residual).double()


def torch_gru(stacked: StackedGRU, member: int) -> nn.GRU:
    """torch's own GRU with the weights of one member."""
    weights = dict(stacked.named_parameters())
    n_in = weights["inputs.0.weight"].shape[1]
    gru = nn.GRU(n_in, HIDDEN, len(stacked.inputs), batch_first=True).double()
    with torch.no_grad():
        for layer in range(gru.num_layers):
            for ours, theirs in (("inputs", "ih"), ("hidden", "hh")):
                getattr(gru, f"weight_{theirs}_l{layer}").copy_(weights[f"{ours}.{layer}.weight"][member].T)
                getattr(gru, f"bias_{theirs}_l{layer}").copy_(weights[f"{ours}.{layer}.bias"][member, 0])
    return gru


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_stacked_gru_is_torchs_gru_for_each_member(layers: int) -> None:
    stacked, rows = StackedGRU(streams([0, 1], "generator"), POSE, HIDDEN, layers).double(), random(2, 7, FRAMES, POSE)
    scanned = stacked.scan(rows)
    states = [torch.zeros(2, 7, HIDDEN, dtype=torch.float64)] * layers
    for frame in rows.unbind(2):
        states = stacked.step(frame, states)
    for member in range(2):
        _, expected = torch_gru(stacked, member)(rows[member])
        for layer in range(layers):
            torch.testing.assert_close(scanned[layer][member], expected[layer])
            torch.testing.assert_close(states[layer][member], expected[layer])


def plain_generator(generator: Generator, member: int, past: Tensor, z: Tensor) -> Tensor:
    """One future for each past of one member, frame by frame as the original describes it, from torch's own parts."""
    weights = {name: parameter[member] for name, parameter in generator.named_parameters()}

    def linear(rows: Tensor, name: str) -> Tensor:
        bias = weights.get(f"{name}.bias", torch.zeros(1, dtype=rows.dtype))
        return rows @ weights[f"{name}.weight"] + bias

    _, states = torch_gru(generator.encoder, member)(linear(past, "embed"))
    decoder, output = torch_gru(generator.decoder, member), states[-1]
    states = torch.stack([state + linear(z, f"from_z.{layer}") for layer, state in enumerate(states)])
    poses = []
    for _ in range(FRAMES):
        frame, states = decoder(linear(output, "feed_back").unsqueeze(1), states)
        output = frame.squeeze(1)
        poses.append(linear(output, "head"))
    return torch.stack(poses, dim=1)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_generator_is_the_original_network_for_each_member(layers: int) -> None:
    generator, past, z = build_generator([0, 1], layers=layers), random(2, 7, 3, POSE), random(2, 7, 1, Z)
    torch.nn.init.normal_(generator.head.weight)
    found = generator(past, z, FRAMES)
    for member in range(2):
        expected = plain_generator(generator, member, past[member], z[member, :, 0])
        torch.testing.assert_close(found[member, :, 0], expected)


def test_residual_future_is_the_sum_of_its_steps() -> None:
    plain, residual = (build_generator([0, 1], residual=residual) for residual in (False, True))
    past, z = random(2, 7, 3, POSE), random(2, 7, 2, Z)
    expected = past[:, :, None, -1:] + plain(past, z, FRAMES).cumsum(dim=3)
    torch.testing.assert_close(residual(past, z, FRAMES), expected)


@pytest.mark.parametrize("residual", [False, True])
def test_k_futures_at_once_are_k_separate_ones(residual: bool) -> None:
    generator, past, z = build_generator([0, 1], residual=residual), random(2, 7, 3, POSE), random(2, 7, 8, Z)
    together = generator(past, z, FRAMES)
    assert together.shape == (2, 7, 8, FRAMES, POSE)
    for future in range(8):
        separate = generator(past, z[:, :, future : future + 1], FRAMES)
        torch.testing.assert_close(together[:, :, future : future + 1], separate)


def test_z_and_the_past_change_the_future() -> None:
    generator, past, z = build_generator([0]), random(1, 2, 3, POSE), random(1, 2, 1, Z)
    predicted = generator(past, z, FRAMES)
    assert not torch.allclose(predicted, generator(past, z + 1, FRAMES))
    assert not torch.allclose(predicted, generator(past + 1, z, FRAMES))


def test_a_member_is_the_network_of_its_seed_alone() -> None:
    past, z = random(3, 7, 3, POSE), random(3, 7, 2, Z)
    together, alone = build_generator([4, 8, 6]), build_generator([8])
    for stacked, single in zip(together.parameters(), alone.parameters(), strict=True):
        assert torch.equal(stacked[1:2], single)
    torch.testing.assert_close(together(past, z, FRAMES)[1:2], alone(past[1:2], z[1:2], FRAMES))


def test_another_members_weights_change_nothing() -> None:
    generator, past, z = build_generator([0, 1]), random(2, 7, 3, POSE), random(2, 7, 2, Z)
    before = generator(past, z, FRAMES)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter[1] = torch.nan
    after = generator(past, z, FRAMES)
    assert torch.equal(before[0], after[0])
    assert after[1].isnan().all()


def test_residual_future_starts_at_the_last_pose() -> None:
    generator, past, z = build_generator([0, 1], residual=True), random(2, 7, 3, POSE), random(2, 7, 2, Z)
    first_step = generator(past, z, FRAMES)[:, :, :, 0] - past[:, :, None, -1]
    assert first_step.abs().max() < 0.05
    with torch.no_grad():
        for parameter in generator.head.parameters():
            parameter.zero_()
    assert torch.equal(generator(past, z, FRAMES), past[:, :, None, -1:].expand(2, 7, 2, FRAMES, POSE))


def test_the_first_frames_of_a_longer_future_are_the_shorter_future() -> None:
    generator, past, z = build_generator([0], residual=True), random(1, 7, 3, POSE), random(1, 7, 2, Z)
    torch.testing.assert_close(generator(past, z, 9)[:, :, :, :FRAMES], generator(past, z, FRAMES))


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_critic_is_a_plain_network_for_each_member(layers: int) -> None:
    critic, motion = Critic(streams([0, 1], "critic"), 10, HIDDEN, layers).double(), random(2, 7, 10)
    values = critic(motion)
    assert values.shape == (2, 7)
    for member in range(2):
        rows = motion[member]
        for layer in critic.layers:
            weight, bias = (parameter[member] for parameter in layer.parameters())
            rows = nn.functional.leaky_relu(rows @ weight + bias, LEAK if layer is not critic.layers[-1] else 1)
        torch.testing.assert_close(values[member], rows.squeeze(1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slopes_are_the_derivative_of_leaky_relu(dtype: torch.dtype) -> None:
    inputs = torch.tensor([-2.0, -1e-30, 0.0, 1e-30, 2.0], dtype=dtype, requires_grad=True)
    (expected,) = torch.autograd.grad(nn.functional.leaky_relu(inputs, LEAK).sum(), inputs)
    assert torch.equal(slopes(inputs.detach()), expected)
