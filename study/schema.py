"""The JSON Schema of study files, with which editors complete and check them.

``python -m study.schema > search_spaces/study.schema.json`` writes it anew.
"""

import inspect
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from hpgan_core.config import CHOICES, LOSS_NAMES, RANGES, SETTINGS, TrainingConfig
from hpgan_core.data import READERS, SOURCES, reader_options
from hpgan_core.data.split import BY_SUBJECT, PROTOCOLS
from hpgan_core.metrics import METRICS
from hpgan_core.presets import PRESETS
from study.space import NOT_SEARCHED
from study.study_file import StudyFile

_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string", NoneType: "null"}


def json_schema() -> dict[str, Any]:
    """What pydantic says about a ``StudyFile``, and the names that the core's tables have."""
    schema = StudyFile.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["required"].remove("name")  # the file's name stands in for it
    top, sections = schema["properties"], schema["$defs"]
    losses, metrics = {"enum": list(LOSS_NAMES)}, {"enum": list(METRICS)}

    top["preset"]["enum"] = list(PRESETS)
    top["arms"]["additionalProperties"] = False
    for arm in top["arms"]["patternProperties"].values():
        arm["items"] = losses
    top["training"] |= {
        "properties": {name: _setting(name) for name in SETTINGS if name not in ("losses", "epochs")},
        "additionalProperties": False,
    }
    parameter = top["parameters"]["additionalProperties"]
    top["parameters"] |= {
        "properties": {
            name: parameter | {"description": _descriptions()[name]} for name in SETTINGS if name not in NOT_SEARCHED
        },
        "additionalProperties": False,
    }
    for kind in parameter["discriminator"]["mapping"].values():
        sections[kind.rpartition("/")[2]]["properties"]["when"]["anyOf"][0] |= losses
    sections["Claim"]["properties"]["metrics"]["items"] = metrics
    sections["Objective"]["properties"]["metric"]["enum"] = [
        f"val/{m}" for m, row in METRICS.items() if row.goal != "one"
    ]
    del sections["Objective"]["properties"]["goal"]["default"]  # the metric's own stands in for it
    sections["Data"]["properties"]["dataset"]["enum"] = list(READERS)
    sections["Data"]["properties"] |= _options()
    sections["Split"]["properties"]["protocol"]["enum"] = [BY_SUBJECT, *PROTOCOLS]
    sections["Data"]["additionalProperties"] = False
    return schema


def _setting(name: str) -> dict[str, Any]:
    bounds = dict(zip(("minimum", "maximum"), RANGES.get(name, ()), strict=False))
    words = {"enum": list(CHOICES[name])} if name in CHOICES else {}
    return {"type": _TYPES[SETTINGS[name]], "description": _descriptions()[name], **bounds, **words}


def _descriptions() -> dict[str, str]:
    """What ``TrainingConfig`` documents about each setting."""
    return _documented(TrainingConfig)


def _options() -> dict[str, Any]:
    """Type and meaning of every option of every reader; several readers may have one of the same name."""
    by_option: dict[str, dict[str, tuple[Any, str]]] = {}
    hints: dict[str, Any] = {}
    for dataset, reader in READERS.items():
        defaults = {name: option.default for name, option in inspect.signature(reader).parameters.items()}
        meanings = _documented(SOURCES.get(dataset, reader))
        for option, hint in reader_options(dataset).items():
            hints[option] = hint
            by_option.setdefault(option, {})[dataset] = (
                defaults[option],
                re.sub(r"\bNone\b", "null", meanings.get(option, "see its reader")).rstrip("."),
            )
    return {option: _kinds(hints[option]) | _explained(readers) for option, readers in by_option.items()}


def _kinds(hint: Any) -> dict[str, Any]:
    kinds = [{"type": _TYPES[kind]} for kind in get_args(hint) or (hint,)]
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}


def _explained(readers: Mapping[str, tuple[Any, str]]) -> dict[str, Any]:
    """What an option means to each reader that has it, and its default."""
    if len(readers) > 1:
        texts = [
            f"{dataset}: {meaning}"
            + ("" if default is inspect.Parameter.empty else f"; default: {json.dumps(default)}")
            for dataset, (default, meaning) in readers.items()
        ]
        return {"description": ". ".join(texts) + "."}
    ((dataset, (default, meaning)),) = readers.items()
    explained = {"description": f"{dataset}: {meaning}."}
    return explained if default in (None, inspect.Parameter.empty) else explained | {"default": default}


def _default(value: Any) -> str:
    return "" if value is inspect.Parameter.empty else f"; default: {json.dumps(value)}"


def _documented(of: Callable[..., Any]) -> dict[str, str]:
    """What a docstring says about each argument or attribute."""
    # Python 3.13 takes the indentation out of docstrings, earlier ones leave it.
    text = inspect.cleandoc(of.__doc__ or "")
    entries = re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)$", text, re.MULTILINE)
    return {name: " ".join(meaning.split()).replace("``", "`") for name, meaning in entries}


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2))
