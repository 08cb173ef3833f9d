"""Which people a model learns from, is chosen by and is judged on: at random, or as a benchmark prescribes."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hpgan_core.config import unknown_name
from hpgan_core.errors import BadInput

Split = Literal["train", "validation", "test"]

BY_SUBJECT = "by_subject"


def split_by_subject(
    subjects: Iterable[str], seed: int = 0, validation: float = 0.2, test: float = 0.2
) -> dict[str, Split]:
    """Give each subject to one split, at random.

    Clips of one person are alike: a person in two splits would make a model look better than it is on others.

    Args:
        subjects: names; order and repetition do not matter.
        seed: chooses who goes where.
        validation: share of the subjects, rounded to the nearest number of people, at least one.
        test: likewise. What remains, at least one, is for training.

    Returns:
        The split of each subject, in the order of their names.

    Raises:
        BadInput: fewer than three subjects, or shares that leave nobody to train on.
    """
    names = sorted(set(subjects))
    if len(names) < 3:
        raise BadInput(f"train, validation and test need 3 different subjects at least, found {len(names)}: {names}")
    if not (0 < validation < 1 and 0 < test < 1 and validation + test < 1):
        raise BadInput(f"validation = {validation} and test = {test} must be above 0 and sum to less than 1")
    n_validation, n_test = (max(1, round(share * len(names))) for share in (validation, test))
    if n_validation + n_test >= len(names):
        raise BadInput(f"validation = {validation} and test = {test} leave none of {len(names)} subjects to train on")
    order = np.random.default_rng(seed).permutation(len(names)).tolist()
    held_out: dict[int, Split] = dict.fromkeys(order[:n_test], "test")
    held_out |= dict.fromkeys(order[n_test : n_test + n_validation], "validation")
    return {name: held_out.get(index, "train") for index, name in enumerate(names)}


@dataclass(frozen=True)
class Protocol:
    """How a benchmark divides its clips into those to learn from and those to be judged on.

    Attributes:
        benchmark: the data set, as its authors call it.
        name: pattern of a clip's name; its groups are numbers.
        numbers: those that occur in the benchmark, for each group.
        by: the group that decides.
        train: its numbers to learn from; the others are to be judged on.
    """

    benchmark: str
    name: re.Pattern[str]
    numbers: Mapping[str, Collection[int]]
    by: str
    train: frozenset[int]

    @property
    def test(self) -> frozenset[int]:
        return frozenset(self.numbers[self.by]) - self.train

    def side(self, clip: str) -> Literal["train", "test"]:
        """The official side of a clip, by its name.

        Raises:
            BadInput: the benchmark has no such clip.
        """
        match = self.name.fullmatch(clip)
        if match is None:
            raise BadInput(f"{clip} is no name of a clip of {self.benchmark}")
        for group, known in self.numbers.items():
            if int(match[group]) not in known:
                raise BadInput(f"{clip}: {group} {match[group]} is in no official split of {self.benchmark}")
        return "train" if int(match[self.by]) in self.train else "test"


_NTU_NAME = re.compile(
    r"S(?P<setup>\d{3})C(?P<camera>\d{3})P(?P<performer>\d{3})R(?P<replication>\d{3})A(?P<action>\d{3})"
)
_NTU60 = {"setup": range(1, 18), "camera": range(1, 4), "performer": range(1, 41), "action": range(1, 61)}
_NTU120 = {"setup": range(1, 33), "camera": range(1, 4), "performer": range(1, 107), "action": range(1, 121)}
_NTU60_LEARNERS = frozenset({1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38})
_NTU120_LEARNERS = _NTU60_LEARNERS | {
    45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89, 91, 92, 93, 94, 95,
    97, 98, 100, 103,
}  # fmt: skip

# Sources: NTU RGB+D, Shahroudy et al. 2016, arXiv:1604.02808, section 3.2; NTU RGB+D 120, Liu et al. 2019,
# arXiv:1905.04757, section 3.3; Human3.6M, the protocol of the papers on prediction (train S1, 5, 6, 7, 8).
PROTOCOLS: dict[str, Protocol] = {
    "ntu60_cross_subject": Protocol("NTU RGB+D 60", _NTU_NAME, _NTU60, "performer", _NTU60_LEARNERS),
    "ntu60_cross_view": Protocol("NTU RGB+D 60", _NTU_NAME, _NTU60, "camera", frozenset({2, 3})),
    "ntu120_cross_subject": Protocol("NTU RGB+D 120", _NTU_NAME, _NTU120, "performer", _NTU120_LEARNERS),
    "ntu120_cross_setup": Protocol("NTU RGB+D 120", _NTU_NAME, _NTU120, "setup", frozenset(range(2, 33, 2))),
    "human36m": Protocol(
        "Human3.6M", re.compile(r"S(?P<subject>\d{1,2}) .+"), {"subject": (1, 5, 6, 7, 8, 9, 11)}, "subject",
        frozenset({1, 5, 6, 7, 8}),
    ),
}  # fmt: skip


def split_clips(
    subjects: Mapping[str, str],
    protocol: str = BY_SUBJECT,
    seed: int = 0,
    validation: float = 0.2,
    test: float | None = None,
) -> dict[str, Split]:
    """Give each clip to one split.

    A protocol fixes the test side alone. Validation people are drawn at random from those on its training side, and
    never train; where it divides by camera or setup, the people it tests may be among either, as is its custom.

    Args:
        subjects: who moves, by the name of the clip.
        protocol: ``by_subject``, or a name in ``PROTOCOLS``.
        seed: chooses among people.
        validation: share of the subjects, or of those on the training side, as in ``split_by_subject``.
        test: share of the subjects; by default 0.2, or what the protocol fixes.

    Returns:
        The split of each clip, in the order of ``subjects``.

    Raises:
        BadInput: an unknown protocol, clips of which it does not say where they belong, a side without people, or a
            share that it leaves no room for.
    """
    if protocol == BY_SUBJECT:
        part = split_by_subject(subjects.values(), seed, validation, 0.2 if test is None else test)
        return {clip: part[subject] for clip, subject in subjects.items()}
    if protocol not in PROTOCOLS:
        raise BadInput(unknown_name("protocol", protocol, (BY_SUBJECT, *PROTOCOLS)))
    if test is not None:
        raise BadInput(f"{protocol} says who is tested: leave out test = {test}")
    sides = _official_sides(subjects, protocol)
    learners = sorted({subject for clip, subject in subjects.items() if sides[clip] == "train"})
    n_validation = max(1, round(validation * len(learners)))
    if not (0 < validation < 1 and n_validation < len(learners)):
        raise BadInput(f"validation = {validation} leaves none of the {len(learners)} people of {protocol} to train on")
    order = np.random.default_rng(seed).permutation(len(learners)).tolist()
    validated = {learners[index] for index in order[:n_validation]}
    return {
        clip: "validation" if side == "train" and subjects[clip] in validated else side for clip, side in sides.items()
    }


def _official_sides(subjects: Mapping[str, str], protocol: str) -> dict[str, Literal["train", "test"]]:
    official = PROTOCOLS[protocol]
    sides, strangers = {}, []
    for clip in subjects:
        try:
            sides[clip] = official.side(clip)
        except BadInput as error:
            strangers.append(str(error))
    if strangers:
        others = f" (and {len(strangers) - 1} clips more)" if len(strangers) > 1 else ""
        raise BadInput(f"{protocol}: {strangers[0]}{others}; use {BY_SUBJECT}")
    for side, numbers in (("train", official.train), ("test", official.test)):
        if side not in sides.values():
            wanted = ", ".join(map(str, sorted(numbers)))
            where = f"of {official.by} {wanted}, its {side} side"
            raise BadInput(f"{protocol}: none of {len(sides)} clips is {where}; use {BY_SUBJECT}")
    return sides
