"""JSON in a study folder: written durably, and read with the file's name in every complaint."""

import json
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

from pydantic import TypeAdapter, ValidationError

from hpgan_core.durable import append_line, read_lines, write_durably
from study.errors import DamagedRecord

T = TypeVar("T")


def write_json(path: Path, content: Any) -> None:
    """Replace a file; a crash leaves the old content or the new."""
    write_durably(path, (json.dumps(content, indent=2) + "\n").encode())


def read_json(path: Path, build: Callable[..., T]) -> T:
    """What ``build`` makes of the object in a file; a dataclass has its types checked.

    Raises:
        DamagedRecord: it is no JSON, or ``build`` does not take it.
    """
    return _build(path, path.read_bytes(), build, "")


def plain(kind: type) -> Callable[..., dict[str, Any]]:
    """What takes an object as it is, if the dataclass ``kind`` can be made of it."""

    def checked(**content: Any) -> dict[str, Any]:
        _checked(kind, content)
        return content

    return checked


def append_json(path: Path, content: Any) -> None:
    """Add one line; a crash leaves it whole or cut short."""
    append_line(path, json.dumps(content))


def read_json_lines(path: Path, build: Callable[..., T]) -> list[T]:
    """What ``build`` makes of each line; none where there is no file, and a last line that is cut short is left out.

    Raises:
        DamagedRecord: a line is no JSON, or ``build`` does not take it.
    """
    return parse_json_lines(path, read_lines(path), build)


def parse_json_lines(path: Path, lines: Sequence[str], build: Callable[..., T]) -> list[T]:
    """What ``build`` makes of each of the lines that were read from a file.

    Raises:
        DamagedRecord: as ``read_json_lines``.
    """
    return [_build(path, line, build, f"line {number} ") for number, line in enumerate(lines, start=1)]


def _build(path: Path, text: str | bytes, build: Callable[..., T], where: str) -> T:
    try:
        content = json.loads(text)
        return cast(T, _checked(build, content)) if is_dataclass(build) else build(**content)
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedRecord(path, f"{where}holds something else than was written there ({error})") from error


def _checked(kind: Callable[..., T], content: Any) -> T:
    """A dataclass made of an object that has its fields and no others, each of its type."""
    for name, adapter in _adapters(kind).items():
        if name in content:
            try:
                adapter.validate_python(content[name], strict=True)
            except ValidationError as error:
                first = error.errors()[0]
                raise ValueError(": ".join((name, *map(str, first["loc"]), first["msg"]))) from error
    return kind(**content)


@cache
def _adapters(kind: Callable[..., Any]) -> dict[str, TypeAdapter[Any]]:
    return {name: TypeAdapter(hint) for name, hint in get_type_hints(kind).items()}
