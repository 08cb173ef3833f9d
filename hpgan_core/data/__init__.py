"""Motion data by name: the tables of readers and the doors to them."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

from hpgan_core.config import unknown_name
from hpgan_core.data.archive import is_archive, read_archive
from hpgan_core.data.folders import files_below, is_folder
from hpgan_core.data.human36m import list_human36m, read_human36m
from hpgan_core.data.ntu_rgbd import list_ntu_rgbd, read_ntu_rgbd
from hpgan_core.data.recordings import Recordings, Source
from hpgan_core.data.synthetic import synthesise
from hpgan_core.errors import BadInput

Reader = Callable[..., Recordings]

# A reader's parameters are the options of its data set: each has a name, a type and, unless required, a default.
READERS: dict[str, Reader] = {
    "synthetic": synthesise,
    "ntu_rgbd": read_ntu_rgbd,
    "human36m": read_human36m,
    "archive": read_archive,
}

# Those that read a folder of many files can list it first, with the same options.
SOURCES: dict[str, Callable[..., Source]] = {
    "ntu_rgbd": list_ntu_rgbd,
    "human36m": list_human36m,
}

# What lies in a folder, at any depth and in any case of letters, tells by whom it is read.
SUFFIXES = {".skeleton": "ntu_rgbd", ".h5": "human36m"}
_FORMATS = "NTU RGB+D's .skeleton or Human3.6M's .h5 files"


def read_recordings(data: Mapping[str, Any]) -> Recordings:
    """Read the data set that a mapping describes.

    Args:
        data: ``dataset``, a name in ``READERS``, and options of that reader:
            ``{"dataset": "ntu_rgbd", "root": "/data/skeletons"}``.

    Raises:
        BadInput: what ``data_problems`` finds, all at once, or what the reader raises.
    """
    options = _checked_options(data)
    return READERS[data["dataset"]](**options)


def list_recordings(data: Mapping[str, Any]) -> Source | None:
    """What ``read_recordings`` would read, or None where that is not a folder of many files.

    Raises:
        BadInput: what ``data_problems`` finds, all at once, or what the reader of the folder raises.
    """
    options = _checked_options(data)
    return SOURCES[data["dataset"]](**options) if data["dataset"] in SOURCES else None


def _checked_options(data: Mapping[str, Any]) -> dict[str, Any]:
    if problems := data_problems(data):
        raise BadInput("; ".join(problems))
    return {name: value for name, value in data.items() if name != "dataset"}


def dataset_at(path: Path) -> dict[str, str]:
    """The data set that lies at a path, as ``read_recordings`` takes it.

    Raises:
        BadInput: neither a motion archive nor a folder with recordings in a known format.
    """
    if is_archive(path):
        return {"dataset": "archive", "path": str(path)}
    if is_folder(path):
        for suffix, dataset in SUFFIXES.items():
            if any(files_below(path, suffix)):
                return {"dataset": dataset, "root": str(path)}
        raise BadInput(f"{path} holds no recordings ({_FORMATS}), at any depth")
    if path.exists():
        raise BadInput(f"{path} is no motion archive; give one, or a folder of recordings ({_FORMATS})")
    raise BadInput(f"{path} does not exist; give a motion archive or a folder of recordings ({_FORMATS})")


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


# Options of any reader that name a file or folder.
PATH_OPTIONS = frozenset(
    name for dataset in READERS for name, hint in reader_options(dataset).items() if Path in _kinds(hint)
)
