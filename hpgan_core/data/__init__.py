"""Motion data by name: the table of readers and the one door to it."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

from hpgan_core.config import unknown_name
from hpgan_core.data.ntu_rgbd import read_ntu_rgbd
from hpgan_core.data.recordings import Recordings
from hpgan_core.data.synthetic import synthesise
from hpgan_core.errors import BadInput

Reader = Callable[..., Recordings]

# A reader's parameters are the options of its data set: each has a name, a type and, unless required, a default.
READERS: dict[str, Reader] = {
    "synthetic": synthesise,
    "ntu_rgbd": read_ntu_rgbd,
}


def read_recordings(data: Mapping[str, Any]) -> Recordings:
    """Read the data set that a mapping describes.

    Args:
        data: ``dataset``, a name in ``READERS``, and options of that reader:
            ``{"dataset": "ntu_rgbd", "root": "/data/skeletons"}``.

    Raises:
        BadInput: what ``data_problems`` finds, all at once, or what the reader raises.
    """
    if problems := data_problems(data):
        raise BadInput("; ".join(problems))
    options = {name: value for name, value in data.items() if name != "dataset"}
    return READERS[data["dataset"]](**options)


def data_problems(data: Mapping[str, Any]) -> list[str]:
    """What is wrong with a description of a data set, without reading it: unknown, missing and mistyped options."""
    dataset = data.get("dataset")
    if not isinstance(dataset, str):
        return [f"option 'dataset' must name a data set, found {dataset!r} (known: {', '.join(READERS)})"]
    if dataset not in READERS:
        return [unknown_name("data set", dataset, READERS)]
    known = reader_options(dataset)
    required = [name for name, default in _defaults(dataset).items() if default is inspect.Parameter.empty]
    problems = [f"{dataset} needs the option {name!r}" for name in required if name not in data]
    for name, value in data.items():
        if name == "dataset":
            continue
        if name not in known:
            problems.append(unknown_name(f"option of {dataset}", str(name), tuple(known)))
        elif not _is_of(value, known[name]):
            wanted = " or ".join(_words(kind) for kind in _kinds(known[name]))
            problems.append(f"option {name!r} of {dataset} must be {wanted}, found {value!r}")
    return problems


def reader_options(dataset: str) -> dict[str, Any]:
    """Name and type of each option of a reader in ``READERS``."""
    hints = get_type_hints(READERS[dataset])
    return {name: hints[name] for name in _defaults(dataset)}


def _defaults(dataset: str) -> dict[str, Any]:
    return {name: option.default for name, option in inspect.signature(READERS[dataset]).parameters.items()}


def _kinds(hint: Any) -> tuple[type, ...]:
    return get_args(hint) if isinstance(hint, UnionType) else (hint,)


def _words(kind: type) -> str:
    names = {int: "a whole number", float: "a number", Path: "a path", str: "text", type(None): "null"}
    return names.get(kind, kind.__name__)


def _is_of(value: Any, hint: Any) -> bool:
    accepted = {float: (int, float), Path: (str, Path)}
    return any(
        isinstance(value, accepted.get(kind, kind)) and not (isinstance(value, bool) and kind is not bool)
        for kind in _kinds(hint)
    )
