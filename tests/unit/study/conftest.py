"""A small study whose trials are written by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.paths import StudyPaths
from study.record import Record, References, Request, SplitSize, State, Trial
from study.study_file import StudyFile

PLAN: dict[str, Any] = {
    "name": "small",
    "arms": {"none": [], "gt": ["gt"], "paper": ["consistency", "bone"]},
    "reference": "paper",
    "parameters": {
        "critic_iterations": {"type": "int", "min": 1, "max": 9, "default": 5},
        "lambda_gp": {"type": "float", "min": 0.1, "max": 100.0, "log": True, "default": 10.0},
        "hidden_size": {"type": "categorical", "values": [8, 16, 32], "default": 16},
        "gt_weight": {"type": "float", "min": 0.01, "max": 10.0, "log": True, "default": 1.0},
    },
    "search": {"trials_per_arm": 4, "members": 2, "epochs": 4, "pruner": {"name": "none"}},
    "confirm": {"members": 3, "shortlist": None},
    "claims": [{"name": "gt replaces both", "candidate": "gt", "metrics": ["ade"]}],
}

StudyWith = Callable[..., StudyFile]
AddTrial = Callable[..., Trial]


@pytest.fixture(scope="session")
def study_with() -> StudyWith:
    """The small study with other sections."""

    def build(**sections: Any) -> StudyFile:
        return StudyFile.model_validate(PLAN | sections)

    return build


@pytest.fixture
def new_record(tmp_path: Path, study_with: StudyWith) -> Callable[..., Record]:
    """Make the record of the small study, with other sections."""

    def build(people_tested: int | None = None, **sections: Any) -> Record:
        """With nobody to test on it is a record that is older than the sizes of splits."""
        tested = {} if people_tested is None else {"test": SplitSize(people_tested, 2 * people_tested, 9)}
        record = Record(StudyPaths(tmp_path, "small"))
        with record.driving():
            past, truth = np.zeros((1, 10, 25, 3), np.float32), np.ones((1, 20, 25, 3), np.float32)
            record.write_references(References(past, truth, "kinect_v2", 30.0))
            record.create(study_with(**sections), "name: small\n", "0" * 64, {"python": "3"}, tested)
        return record

    return build


def epoch_of(epoch: int, score: float | list[float], **metrics: list[float]) -> dict[str, Any]:
    """A line of ``epochs.jsonl``; members whose score is not finite have diverged."""
    scores = score if isinstance(score, list) else [score, score]
    members = {"val/score": scores} | {f"test/{name}": values for name, values in metrics.items()}
    healthy = [index for index, value in enumerate(scores) if np.isfinite(value)]
    mean = {name: float(np.mean([values[i] for i in healthy])) for name, values in members.items()} if healthy else {}
    spread = dict.fromkeys(mean, 0.0) if len(healthy) > 1 else {}
    return {
        "epoch": epoch,
        "members": members,
        "mean": mean,
        "spread": spread,
        "diverged": len(scores) - len(healthy),
        "seconds": 0.5,
        "time": 1_700_000_000.0 + epoch,
    }


@pytest.fixture
def add_trial() -> AddTrial:
    """Write a trial with the given validation scores, one an epoch, and its outcome."""

    def add(record: Record, arm: str, trial: str, scores: list[float], state: State | None = "complete") -> Trial:
        number = int(trial[1:]) if trial[1:].isdigit() else 0
        phase, seeds = ("confirm", [1_000_000, 1_000_001, 1_000_002]) if trial == "confirm" else ("search", [0, 1])
        losses = list(record.study_file.arms[arm])
        settings = {"epochs": 4, "losses": losses, "hidden_size": 16, "gt_weight": 1.0, "bone_weight": 0.01}
        request = Request(arm, trial, phase, number, {"hidden_size": 16}, settings, seeds, 1_700_000_000.0)  # type: ignore[arg-type]
        added = record.start(request)
        for epoch, score in enumerate(scores, start=1):
            added.append_epoch(epoch_of(epoch, score))
        if state is not None:
            objective = None if state == "failed" else scores[-1]
            added.close(state, objective, "it broke" if state == "failed" else None)
        return added

    return add
