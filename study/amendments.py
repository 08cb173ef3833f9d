"""What has been changed or added since a study's plan was locked."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from hpgan_core.durable import sync
from study.json_files import append_json, read_json_lines
from study.paths import StudyPaths

# Sections of the study file that shape no result. They may change whenever a study is gone on with; all else is locked.
OPERATIONS = ("resources", "tracking", "budget", "storage")

# What the lines of each kind hold.
_CONTENT: dict[Any, tuple[str, TypeAdapter[Any]]] = {
    "add_trials": ("trials", TypeAdapter(int)),
    "more_seeds": ("members", TypeAdapter(int)),
    "retry_failed": ("trials", TypeAdapter(list[str])),
    "environment": ("changed", TypeAdapter(dict[str, Annotated[list[Any], Field(min_length=2, max_length=2)]])),
    **{section: ("section", TypeAdapter(dict[str, Any])) for section in OPERATIONS},
}


@dataclass(frozen=True)
class Amendments:
    """The sum of all amendments.

    Attributes:
        trials: more trials of every arm than the plan has.
        members: more members of every arm's winner.
        retried: keys of failed trials that are to be run again.
        operations: sections that replace the plan's.
        environment: what a later driver found other than the plan's, by name.
    """

    trials: int = 0
    members: int = 0
    retried: frozenset[str] = frozenset()
    operations: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)


def read_amendments(paths: StudyPaths) -> Amendments:
    """Add up what has been recorded.

    Raises:
        DamagedRecord: the file is not what was written there.
    """
    lines = read_amendment_lines(paths)
    of_kind = {
        kind: [line for line in lines if line["kind"] == kind] for kind in ("add_trials", "more_seeds", "retry_failed")
    }
    return Amendments(
        trials=sum(line["trials"] for line in of_kind["add_trials"]),
        members=sum(line["members"] for line in of_kind["more_seeds"]),
        retried=frozenset(key for line in of_kind["retry_failed"] for key in line["trials"]),
        operations={line["kind"]: line["section"] for line in lines if line["kind"] in OPERATIONS},
        environment={
            name: now for line in lines if line["kind"] == "environment" for name, (_, now) in line["changed"].items()
        },
    )


def read_amendment_lines(paths: StudyPaths) -> list[dict[str, Any]]:
    """Every amendment as it was recorded, with its ``time`` and ``kind``.

    Raises:
        DamagedRecord: the file is not what was written there.
    """
    return read_json_lines(paths.amendments, _line)


def _line(**line: Any) -> dict[str, Any]:
    """A line as it is.

    Raises:
        ValueError: it is no amendment.
    """
    if line.get("kind") not in _CONTENT:
        raise ValueError(f"kind {line.get('kind')!r} is unknown")
    if not isinstance(line.get("time"), float | int):
        raise ValueError("it has no time")
    name, content = _CONTENT[line["kind"]]
    content.validate_python(line.get(name), strict=True)
    return line


def append_amendment(paths: StudyPaths, kind: str, **content: Any) -> None:
    """Record one more; ``content`` is ``trials``, ``members``, ``section`` or ``changed``, whatever the kind has."""
    append_json(paths.amendments, {"time": time.time(), "kind": kind, **content})
    sync(paths.amendments)
    sync(paths.folder)
