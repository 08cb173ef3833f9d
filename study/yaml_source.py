"""YAML text to plain values, with the line of every key.

Values follow YAML 1.2's core schema: ``1e-4`` is a number, ``off`` and ``12:30`` are text, ``010`` is ten. What a study
file has no use for is refused: repeated keys, anchors and aliases, tags, several documents, endless nesting.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
)
from ruamel.yaml.reader import ReaderError

KeyPath = tuple[str | int, ...]

# A study file is a page of text; these only stop what would fill memory or time.
MAX_BYTES = 200_000
MAX_DEPTH = 20

TAB_PROBLEM = "must be indented with spaces, found a tab"

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"[-+]?\.(inf|Inf|INF)")
_WORDS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    ".nan": math.nan, ".NaN": math.nan, ".NAN": math.nan,
}  # fmt: skip


class MalformedYaml(ValueError):
    """The text is not YAML, or uses what is refused here.

    Args:
        line: 1-based.
        problem: what is wrong, without the place.
    """

    def __init__(self, line: int, problem: str) -> None:
        self.line, self.problem = line, problem
        super().__init__(line, problem)


@dataclass(frozen=True)
class YamlSource:
    """Plain values and where they stand.

    Attributes:
        data: mappings with text as keys, lists, text, numbers, true, false and null.
        lines: the 1-based line of each key and each item of a list, by its path.
        repeated: keys that a mapping has more than once, with the lines of the one before and of the repetition;
            ``data`` holds the last value.
    """

    data: Any
    lines: dict[KeyPath, int]
    repeated: list[tuple[KeyPath, int, int]]


def read_yaml(path: Path) -> YamlSource:
    """Read a file of UTF-8 text that holds one YAML document.

    Raises:
        MalformedYaml: the file is too long, not UTF-8, or what ``parse_yaml`` refuses.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise MalformedYaml(1, f"must not be longer than {MAX_BYTES} bytes")
    try:
        return parse_yaml(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise MalformedYaml(line, f"must be UTF-8 text, found the byte 0x{content[error.start]:02x}") from None


def parse_yaml(text: str) -> YamlSource:
    """Read one YAML document; nothing but comments reads as null.

    Raises:
        MalformedYaml: the first syntax error or refused construct, since what follows it means nothing.
    """
    reader = _Reader(text)
    try:
        data = reader.document()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = (
            TAB_PROBLEM if "'\\t' that cannot start" in str(error.problem) else f"is not valid YAML: {error.problem}"
        )
        raise MalformedYaml(mark.line + 1 if mark else 1, problem) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise MalformedYaml(line, "must be text, found a control character") from None
    except MalformedYaml:
        raise
    except (ValueError, OverflowError):  # the parser's own, on "\\UFFFFFFFF" or a %YAML version of thousands of digits
        line = max(reader.lines.values(), default=1)
        raise MalformedYaml(line, "is not valid YAML: a number or an escape is out of range") from None
    return YamlSource(data, reader.lines, reader.repeated)


class _Reader:
    """Builds values from the parser's events, which carry no interpretation of scalars yet."""

    def __init__(self, text: str) -> None:
        # `pure` is the parser written in Python: the one that follows YAML 1.2.
        self.events: Iterator[Event] = YAML(typ="safe", pure=True).parse(text)
        self.lines: dict[KeyPath, int] = {}
        self.repeated: list[tuple[KeyPath, int, int]] = []

    def document(self) -> Any:
        documents = 0
        data = None
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise MalformedYaml(_line(event), "must hold one document, found a second one (---)")
            elif isinstance(event, NodeEvent):
                data = self.value((), event)
        return data

    def value(self, path: KeyPath, event: Event) -> Any:
        _refuse_indirection(event)
        if isinstance(event, ScalarEvent):
            return _scalar(event)
        if len(path) == MAX_DEPTH:
            raise MalformedYaml(_line(event), f"must not nest deeper than {MAX_DEPTH} levels")
        return self.mapping(path) if isinstance(event, MappingStartEvent) else self.sequence(path)

    def mapping(self, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            _refuse_indirection(event)
            if not isinstance(event, ScalarEvent):
                raise MalformedYaml(_line(event), "a key must be text, found a list or a mapping")
            inner = (*path, _text(event))
            if inner[-1] in values:
                self.repeated.append((inner, self.lines[inner], _line(event)))
            self.lines[inner] = _line(event)
            values[_text(event)] = self.value(inner, next(self.events))
        return values

    def sequence(self, path: KeyPath) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            inner = (*path, len(values))
            self.lines[inner] = _line(event)
            values.append(self.value(inner, event))
        return values


def _line(event: Event) -> int:
    return int(event.start_mark.line) + 1


def _refuse_indirection(event: Event) -> None:
    """Aliases can grow a page of text to gigabytes, and a tag asks for a type the schema does not have."""
    if isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor is not None):
        raise MalformedYaml(_line(event), "anchors (&) and aliases (*) are not supported: write the value itself")
    if isinstance(event, (ScalarEvent, CollectionStartEvent)) and event.tag is not None:
        raise MalformedYaml(_line(event), f"tags are not supported, found {event.tag}: write the value itself")


def _text(event: ScalarEvent) -> str:
    text = str(event.value)
    if any("\ud800" <= character <= "\udfff" for character in text):  # written as "\ud800"; no file can hold it
        raise MalformedYaml(_line(event), "must be text, found half a surrogate pair")
    return text


def _scalar(event: ScalarEvent) -> str | int | float | None:
    """What an unquoted word means in the core schema; quoted text stays text."""
    text = _text(event)
    if event.style is not None:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        if len(text) > 18:  # so that every integer fits 64 bits, and a float
            raise MalformedYaml(_line(event), f"an integer must have at most 18 characters, found {len(text)}")
        return int(text, 0 if text[1:2] in ("o", "x") else 10)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITY.fullmatch(text):
        return -math.inf if text[0] == "-" else math.inf
    return text
