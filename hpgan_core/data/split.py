"""Which people a model learns from, is chosen by and is judged on."""

from collections.abc import Iterable
from typing import Literal

import numpy as np

from hpgan_core.errors import BadInput

Split = Literal["train", "validation", "test"]


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
