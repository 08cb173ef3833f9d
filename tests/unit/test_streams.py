"""Random streams: a function of seed, purpose and epoch, and of nothing else."""

from itertools import product

import torch

from hpgan_core.streams import PURPOSES, sample_normal, sample_uniform, stream, streams


def test_equal_arguments_give_equal_numbers() -> None:
    assert torch.equal(torch.rand(100, generator=stream(3, "z", 5)), torch.rand(100, generator=stream(3, "z", 5)))


def test_seeds_purposes_and_epochs_give_different_streams() -> None:
    seeds = [0, 1, 2, 2**32, 2**32 + 1, 2**33, 2**64 + 1, 2**96 + 1]
    states = [stream(*key).initial_seed() for key in product(seeds, PURPOSES, range(20))]
    assert len(set(states)) == len(seeds) * len(PURPOSES) * 20


def test_numbers_of_different_streams_are_uncorrelated() -> None:
    rows = torch.stack([torch.randn(4000, generator=stream(*key)) for key in product([0, 1], PURPOSES, [0, 1])])
    off_diagonal = torch.corrcoef(rows).fill_diagonal_(0)
    assert off_diagonal.abs().max() < 5 / 4000**0.5


def test_order_of_purposes_is_that_of_recorded_results() -> None:
    states = {purpose: stream(7, purpose, epoch=3).initial_seed() for purpose in PURPOSES}
    assert states == {
        "generator": 12497910435420262687,
        "critic": 9803347940192238913,
        "discriminator": 16681509959294556049,
        "windows": 17897042338980825752,
        "z": 13161679719528998573,
        "interpolation": 340586692367936171,
        "evaluation": 13867255081647942538,
        "critic_z": 12609251165296943334,
    }


def test_numbers_of_a_member_do_not_depend_on_its_neighbours() -> None:
    for sample in (sample_normal, sample_uniform):
        together, alone = sample(streams([4, 9], "z"), 3, 5), sample(streams([9], "z"), 3, 5)
        assert together.shape == (2, 3, 5)
        assert torch.equal(together[1], alone[0])


def test_uniform_numbers_stay_in_their_range() -> None:
    numbers = sample_uniform(streams([0], "z"), 10_000, low=-0.1, high=0.1)
    assert -0.1 <= numbers.min() < -0.0999
    assert 0.0999 < numbers.max() < 0.1
