"""Splits by subject: everybody in exactly one, nobody left out, always the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpgan_core.data.split import PROTOCOLS, split_by_subject, split_clips
from hpgan_core.errors import BadInput

PEOPLE = [f"P{person:03d}" for person in range(1, 11)]


def test_ten_people_are_split_six_two_two() -> None:
    split = list(split_by_subject(PEOPLE).values())
    assert [split.count(name) for name in ("train", "validation", "test")] == [6, 2, 2]


@given(st.sets(st.text(max_size=5), min_size=3, max_size=40), st.integers(0, 2**32))
def test_each_subject_has_one_split_and_each_split_a_subject(subjects: set[str], seed: int) -> None:
    split = split_by_subject(subjects, seed)
    assert split.keys() == subjects
    assert set(split.values()) == {"train", "validation", "test"}


@given(st.permutations(PEOPLE))
def test_order_and_repetition_do_not_matter(subjects: list[str]) -> None:
    assert split_by_subject([*subjects, *subjects[:3]], seed=7) == split_by_subject(PEOPLE, seed=7)


def test_the_seed_decides_who_goes_where() -> None:
    assert len({tuple(split_by_subject(PEOPLE, seed).values()) for seed in range(10)}) > 5


def test_shares_are_rounded_to_people_and_never_to_nobody() -> None:
    split = list(split_by_subject(PEOPLE, validation=0.01, test=0.44).values())
    assert [split.count(name) for name in ("train", "validation", "test")] == [5, 1, 4]


@pytest.mark.parametrize(
    ("subjects", "shares", "message"),
    [
        (["P001", "P002", "P001"], {}, "need 3 different subjects at least, found 2"),
        (PEOPLE, {"validation": 0.5, "test": 0.5}, "sum to less than 1"),
        (PEOPLE, {"test": 0.0}, "must be above 0"),
        (PEOPLE[:3], {"validation": 0.1, "test": 0.8}, "leave none of 3 subjects to train on"),
    ],
)
def test_impossible_splits_are_refused(subjects: list[str], shares: dict[str, float], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        split_by_subject(subjects, **shares)


def test_by_subject_all_clips_of_a_person_go_together() -> None:
    subjects = {f"{person} {take}": person for take in range(3) for person in PEOPLE}
    people = split_by_subject(PEOPLE, seed=4, validation=0.3, test=0.1)
    assert split_clips(subjects, seed=4, validation=0.3, test=0.1) == {
        clip: people[subject] for clip, subject in subjects.items()
    }
    assert split_clips(subjects) == split_clips(subjects, test=0.2)


def test_an_unknown_protocol_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadInput, match=r"did you mean 'ntu60_cross_subject'.*known: by_subject, ntu60"):
        split_clips({"a": "a"}, "ntu60_cross_subjects")


def test_the_first_action_beyond_the_benchmark_is_refused() -> None:
    assert PROTOCOLS["ntu60_cross_subject"].side("S017C003P040R002A060") == "test"
    with pytest.raises(BadInput, match=r"action 061 is in no official split of NTU RGB.D 60"):
        PROTOCOLS["ntu60_cross_subject"].side("S017C003P040R002A061")
