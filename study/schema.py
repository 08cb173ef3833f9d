"""The JSON Schema of study files, with which editors complete and check them.

``python -m study.schema > search_spaces/study.schema.json`` writes it anew.
"""

import inspect
import json
import re
from typing import Any

from hpgan_core.config import CHOICES, LOSS_NAMES, RANGES, SETTINGS, TrainingConfig
from hpgan_core.data import READERS, reader_options
from hpgan_core.data.split import BY_SUBJECT, PROTOCOLS
from hpgan_core.metrics import METRICS
from hpgan_core.presets import PRESETS
from study.space import NOT_SEARCHED
from study.study_file import StudyFile

_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


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
    # Python 3.13 takes the indentation out of docstrings, earlier ones leave it.
    documented = inspect.cleandoc(TrainingConfig.__doc__ or "")
    texts = re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)$", documented, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in texts}


def _options() -> dict[str, Any]:
    readers: dict[str, list[str]] = {}
    for dataset in READERS:
        for option in reader_options(dataset):
            readers.setdefault(option, []).append(dataset)
    return {option: {"description": f"Option of {', '.join(names)}."} for option, names in readers.items()}


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2))
