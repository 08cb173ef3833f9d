"""Windows: cut where they should be, from people of one split alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hpgan_core.data.recordings import Recording, Recordings
from hpgan_core.errors import BadInput, SealedTestSplit
from hpgan_core.skeleton import KINECT_V2
from hpgan_core.streams import stream
from hpgan_core.windows import Clips, MotionData, build_motion_data, gather, join

WINDOW = 30


def clips_of(*lengths: int) -> Clips:
    """Clips whose every coordinate is the number of the frame among all frames."""
    numbers = iter(range(sum(lengths)))
    recordings = []
    for length in lengths:
        frames = np.array([next(numbers) for _ in range(length)], dtype=np.float32)
        recordings.append(Recording("clip", "P001", "walk", np.broadcast_to(frames[:, None, None], (length, 25, 3))))
    return join(recordings)


def random_starts(clips: Clips, epoch: int) -> torch.Tensor:
    """The starts of one epoch, order and places drawn by one generator."""
    generator = stream(0, "windows", epoch)
    return clips.epoch_starts(WINDOW, generator, generator)


def recordings_of(subjects: dict[str, int]) -> Recordings:
    """One clip of so many frames for each subject."""
    clips = [Recording(f"{name}A001", name, "A001", np.zeros((n, 25, 3), np.float32)) for name, n in subjects.items()]
    return Recordings(KINECT_V2, 30.0, tuple(clips))


def test_a_clip_of_exactly_one_window_has_one_start() -> None:
    clips = clips_of(WINDOW, WINDOW)
    assert clips.strided_starts(10, WINDOW).tolist() == [0, WINDOW]
    starts = {start for epoch in range(20) for start in random_starts(clips, epoch).tolist()}
    assert starts == {0, WINDOW}


def test_random_windows_reach_the_first_and_the_last_start_and_none_beyond() -> None:
    clips = clips_of(WINDOW + 3, WINDOW + 1)
    drawn = [random_starts(clips, epoch).tolist() for epoch in range(200)]
    assert {start for starts in drawn for start in starts} == {0, 1, 2, 3, 33, 34}
    counts = [sum(start in starts for starts in drawn) for start in (0, 1, 2, 3)]
    assert min(counts) > 25  # 50 each on average


def test_an_epoch_has_one_window_of_every_clip_in_an_order_of_its_own() -> None:
    clips = clips_of(*[WINDOW + 5] * 12)
    first, again, second = (random_starts(clips, epoch) // 35 for epoch in (1, 1, 2))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(12))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert set(first[:4].tolist()) != set(second[:4].tolist())


@pytest.mark.parametrize(("length", "starts"), [(39, [0]), (40, [0, 10]), (49, [0, 10]), (50, [0, 10, 20])])
def test_strided_windows_end_with_the_clip(length: int, starts: list[int]) -> None:
    assert clips_of(length).strided_starts(10, WINDOW).tolist() == starts


def test_windows_never_cross_from_one_clip_into_the_next() -> None:
    clips = clips_of(45, 33, 30)
    starts = clips.strided_starts(1, WINDOW)
    assert len(starts) == 16 + 4 + 1
    windows = gather(torch.tensor(clips.frames), starts, WINDOW)[:, :, 0, 0]
    ends = torch.tensor([45, 78, 108])
    first_clip, last_clip = (torch.bucketize(windows[:, frame].long(), ends, right=True) for frame in (0, -1))
    assert torch.equal(first_clip, last_clip)


def test_an_even_selection_keeps_both_ends() -> None:
    clips = clips_of(130)
    every = clips.strided_starts(10, WINDOW).tolist()
    assert len(every) == 11
    assert clips.strided_starts(10, WINDOW, most=6).tolist() == every[::2]
    assert clips.strided_starts(10, WINDOW, most=11).tolist() == every
    assert clips.strided_starts(10, WINDOW, most=99).tolist() == every


def test_gather_takes_consecutive_frames_for_any_shape_of_starts() -> None:
    frames = torch.tensor(clips_of(50).frames)
    windows = gather(frames, torch.tensor([[0, 7], [20, 3]]), WINDOW)
    assert windows.shape == (2, 2, WINDOW, 25, 3)
    assert torch.equal(windows[1, 0], frames[20:50])


def test_sealed_data_is_the_same_data_without_its_test_split(motion: MotionData) -> None:
    sealed = motion.sealed()
    assert sealed.digest == motion.digest
    assert sealed.train is motion.train
    with pytest.raises(SealedTestSplit, match="the test split is sealed"):
        len(sealed.test)
    assert len(motion.test) > 0


def test_people_are_in_one_split_alone(recordings: Recordings, motion: MotionData) -> None:
    splits = [motion.train, motion.validation, motion.test]
    people = []
    for clips in splits:
        frames = [clips.frames[start : start + n] for start, n in zip(clips.starts, clips.lengths, strict=True)]
        people.append(
            {clip.subject for clip in recordings.clips if any(np.array_equal(clip.positions, part) for part in frames)}
        )
    assert [len(clips) for clips in splits] == [15, 5, 5]
    assert [len(subjects) for subjects in people] == [3, 1, 1]
    assert set.union(*people) == set(recordings.subjects)


def test_clips_shorter_than_a_window_are_left_out() -> None:
    subjects = {f"P{person:03d}": 30 for person in range(1, 11)}
    whole = build_motion_data(recordings_of(subjects))
    assert len(whole.train) == 6
    short = {clip: 29 if clip == "P001" else 30 for clip in subjects}
    parts = build_motion_data(recordings_of(short))
    assert len(parts.train) + len(parts.validation) + len(parts.test) == 9


def test_a_split_without_a_long_clip_is_refused_with_its_people() -> None:
    with pytest.raises(BadInput, match=r"split \(P\d{3}\) has no clip of 30 frames or more \(0 of 3 clips"):
        build_motion_data(recordings_of({"P001": 29, "P002": 29, "P003": 29}))


def test_digest_tells_other_recordings_and_other_splits_apart(recordings: Recordings, motion: MotionData) -> None:
    assert build_motion_data(recordings).digest == motion.digest
    moved = replace(recordings.clips[0], positions=recordings.clips[0].positions + np.float32(1e-6))
    others = [
        build_motion_data(replace(recordings, clips=(moved, *recordings.clips[1:]))),
        build_motion_data(recordings, seed=1),
        build_motion_data(recordings, test=0.4),
        build_motion_data(recordings, protocol="ntu60_cross_subject"),
    ]
    assert len({motion.digest, *(other.digest for other in others)}) == 5


def test_an_official_protocol_says_who_is_tested(recordings: Recordings) -> None:
    official = build_motion_data(recordings, protocol="ntu60_cross_subject")
    # P001, P002, P004 and P005 are on the training side, P003 is tested.
    assert [len(clips) for clips in (official.train, official.validation, official.test)] == [15, 5, 5]
    tested = [clip.positions for clip in recordings.clips if clip.subject == "P003"]
    assert np.array_equal(official.test.frames, np.concatenate(tested))


def test_read_only_memory_is_enough(motion: MotionData) -> None:
    frames, starts, lengths = (
        array.copy() for array in (motion.train.frames, motion.train.starts, motion.train.lengths)
    )
    for array in (frames, starts, lengths):
        array.flags.writeable = False
    shared = Clips(frames, starts, lengths, motion.train.actions, motion.train.subjects)
    assert torch.equal(random_starts(shared, 0), random_starts(motion.train, 0))
    assert torch.equal(shared.strided_starts(10, 30), motion.train.strided_starts(10, 30))
