"""A YAML file and the options that change it, on the way to a pydantic model: every problem is kept with its place."""

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hpgan_core.config import unknown_name
from study.errors import BadStudyInput
from study.packaged import study_file_names
from study.sections import PATTERNS, Section
from study.yaml_source import KeyPath, MalformedYaml, parse_yaml, read_yaml

Model = TypeVar("Model", bound=Section)

_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "finite_number": "a finite number",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "tuple_type": "a list",
    "literal_error": "{expected}",
    "greater_than": "above {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "below {lt}",
    "less_than_equal": "{le} or less",
    "string_too_long": "text of {max_length} characters or less",
}


class _Place(NamedTuple):
    """Sorts as a reader looks: the command line, then the file from its top."""

    line: int
    text: str


class Draft:
    """What a file and the options say, and all that is wrong with it so far."""

    def __init__(self, path: Path) -> None:
        """Read ``path``.

        Raises:
            BadStudyInput: it cannot be read, is not YAML or holds no mapping.
        """
        self.path = path
        try:
            source = read_yaml(path)
        except OSError as error:
            names = f", or one of {', '.join(shipped)}, which come along" if (shipped := study_file_names()) else ""
            raise BadStudyInput(
                f"{path}: cannot be read: {error.strerror}; give the path of a study file{names}"
            ) from None
        except MalformedYaml as error:
            raise BadStudyInput(f"{path}:{error.line}: {error.problem}") from None
        if not isinstance(source.data, dict):
            raise BadStudyInput(f"{path}: must be a mapping of keys to values, found {found(source.data)}")
        self.data: dict[str, Any] = source.data
        self._places = {key_path: _Place(line, f"{path}:{line}") for key_path, line in source.lines.items()}
        self._problems: set[tuple[_Place, str]] = set()
        self._left_out: set[KeyPath] = set()
        for key_path, first, line in source.repeated:
            self._problems.add((_Place(line, f"{path}:{line}"), f"{dotted(key_path)}: repeats the key of line {first}"))

    def complain(self, path: KeyPath, text: str) -> None:
        """Keep a problem with what stands at ``path`` of the sound part, at the nearest place that was written."""
        path = self._as_given(path)
        written = (self._places[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self._places)
        self._problems.add((next(written, _Place(0, str(self.path))), f"{dotted(path)}: {text}"))

    def put(self, path: KeyPath, value: Any, option: str) -> None:
        """Replace the value at ``path``, whose mapping exists, by one that ``option`` gave."""
        container = self.data
        for step in path[:-1]:
            container = container[step]  # type: ignore[index]
        container[path[-1]] = value  # type: ignore[index]
        self._places = {known: place for known, place in self._places.items() if known[: len(path)] != path}
        self._places[path] = _Place(0, option)

    def override(self, text: str) -> KeyPath | None:
        """Apply ``key.path=value``; returns the path, or None where that cannot be done."""
        option = f"--set {text}"
        key, equals, yaml = text.partition("=")
        # An arm may have dots in its name, and there is nothing below an arm to reach for.
        steps = ["arms", key.removeprefix("arms.")] if key.startswith("arms.") else key.split(".")
        if not equals or not all(steps):
            self.refuse(option, "must be key=value, as in search.trials_per_arm=3")
            return None
        try:
            value = parse_yaml(yaml)
        except MalformedYaml as error:
            self.refuse(option, f"the value {error.problem}")
            return None
        if value.repeated:
            self.refuse(option, f"the value repeats the key {dotted(value.repeated[0][0])!r}")
            return None
        path: KeyPath = ()
        container: Any = self.data
        for step in steps:
            if path and container is None:  # a section that the file leaves out or sets to null
                container = {}
                self.put(path, container, option)
            if isinstance(container, list) and step in map(str, range(len(container))):
                path = (*path, int(step))
                container = container[int(step)]
            elif isinstance(container, dict):
                path = (*path, step)
                container = container.get(step)
            else:
                self.refuse(option, f"{dotted(path)} has no {step!r}, it is {found(container)}")
                return None
        self.put(path, value.data, option)
        return path

    def refuse(self, option: str, text: str) -> None:
        """Keep a problem of an option of the command line."""
        self._problems.add((_Place(0, option), text))

    def sound_part(self, model: type[Model], stand_ins: Mapping[str, Any]) -> tuple[Model, set[str]]:
        """The model of all that is right by itself; what is wrong is complained about and left out.

        An unknown key is left out alone, a wrong value with the entry of the top-level section that it belongs to.

        Args:
            model: what to build.
            stand_ins: values for required top-level keys, used where the given ones are wrong.

        Returns:
            The model, and the top-level sections of which something else than an unknown key is left out.
        """
        unsound: set[str] = set()
        while True:
            data = _without(self.data, self._left_out)
            try:
                return model.model_validate({**stand_ins, **data}), unsound
            except ValidationError as error:
                consequences = ("missing", "too_short") if self._left_out else ()
                findings = [(details["type"], *explain(details, data, model)) for details in error.errors()]
            for kind, path, text in findings:
                if kind not in consequences:
                    self.complain(path, text)
            for kind, path, _ in findings:
                if kind != "extra_forbidden":
                    unsound.add(str(path[0]))
            left_out = {self._as_given(path if kind == "extra_forbidden" else path[:2]) for kind, path, _ in findings}
            assert not left_out <= self._left_out, "every round leaves out something more"
            self._left_out |= left_out

    def finish(self) -> None:
        """Raise ``BadStudyInput`` with every problem, if there is one."""
        if self._problems:
            raise BadStudyInput(*(f"{place.text}: {text}" for place, text in sorted(self._problems)))

    def _as_given(self, path: KeyPath) -> KeyPath:
        """A path in the sound part as a path in ``data``, where the list still has the items that were left out."""
        if len(path) < 2 or not isinstance(path[1], int):
            return path
        kept = [index for index in range(len(self.data[str(path[0])])) if (path[0], index) not in self._left_out]
        return (path[0], kept[path[1]], *path[2:])


def _without(value: Any, left_out: Collection[KeyPath], path: KeyPath = ()) -> Any:
    if isinstance(value, dict):
        return {
            key: _without(inner, left_out, (*path, key)) for key, inner in value.items() if (*path, key) not in left_out
        }
    if isinstance(value, list):
        return [
            _without(inner, left_out, (*path, index))
            for index, inner in enumerate(value)
            if (*path, index) not in left_out
        ]
    return value


def dotted(path: KeyPath) -> str:
    """A path as people write it."""
    return ".".join(map(str, path))


def found(value: Any) -> str:
    """A value as people would name it, not longer than a few words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list)):
        return f"{'a' if value else 'an empty'} {'mapping' if isinstance(value, dict) else 'list'}"
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:56]} ..."


def explain(details: ErrorDetails, data: Any, model: type[Section]) -> tuple[KeyPath, str]:
    """What pydantic finds wrong with ``data`` as a ``model``: the path in ``data``, and what must hold there."""
    kind, location, value, limits = details["type"], details["loc"], details["input"], details.get("ctx", {})
    path = _path_in(data, location)
    match kind:
        case "study":
            return path, details["msg"]
        case "extra_forbidden":
            keys = dict.fromkeys(key for section in _sections_at(model, location[:-1]) for key in section.model_fields)
            return path, unknown_name("key", str(path[-1]), tuple(keys))
        case "missing":
            return path, "is required"
        case "too_short" | "string_too_short":
            return path, "must not be empty"
        case "union_tag_not_found":
            tag = limits["discriminator"].strip("'")
            tags = [_words(str(section.model_fields[tag].annotation)) for section in _sections_at(model, location)]
            return (*path, tag), f"is required (known: {', '.join(word for words in tags for word in words)})"
        case "union_tag_invalid":
            tag = limits["discriminator"].strip("'")
            path = (*path, tag)
            return path, unknown_name(_topic(path), limits["tag"], _words(limits["expected_tags"]))
        case "literal_error" if isinstance(value, str):
            return path, unknown_name(_topic(path), value, _words(limits["expected"]))
        case "string_pattern_mismatch":
            expected = PATTERNS[limits["pattern"]]
        case _:
            expected = _EXPECTED[kind].format(**limits) if kind in _EXPECTED else details["msg"]
    return path, f"must be {expected}, found {found(value)}"


def _path_in(data: Any, location: tuple[str | int, ...]) -> KeyPath:
    """``location`` without the steps that are no keys: tags of unions, and the mark of a mapping's key."""
    path: KeyPath = ()
    for position, step in enumerate(location, 1):
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            if position < len(location) or step == "[key]":
                continue
        path = (*path, step)
    return path


def _sections_at(model: type[Section], location: tuple[str | int, ...]) -> list[type[Section]]:
    """The kinds of section that may stand at ``location``."""
    sections = [model]
    for step in location:
        fields = [section.model_fields[str(step)] for section in sections if step in section.model_fields]
        inner = [section for field in fields for section in _sections_in(field.annotation)]
        tagged = [s for s in sections if any(step in get_args(field.annotation) for field in s.model_fields.values())]
        sections = inner or tagged or sections
    return sections


def _sections_in(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections_in(argument)


def _topic(path: KeyPath) -> str:
    """What the value at ``path`` is one of: the name of a sampler is a sampler."""
    return str(path[-2] if path[-1] == "name" else path[-1])


def _words(text: str) -> tuple[str, ...]:
    """The quoted words of a pydantic message."""
    return tuple(re.findall("'([^']*)'", text))
