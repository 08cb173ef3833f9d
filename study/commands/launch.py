"""``study launch``: search every arm, confirm the winners, say what came out."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

from rich.console import Console

from hpgan_core.metrics import METRICS
from hpgan_core.windows import MotionData
from study.commands.compare import show
from study.errors import BadStudyInput, StudyError
from study.motion import load_motion
from study.paths import StudyPaths
from study.record import Record
from study.study_file import StudyFile, read_study_file


def run(
    file: Path,
    *,
    overrides: Sequence[str],
    data_root: Path | None,
    studies: Path,
    address: str | None,
    as_json: bool,
    console: Console,
) -> None:
    """Run a study from its file, or go on with it where it was interrupted.

    Raises:
        BadStudyInput, BadInput: the file or the data cannot be used; nothing has been written.
        StudyError: Ray or MLflow cannot be reached, another process runs this study, or an arm ended without a result.
        Interrupted: Ctrl-C or SIGTERM; the same command goes on.
    """
    study_file = read_study_file(file, overrides, data_root, METRICS)
    data = load_motion(study_file.data)
    record = Record(StudyPaths(studies, study_file.name))
    same = record.exists and _is_same_study(record, study_file, data.digest)
    if record.exists and not same:
        _expect_finished_study_of_other_data(record, study_file)

    # Ray and MLflow take seconds to import; a mistake in the file has been told by now.
    from study.driver import Driver

    driver, missing = Driver(record, study_file, data, console), None
    # Ray prints to standard output, which with --json is for JSON alone.
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        if same and record.state() == "finished":
            console.print(f"Study {study_file.name!r} is finished; nothing is left to run.")
            driver.publish()
        else:
            if record.exists and not same:
                console.print(f"The finished study of other data is kept as {driver.set_aside()!r}.")
                driver = Driver(Record(record.paths), study_file, data, console)
            console.print(_plan(study_file, data))
            if same:
                done = sum(trial.outcome is not None for trial in record.trials())
                console.print(f"Going on with {record.paths.folder}, where {done} trials have ended.")
            missing = driver.run(file.read_text(), address)
    show(Record(record.paths), as_json, console)
    console.print(f"\nCompare in MLflow: study ui {study_file.name}{_studies_option(studies)}", soft_wrap=True)
    if missing:
        raise StudyError(missing)


def _is_same_study(record: Record, study_file: StudyFile, data_digest: str) -> bool:
    return bool(record.plan["file"] == study_file.canonical() and record.plan["data_digest"] == data_digest)


def _expect_finished_study_of_other_data(record: Record, study_file: StudyFile) -> None:
    """A name may be used again for other data once its study is finished; that one is then set aside.

    Raises:
        BadStudyInput: more than the data has changed, or the study there is not finished.
    """
    differences = _differences(record.plan["file"], study_file.canonical())
    if any(not line.startswith("data.") for line in differences) or record.state() != "finished":
        difference = "\n".join(differences) or "the recordings have changed"
        raise BadStudyInput(
            f"{record.paths.folder} holds a study with another plan:\n{difference}\n"
            f"launch this one under another name: --set name={study_file.name}-2"
        )


def _differences(recorded: dict[str, Any], wanted: dict[str, Any], prefix: str = "") -> list[str]:
    """Every key on which two plans differ, a line each."""
    lines: list[str] = []
    for key in recorded.keys() | wanted.keys():
        before, now = recorded.get(key), wanted.get(key)
        if isinstance(before, dict) and isinstance(now, dict):
            lines += _differences(before, now, f"{prefix}{key}.")
        elif before != now:
            lines.append(f"{prefix}{key}: {before!r} is locked, {now!r} is asked for")
    return sorted(lines)


def _plan(study_file: StudyFile, data: MotionData) -> str:
    search, confirm = study_file.search, study_file.confirm
    clips = f"{len(data.train)} training, {len(data.validation)} validation, {len(data.test)} test clips"
    trials = f"{study_file.trials_per_arm()} trials an arm, {study_file.n_trials()} in all"
    method = f"{search.sampler.name} sampler, pruner: {search.pruner.name.replace('_', ' ')}"
    lines = [
        f"Study    {study_file.name}" + (f": {study_file.question}" if study_file.question else ""),
        f"Data     {study_file.data.dataset}: {clips}",
        f"Arms     {', '.join(study_file.arms)}",
        f"Search   {trials}, {search.members} members, {search.epochs} epochs; {method}",
    ]
    if confirm:
        epochs = study_file.confirm_epochs()
        lines.append(
            f"Confirm  each arm's winner, {confirm.members} members on fresh seeds, {epochs} epochs, test split"
        )
    return "\n".join(lines)


def _studies_option(studies: Path) -> str:
    return "" if studies == Path("studies") else f" --studies {studies}"
