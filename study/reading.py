"""The way from YAML and the command line to a checked ``StudyFile``."""

import os
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpgan_core.errors import BadInput
from study.contradictions import contradictions, metric_problems
from study.draft import Draft
from study.study_file import StudyFile
from study.yaml_source import KeyPath

if TYPE_CHECKING:
    from hpgan_core.metrics import MetricRow


def read_study_file(
    path: Path,
    overrides: Sequence[str] = (),
    data_root: Path | None = None,
    metrics: "Mapping[str, MetricRow] | None" = None,
) -> StudyFile:
    """Read and check a study file.

    A relative path among the options of ``data`` is relative to the folder of the study file where the file gives it,
    and to the working directory where the command line does.

    Args:
        path: the YAML file.
        overrides: ``key.path=value`` with a YAML value, as ``search.trials_per_arm=3`` or ``arms.gt=[gt]``. Items of a
            list are counted from 0; all that follows ``arms.`` is the name of an arm.
        data_root: folder of recordings or motion archive to use instead of the file's data. The options stay if the
            file's data set is of the same kind, and the split always does.
        metrics: those that exist, with the goal that an objective has if the file gives none. Without them metrics are
            not checked, and less is better: their table needs torch.

    Raises:
        BadStudyInput: all problems, ``FILE:LINE: key.path: what must hold, what was found`` each.
    """
    draft = Draft(path)
    overridden = {draft.override(text) for text in overrides}
    _complete_paths(draft, overridden)
    if data_root is not None:
        _read_from(data_root, draft)
    draft.data.setdefault("name", path.stem)
    _complete_goals(draft.data, metrics or {})
    study_file, incomplete = draft.sound_part(StudyFile, stand_ins={"name": "study"})
    unknown_metrics = () if metrics is None else metric_problems(study_file, metrics)
    for key_path, text in chain(contradictions(study_file, incomplete), unknown_metrics):
        draft.complain(key_path, text)
    draft.finish()
    return study_file


def _complete_goals(data: dict[str, Any], metrics: "Mapping[str, MetricRow]") -> None:
    """Give every objective without a goal that of its metric."""
    listed = data.get("objectives")
    for objective in (data.get("objective"), *(listed if isinstance(listed, list) else ())):
        if isinstance(objective, dict) and isinstance(metric := objective.get("metric"), str):
            row = metrics.get(metric.removeprefix("val/"))
            if row is not None and row.goal == "maximize":
                objective.setdefault("goal", row.goal)


def _complete_paths(draft: Draft, overridden: Collection[KeyPath | None]) -> None:
    """Make the paths among the data's options absolute."""
    from hpgan_core.data import PATH_OPTIONS

    data = draft.data.get("data")
    if not isinstance(data, dict):
        return
    for name in PATH_OPTIONS:
        if isinstance(given := data.get(name), str):
            from_command_line = {("data",), ("data", name)} & set(overridden)
            data[name] = _absolute(given, Path() if from_command_line else draft.path.parent)


def _read_from(place: Path, draft: Draft) -> None:
    """Put the recordings at ``place`` in the place of the draft's data."""
    from hpgan_core.data import READERS, dataset_at

    option = f"--data {place}"
    try:
        found = dataset_at(Path(_absolute(str(place), Path())))
    except BadInput as error:
        draft.refuse(option, str(error))
        return
    if not isinstance(draft.data.get("data"), dict):
        draft.put(("data",), {}, option)
    data = draft.data["data"]
    before = data.get("dataset", "synthetic")
    if not isinstance(before, str) or before not in READERS:
        del found["dataset"]  # what is misspelt stays to be complained about
    elif before != found["dataset"]:
        for name in data.keys() - {"split"}:
            del data[name]
    for name, value in found.items():
        draft.put(("data", name), value, option)


def _absolute(root: str, folder: Path) -> str:
    path = Path(root).expanduser() if root.startswith("~/") else folder / root
    return os.path.normpath(path.absolute())
