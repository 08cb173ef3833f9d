"""Stacked networks: each member is the network it would be alone."""

import pytest
import torch
from torch import Tensor, nn

from hpgan_core.models import Critic, CriticSizes, Generator, GeneratorSizes, StackedGRU
from hpgan_core.streams import streams

POSE, HIDDEN, EMBEDDING, Z, FRAMES = 6, 5, 8, 3, 4

every_decoder = pytest.mark.parametrize("decoder", ["hpgan", "report"])


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)), dtype=torch.float64)


def build_generator(seeds: list[int], decoder: str = "hpgan", *, layers: int = 2, residual: bool = False) -> Generator:
    sizes = GeneratorSizes(POSE, EMBEDDING, HIDDEN, Z, layers)
    return Generator(streams(seeds, "generator"), sizes, decoder, residual).double()


def torch_gru(stacked: StackedGRU, member: int) -> nn.GRU:
    """torch's own GRU with the weights of one member."""
    weights = dict(stacked.named_parameters())
    n_in = weights["inputs.0.weight"].shape[1]
    gru = nn.GRU(n_in, stacked.hidden_size, len(stacked.inputs), batch_first=True).double()
    with torch.no_grad():
        for layer in range(gru.num_layers):
            for ours, theirs in (("inputs", "ih"), ("hidden", "hh")):
                getattr(gru, f"weight_{theirs}_l{layer}").copy_(weights[f"{ours}.{layer}.weight"][member].T)
                getattr(gru, f"bias_{theirs}_l{layer}").copy_(weights[f"{ours}.{layer}.bias"][member, 0])
    return gru


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_stacked_gru_is_torchs_gru_for_each_member(layers: int) -> None:
    stacked, rows = StackedGRU(streams([0, 1], "generator"), POSE, HIDDEN, layers).double(), random(2, 7, FRAMES, POSE)
    scanned = stacked.scan(rows.transpose(1, 2))
    for member in range(2):
        _, expected = torch_gru(stacked, member)(rows[member])
        for layer in range(layers):
            torch.testing.assert_close(scanned[layer][member], expected[layer])


def plain_future(generator: Generator, decoder: str, member: int, past: Tensor, z: Tensor) -> Tensor:
    """One future for each past of one member, frame by frame, from torch's own parts."""
    weights = {name: parameter[member] for name, parameter in generator.named_parameters()}

    def linear(rows: Tensor, name: str) -> Tensor:
        bias = weights.get(f"{name}.bias", torch.zeros(1, dtype=rows.dtype))
        return rows @ weights[f"{name}.weight"] + bias

    _, encoded = torch_gru(generator.encoder, member)(linear(past, "embed") if decoder == "hpgan" else past)
    if decoder == "hpgan":
        states = torch.stack([state + linear(z, f"decoder.from_z.{layer}") for layer, state in enumerate(encoded)])
        fed = linear(encoded[-1], "decoder.feed_back")
    else:
        states = torch.stack([linear(torch.cat([state, z], dim=1), "decoder.to_state") for state in encoded])
        fed = linear(encoded[-1], "decoder.to_input")
    cells, poses = torch_gru(generator.decoder.cells, member), []
    for _ in range(FRAMES):
        _, states = cells(fed.unsqueeze(1), states)
        fed = linear(states[-1], "decoder.feed_back") if decoder == "hpgan" else states[-1]
        poses.append(linear(states[-1], "decoder.head") if decoder == "hpgan" else states[-1])
    return torch.stack(poses, dim=1)


@every_decoder
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_generator_is_the_network_of_its_source_for_each_member(decoder: str, layers: int) -> None:
    generator = build_generator([0, 1], decoder, layers=layers)
    past, z = random(2, 7, 3, POSE), random(2, 7, 1, Z)
    found = generator(past, z, FRAMES)
    for member in range(2):
        expected = plain_future(generator, decoder, member, past[member], z[member, :, 0])
        torch.testing.assert_close(found[member, :, 0], expected)


@every_decoder
def test_residual_future_is_the_sum_of_its_steps(decoder: str) -> None:
    plain, residual = (build_generator([0, 1], decoder, residual=residual) for residual in (False, True))
    past, z = random(2, 7, 3, POSE), random(2, 7, 2, Z)
    expected = past[:, :, None, -1:] + plain(past, z, FRAMES).cumsum(dim=3)
    torch.testing.assert_close(residual(past, z, FRAMES), expected)


@every_decoder
@pytest.mark.parametrize("residual", [False, True])
def test_k_futures_at_once_are_k_separate_ones(decoder: str, residual: bool) -> None:
    generator = build_generator([0, 1], decoder, residual=residual)
    past, z = random(2, 7, 3, POSE), random(2, 7, 8, Z)
    together = generator(past, z, FRAMES)
    assert together.shape == (2, 7, 8, FRAMES, POSE)
    for future in range(8):
        separate = generator(past, z[:, :, future : future + 1], FRAMES)
        torch.testing.assert_close(together[:, :, future : future + 1], separate)


@every_decoder
def test_z_and_every_past_frame_change_the_future(decoder: str) -> None:
    generator, past, z = build_generator([0], decoder), random(1, 2, 3, POSE), random(1, 2, 1, Z)
    predicted = generator(past, z, FRAMES)
    assert not torch.allclose(predicted, generator(past, z + 1, FRAMES))
    for frame in range(3):
        changed = past.clone()
        changed[:, :, frame] += 1
        assert not torch.allclose(predicted, generator(changed, z, FRAMES))


@every_decoder
def test_a_member_is_the_network_of_its_seed_alone(decoder: str) -> None:
    past, z = random(3, 7, 3, POSE), random(3, 7, 2, Z)
    together, alone = build_generator([4, 8, 6], decoder), build_generator([8], decoder)
    for stacked, single in zip(together.parameters(), alone.parameters(), strict=True):
        assert torch.equal(stacked[1:2], single)
    torch.testing.assert_close(together(past, z, FRAMES)[1:2], alone(past[1:2], z[1:2], FRAMES))


@every_decoder
def test_another_members_weights_change_nothing(decoder: str) -> None:
    generator, past, z = build_generator([0, 1], decoder), random(2, 7, 3, POSE), random(2, 7, 2, Z)
    before = generator(past, z, FRAMES)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter[1] = torch.nan
    after = generator(past, z, FRAMES)
    assert torch.equal(before[0], after[0])
    assert after[1].isnan().all()


def test_without_changes_a_residual_future_is_the_last_pose() -> None:
    generator, past, z = build_generator([0, 1], residual=True), random(2, 7, 3, POSE), random(2, 7, 2, Z)
    with torch.no_grad():
        for parameter in generator.decoder.head.parameters():
            parameter.zero_()
    assert torch.equal(generator(past, z, FRAMES), past[:, :, None, -1:].expand(2, 7, 2, FRAMES, POSE))


def test_the_reports_future_stays_between_its_start_and_one() -> None:
    """Its poses are states of gated recurrent units: |state| <= max(1, |start|)."""
    generator, past, z = build_generator([0], "report"), 50 * random(1, 7, 3, POSE), 50 * random(1, 7, 1, Z)
    states = [generator.decoder.to_state(torch.cat([state, z[:, :, 0]], dim=-1)) for state in generator.encode(past)]
    most = states[-1].abs().clamp_min(1).unsqueeze(2)
    assert (states[-1].abs() > 1).any()
    assert (generator(past, z, 50)[:, :, 0].abs() <= most).all()


@every_decoder
def test_the_first_frames_of_a_longer_future_are_the_shorter_future(decoder: str) -> None:
    generator, past, z = build_generator([0], decoder, residual=True), random(1, 7, 3, POSE), random(1, 7, 2, Z)
    torch.testing.assert_close(generator(past, z, 9)[:, :, :, :FRAMES], generator(past, z, FRAMES))


def build_critic(layers: int, embedding: int = 0, slope: float = 0.01) -> Critic:
    return Critic(streams([0, 1], "critic"), FRAMES, CriticSizes(POSE, embedding, HIDDEN, layers), slope).double()


@pytest.mark.parametrize("slope", [0.0, 0.2])
@pytest.mark.parametrize("embedding", [0, 3])
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_critic_is_a_plain_network_for_each_member(layers: int, embedding: int, slope: float) -> None:
    critic, motion = build_critic(layers, embedding, slope), random(2, 7, FRAMES * POSE)
    values = critic(motion)
    assert values.shape == (2, 7)
    for member in range(2):
        rows = motion[member]
        if critic.embed is not None:
            rows = (rows.view(7, FRAMES, POSE) @ critic.embed.weight[member]).flatten(1)
        for layer in critic.layers:
            weight, bias = (parameter[member] for parameter in layer.parameters())
            rows = nn.functional.leaky_relu(rows @ weight + bias, slope if layer is not critic.layers[-1] else 1)
        torch.testing.assert_close(values[member], rows.squeeze(1))


@pytest.mark.parametrize("slope", [0.0, 0.01, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_errors_below_the_activation_are_times_the_derivative_of_leaky_relu(dtype: torch.dtype, slope: float) -> None:
    outputs = torch.tensor([-2.0, -1e-30, 0.0, 1e-30, 2.0], dtype=dtype, requires_grad=True)
    errors = torch.tensor([3.0, -5.0, 7.0, 11.0, -13.0], dtype=dtype)
    (expected,) = torch.autograd.grad(nn.functional.leaky_relu(outputs, slope), outputs, errors)
    assert torch.equal(build_critic(1, slope=slope).below_activation(errors, outputs.detach()), expected)
