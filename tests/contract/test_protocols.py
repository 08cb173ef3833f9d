"""Every official protocol divides its benchmark as published, and nobody else's clips."""

from collections.abc import Callable

import pytest

from hpgan_core.data.split import BY_SUBJECT, PROTOCOLS, split_clips
from hpgan_core.errors import BadInput

# The benchmark's people, cameras or setups on either side, as papers count them.
PUBLISHED = {
    "ntu60_cross_subject": (20, 20),
    "ntu60_cross_view": (2, 1),
    "ntu120_cross_subject": (53, 53),
    "ntu120_cross_setup": (16, 16),
    "human36m": (5, 2),
}


def ntu(performers: range) -> dict[str, str]:
    """A clip of each performer before each camera, performers spread over the setups."""
    return {
        f"S{performer % 17 + 1:03d}C{camera:03d}P{performer:03d}R001A007": f"P{performer:03d}"
        for performer in performers
        for camera in (1, 2, 3)
    }


def human36m() -> dict[str, str]:
    return {
        f"S{person} {action}": f"S{person}" for person in (1, 5, 6, 7, 8, 9, 11) for action in ("Walking", "Eating 1")
    }


CLIPS: dict[str, Callable[[], dict[str, str]]] = {
    "ntu60_cross_subject": lambda: ntu(range(1, 41)),
    "ntu60_cross_view": lambda: ntu(range(1, 41)),
    "ntu120_cross_subject": lambda: ntu(range(1, 107)),
    "ntu120_cross_setup": lambda: ntu(range(1, 107)),
    "human36m": human36m,
}


def test_every_protocol_is_tested_here() -> None:
    assert PUBLISHED.keys() == CLIPS.keys() == PROTOCOLS.keys()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_sides_are_as_large_as_published_and_within_the_benchmark(name: str) -> None:
    protocol = PROTOCOLS[name]
    assert (len(protocol.train), len(protocol.test)) == PUBLISHED[name]
    assert protocol.train <= set(protocol.numbers[protocol.by])


@pytest.mark.parametrize("name", PROTOCOLS)
def test_tested_are_the_official_clips_whatever_the_seed(name: str) -> None:
    subjects, protocol = CLIPS[name](), PROTOCOLS[name]
    for seed in range(5):
        part = split_clips(subjects, name, seed)
        assert list(part) == list(subjects)
        assert {clip for clip in part if part[clip] == "test"} == {
            clip for clip in subjects if protocol.side(clip) == "test"
        }


@pytest.mark.parametrize("name", PROTOCOLS)
def test_nobody_both_trains_and_validates_and_the_seed_says_who(name: str) -> None:
    subjects = CLIPS[name]()
    chosen = set()
    for seed in range(20):
        part = split_clips(subjects, name, seed)
        train, validation = (
            {subjects[clip] for clip in part if part[clip] == side} for side in ("train", "validation")
        )
        assert train
        assert not train & validation
        assert len(validation) == max(1, round(0.2 * len(train | validation)))
        chosen.add(frozenset(validation))
    assert len(chosen) > 2


@pytest.mark.parametrize("name", [name for name in PROTOCOLS if PROTOCOLS[name].by in ("performer", "subject")])
def test_protocols_by_person_test_nobody_who_trains(name: str) -> None:
    subjects = CLIPS[name]()
    part = split_clips(subjects, name)
    tested = {subjects[clip] for clip in part if part[clip] == "test"}
    assert not tested & {subjects[clip] for clip in part if part[clip] != "test"}


@pytest.mark.parametrize("name", ["ntu60_cross_view", "ntu120_cross_setup"])
def test_protocols_by_camera_or_setup_may_test_people_who_train(name: str) -> None:
    subjects = {f"S{setup:03d}C{camera:03d}P{person:03d}R001A001": f"P{person:03d}"
                for setup in (1, 2) for camera in (1, 2) for person in (1, 2, 3)}  # fmt: skip
    part = split_clips(subjects, name)
    people = {side: {subjects[clip] for clip in part if part[clip] == side} for side in ("train", "validation", "test")}
    assert people["test"] == {"P001", "P002", "P003"} == people["train"] | people["validation"]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_clips_of_other_data_sets_are_refused_by_name(name: str) -> None:
    strangers = {"S011C001P201R001A016": "P201", "S011C002P207R001A016": "P207", "walk": "me"}
    with pytest.raises(BadInput, match=rf"^{name}: .*\(and 2 clips more\); use {BY_SUBJECT}$"):
        split_clips(CLIPS[name]() | strangers, name)


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("missing", ["train", "test"])
def test_a_side_without_clips_is_refused(name: str, missing: str) -> None:
    subjects = {clip: who for clip, who in CLIPS[name]().items() if PROTOCOLS[name].side(clip) != missing}
    with pytest.raises(BadInput, match=f"none of {len(subjects)} clips is of .* its {missing} side; use {BY_SUBJECT}"):
        split_clips(subjects, name)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_share_of_people_to_test_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match=r"says who is tested: leave out test = 0\.3"):
        split_clips(CLIPS[name](), name, test=0.3)


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("validation", [0.0, 0.995, 1.5])
def test_someone_must_be_left_to_train_on(name: str, validation: float) -> None:
    with pytest.raises(BadInput, match=r"leaves none of the \d+ people"):
        split_clips(CLIPS[name](), name, validation=validation)


def test_official_splits_are_not_for_people_of_other_data_sets() -> None:
    ui_prmd = {f"S011C001P{person}R001A016": f"P{person}" for person in range(101, 108)}
    with pytest.raises(BadInput, match=r"performer 101 is in no official split of NTU RGB.D 60 .*use by_subject"):
        split_clips(ui_prmd, "ntu60_cross_subject")
