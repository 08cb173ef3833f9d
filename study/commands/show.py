"""``study show``: what a study was to do, or what became of one trial."""

import io
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from ruamel.yaml import YAML

from study.record import Record

TIMES = ("time", "started_at", "ended_at")


def run(name: str, trial: str | None, *, studies: Path, as_json: bool, console: Console) -> None:
    """Print the locked plan of a study with its amendments, or everything that the record says of a trial.

    Args:
        name: of the study.
        trial: ``ARM/TRIAL``; None shows the plan.
        studies: folder of all studies.
        as_json: print JSON instead of YAML.
        console: where to show it.

    Raises:
        BadStudyInput: there is no such study or trial.
        DamagedRecord: the plan is no longer the one that was locked.
    """
    record = Record.open(studies, name)
    record.plan_digest()
    content = _plan(record) if trial is None else _trial(record, trial)
    # Tuples and sets of the record become lists.
    plain = json.dumps(content, indent=2, default=list)
    if as_json:
        print(plain)
        return
    text = io.StringIO()
    YAML().dump(json.loads(plain, object_hook=_with_dates), text)
    console.print(text.getvalue(), soft_wrap=True, end="")


def _plan(record: Record) -> dict[str, Any]:
    plan = record.plan
    return {
        "study": record.paths.name,
        "state": record.state(),
        "locked_at": _time(plan["created_at"]),
        "plan_digest": record.plan_digest(),
        "data_digest": plan["data_digest"],
        "splits": {split: asdict(size) for split, size in record.splits.items()},
        "environment": plan["environment"],
        "amendments": asdict(record.amendments),
        "test_split_opened": [asdict(opening) for opening in record.openings()],
        "file": plan["file"],
    }


def _trial(record: Record, key: str) -> dict[str, Any]:
    trial = record.find(key)
    epochs, outcome = trial.epochs(), trial.outcome
    return {
        "trial": trial.key,
        "state": trial.state,
        "request": asdict(trial.request),
        "outcome": asdict(outcome) if outcome else None,
        "attempts": [asdict(attempt) for attempt in trial.attempts()],
        "last_epoch": {"epoch": epochs[-1]["epoch"], "mean": epochs[-1]["mean"]} if epochs else None,
    }


def _with_dates(values: dict[str, Any]) -> dict[str, Any]:
    """For a person: the record has seconds since 1970."""
    return {name: _time(value) if name in TIMES and value else value for name, value in values.items()}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
