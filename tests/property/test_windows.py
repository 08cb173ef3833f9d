"""Windows of any clips lie inside their clip, and normalisation of any motion can be undone."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from hpgan_core.config import CHOICES
from hpgan_core.normalise import Normaliser
from hpgan_core.streams import stream
from hpgan_core.windows import Clips

LENGTHS = st.lists(st.integers(30, 70), min_size=1, max_size=6)


def clips_of(lengths: list[int]) -> Clips:
    ends = np.cumsum(lengths)
    return Clips(
        np.zeros((ends[-1], 1, 3), np.float32),
        ends - lengths,
        np.array(lengths),
        np.full(len(lengths), "walk"),
        np.full(len(lengths), "P001"),
    )


@given(LENGTHS, st.integers(0, 2**63), st.integers(0, 99))
def test_each_clip_gives_one_random_window_inside_it(lengths: list[int], seed: int, epoch: int) -> None:
    clips, random = clips_of(lengths), stream(seed, "windows", epoch)
    starts = np.sort(clips.epoch_starts(30, order=random, crop=random).numpy())
    assert (starts >= clips.starts).all()
    assert (starts + 30 <= clips.starts + clips.lengths).all()


@given(LENGTHS, st.integers(0, 2**63))
def test_a_centred_window_leaves_as_much_before_it_as_after_it_or_a_frame_less(lengths: list[int], seed: int) -> None:
    clips = clips_of(lengths)
    starts = np.sort(clips.epoch_starts(30, order=stream(seed, "windows"), crop=None).numpy())
    before = starts - clips.starts
    after = clips.starts + clips.lengths - (starts + 30)
    assert np.isin(after - before, (0, 1)).all()


@given(LENGTHS, st.integers(0, 2**63), st.integers(1, 99))
def test_the_order_of_the_clips_is_its_generators_alone(lengths: list[int], seed: int, epoch: int) -> None:
    clips = clips_of(lengths)
    ends = torch.from_numpy(clips.starts + clips.lengths)
    crops = (None, stream(seed, "windows", epoch), stream(seed, "windows", epoch + 1))
    orders = [
        torch.bucketize(clips.epoch_starts(30, order=stream(seed, "windows"), crop=crop), ends, right=True)
        for crop in crops
    ]
    assert torch.equal(orders[0], orders[1])
    assert torch.equal(orders[0], orders[2])
    assert sorted(orders[0].tolist()) == list(range(len(lengths)))


@given(LENGTHS, st.integers(1, 40), st.integers(1, 20))
def test_strided_windows_are_even_inside_their_clips_and_at_most_so_many(
    lengths: list[int], stride: int, most: int
) -> None:
    clips = clips_of(lengths)
    expected = [
        start + offset
        for start, length in zip(clips.starts.tolist(), lengths, strict=True)
        for offset in range(0, length, stride)
        if offset + 30 <= length
    ]
    assert clips.strided_starts(stride, 30).tolist() == expected
    selected = clips.strided_starts(stride, 30, most).tolist()
    assert len(set(selected)) == len(selected) == min(most, len(expected))
    assert set(selected) <= set(expected)


@given(st.sampled_from(CHOICES["normalisation"]), st.integers(0, 2**32), st.floats(1e-3, 10), st.floats(-10, 10))
def test_normalisation_can_be_undone(kind: str, seed: int, size_m: float, place_m: float) -> None:
    random = torch.Generator().manual_seed(seed)
    windows = size_m * torch.randn(3, 8, 4, 3, generator=random, dtype=torch.float64) + place_m
    normaliser = Normaliser.fit(windows, past_frames=5, kind=kind, root=2).to("cpu", torch.float64)
    anchor = normaliser.anchor(windows[:, :5])
    restored = normaliser.metres(normaliser.normalise(windows, anchor), anchor)
    torch.testing.assert_close(restored, windows, rtol=1e-12, atol=1e-12)
