"""JSON in a study folder: written durably, and read with the file's name in every complaint."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hpgan_core.durable import append_line, read_lines, write_durably
from study.errors import DamagedRecord

T = TypeVar("T")


def write_json(path: Path, content: Any) -> None:
    """Replace a file; a crash leaves the old content or the new."""
    write_durably(path, (json.dumps(content, indent=2) + "\n").encode())


def read_json(path: Path, build: Callable[..., T]) -> T:
    """What ``build`` makes of the object in a file.

    Raises:
        DamagedRecord: it is no JSON, or ``build`` does not take it.
    """
    return _build(path, path.read_bytes(), build, "")


def append_json(path: Path, content: Any) -> None:
    """Add one line; a crash leaves it whole or cut short."""
    append_line(path, json.dumps(content))


def read_json_lines(path: Path, build: Callable[..., T]) -> list[T]:
    """What ``build`` makes of each line; none where there is no file, and a last line that is cut short is left out.

    Raises:
        DamagedRecord: a line is no JSON, or ``build`` does not take it.
    """
    return [_build(path, line, build, f"line {number} ") for number, line in enumerate(read_lines(path), start=1)]


def _build(path: Path, text: str | bytes, build: Callable[..., T], where: str) -> T:
    try:
        return build(**json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedRecord(path, f"{where}holds something else than was written there ({error})") from error
