"""How weights start: ranges, deviations and constants of each kind of initialisation."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from hpgan_core.initialisation import FRAME_DEVIATION, LINEAR_DEVIATION, SMALL_HEAD, initialise
from hpgan_core.models import Critic, CriticSizes, Generator, GeneratorSizes, StackedGRU, StackedLinear
from hpgan_core.streams import streams

POSE, EMBEDDING, HIDDEN, Z, FRAMES = 75, 40, 60, 50, 9
SEEDS = (3, 5, 8)

every_decoder = pytest.mark.parametrize("decoder", ["hpgan", "report"])


def build_generator(kind: str, decoder: str = "hpgan", seeds: Sequence[int] = SEEDS) -> Generator:
    generators = streams(seeds, "generator")
    generator = Generator(generators, GeneratorSizes(POSE, EMBEDDING, HIDDEN, Z, 2), decoder, residual=False)
    initialise(generator, kind, generators)
    return generator


def build_critic(kind: str, embedding: int = EMBEDDING, seeds: Sequence[int] = SEEDS) -> Critic:
    generators = streams(seeds, "critic")
    critic = Critic(generators, FRAMES, CriticSizes(POSE, embedding, HIDDEN, 3), slope=0.01)
    initialise(critic, kind, generators)
    return critic


def assert_uniform(weights: Tensor, bound: float) -> None:
    """Of each member: within the bound, close to it, and spread as a uniform distribution."""
    for weight in weights.detach():
        assert 0.98 * bound < weight.abs().max() <= bound
        assert weight.mean().abs() < 0.1 * bound
        assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)


def assert_truncated_normal(weights: Tensor, deviation: float) -> None:
    """Of each member: nothing beyond two deviations, and less spread than without the cut, by the factor 0.8796."""
    for weight in weights.detach():
        assert 1.9 * deviation < weight.abs().max() <= 2 * deviation
        assert weight.mean().abs() < 0.1 * deviation
        assert weight.std().item() == pytest.approx(0.8796 * deviation, rel=0.05)


def linears(network: Generator | Critic) -> dict[str, StackedLinear]:
    """Linear maps by name, without those inside gated recurrent units."""
    return {
        name: part
        for name, part in network.named_modules()
        if isinstance(part, StackedLinear) and not any(word in name for word in ("encoder", "cells"))
    }


def recurrent(generator: Generator) -> list[StackedGRU]:
    return [part for part in generator.modules() if isinstance(part, StackedGRU)]


@every_decoder
def test_torchs_units_and_linear_maps_start_in_the_range_of_torchs_own(decoder: str) -> None:
    generator = build_generator("torch", decoder)
    units = recurrent(generator)
    assert [unit.hidden_size for unit in units] == [HIDDEN, HIDDEN if decoder == "hpgan" else POSE]
    for unit in units:
        theirs = nn.GRU(unit.inputs[0].weight.shape[1], unit.hidden_size, 2)
        bound = unit.hidden_size**-0.5
        assert max(weight.abs().max().item() for weight in theirs.parameters()) == pytest.approx(bound, rel=1e-2)
        for weight in unit.parameters():
            if weight.shape[1] > 1:
                assert_uniform(weight, bound)
            else:
                assert 0.9 * bound < weight.abs().max() <= bound
    assert len(linears(generator)) == (5 if decoder == "hpgan" else 2)
    for network in (generator, build_critic("torch"), build_critic("torch", embedding=0)):
        for layer in linears(network).values():
            n_in, n_out = layer.weight.shape[1:]
            bound = nn.Linear(n_in, 10_000).weight.abs().max().item()
            assert bound == pytest.approx(n_in**-0.5, rel=1e-2)
            if n_out > 1:
                assert_uniform(layer.weight, n_in**-0.5)
            if layer.bias is not None:
                assert layer.bias.abs().max() <= n_in**-0.5


def test_a_small_head_is_torchs_scaled_down_and_all_else_is_torchs() -> None:
    small, usual = (dict(build_generator(kind).named_parameters()) for kind in ("small_head", "torch"))
    for name, weight in usual.items():
        factor = SMALL_HEAD if name.startswith("decoder.head") else 1
        assert torch.equal(small[name], factor * weight), name
    assert SMALL_HEAD < 0.1


@pytest.mark.parametrize(
    "build", [lambda kind: build_generator(kind, "report"), build_critic], ids=["report", "critic"]
)
def test_where_there_is_no_head_a_small_head_changes_nothing(build: Callable[[str], nn.Module]) -> None:
    for small, usual in zip(build("small_head").parameters(), build("torch").parameters(), strict=True):
        assert torch.equal(small, usual)


@every_decoder
def test_the_originals_linear_maps_start_truncated_and_without_bias(decoder: str) -> None:
    for layer in linears(build_generator("original", decoder)).values():
        assert_truncated_normal(layer.weight, LINEAR_DEVIATION)
        assert layer.bias is None or not layer.bias.any()
    assert LINEAR_DEVIATION == 0.001


@every_decoder
def test_the_originals_units_start_as_tensorflows(decoder: str) -> None:
    """Its kernels map input and state together to both gates, and to the new state: Glorot's range, by their widths."""
    for unit in recurrent(build_generator("original", decoder)):
        hidden = unit.hidden_size
        for to_gates, from_state in zip(unit.inputs, unit.hidden, strict=True):
            n_in = to_gates.weight.shape[1] + hidden
            for layer in (to_gates, from_state):
                assert_uniform(layer.weight[..., : 2 * hidden], (6 / (n_in + 2 * hidden)) ** 0.5)
                assert_uniform(layer.weight[..., 2 * hidden :], (6 / (n_in + hidden)) ** 0.5)
            assert to_gates.bias is not None
            assert from_state.bias is not None
            bias = (to_gates.bias + from_state.bias).detach()
            assert (bias[..., : 2 * hidden] == 1).all()
            assert (bias[..., 2 * hidden :] == 0).all()


def test_the_originals_critic_starts_with_a_wide_frame_map_and_glorots_layers() -> None:
    critic = build_critic("original")
    assert critic.embed is not None
    assert_truncated_normal(critic.embed.weight, FRAME_DEVIATION)
    assert FRAME_DEVIATION == 1.0
    for layer in critic.layers:
        n_in, n_out = layer.weight.shape[1:]
        assert layer.weight.abs().max() <= (6 / (n_in + n_out)) ** 0.5
        if n_out > 1:
            assert_uniform(layer.weight, (6 / (n_in + n_out)) ** 0.5)
        assert layer.bias is not None
        assert not layer.bias.any()


@pytest.mark.parametrize("kind", ["torch", "small_head", "original"])
def test_a_member_starts_as_its_seed_does_alone(kind: str) -> None:
    for build in (build_generator, build_critic):
        together, alone = build(kind), build(kind, seeds=SEEDS[1:2])
        for stacked, single in zip(together.parameters(), alone.parameters(), strict=True):
            assert torch.equal(stacked[1:2], single)
        weights = [weight for weight in together.parameters() if weight.shape[1] > 1]
        assert all(not torch.equal(weight[0], weight[1]) for weight in weights)
