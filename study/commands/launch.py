"""``study launch``: search every arm, confirm the winners, say what came out."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from hpgan_core.metrics import METRICS
from hpgan_core.trainable import baselines_on_test, showcase
from hpgan_core.windows import MotionData
from study import execution
from study.commands.compare import show
from study.errors import BadStudyInput, Interrupted, StudyError
from study.estimate import estimate
from study.motion import load_motion
from study.paths import StudyPaths
from study.phases import ConfirmPhase, Listener, SearchPhase
from study.progress import ProgressDisplay
from study.provenance import environment
from study.record import Record, References
from study.study_file import StudyFile, read_study_file
from study.tracking import Publisher, Tracker


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
    if record.exists and not _is_same_study(record, study_file, data.digest):
        _set_aside(record, study_file, console)
        record = Record(record.paths)
    if record.exists and record.state() == "finished":
        console.print(f"Study {study_file.name!r} is finished; nothing is left to run.")
        show(record, as_json, console)
        return

    resources = execution.Resources(
        study_file.resources.cpus_per_trial, study_file.resources.gpus_per_trial, study_file.resources.max_concurrent
    )
    console.print(_plan(study_file, data))
    if record.exists:
        done = sum(trial.state != "running" for trial in record.trials())
        console.print(f"Going on with {record.paths.folder}, where {done} trials have ended.")
    with ExitStack() as stack:
        with console.status("Starting Ray and MLflow ..."):
            stack.enter_context(execution.cluster(address))
            tracker = Tracker(record, study_file)
            slots = execution.slots(resources)
            cost = estimate(study_file, data, max(1, slots))
        console.print(f"Time     about {_duration(cost.total_s)} with {slots} trials at a time, less what is pruned")
        stack.enter_context(record.driving())
        if not record.exists:
            past, truth = showcase(data)
            record.write_references(References(past, truth, data.skeleton.name, data.frame_rate_hz))
            record.create(study_file, file.read_text(), data.digest, environment())
        publisher = Publisher(tracker, lambda text: console.print(text, style="yellow"))
        try:
            _search(record, data, resources, [publisher], console)
            if study_file.confirm is not None:
                _confirm(record, data, resources, [publisher], console)
            missing = _arms_without_result(record)
            record.conclude("failed" if missing else "finished", missing)
        finally:
            publisher.close()
    show(record, as_json, console)
    console.print(
        f"\nCompare in MLflow: study ui {study_file.name}{_studies_option(studies)}",
        soft_wrap=True,
    )
    if missing:
        raise StudyError(missing)


def _search(
    record: Record, data: MotionData, resources: execution.Resources, listeners: list[Listener], console: Console
) -> None:
    study_file = record.study_file
    wall_time_s = study_file.budget.wall_time_s
    deadline = None if wall_time_s is None else time.monotonic() + wall_time_s
    with ProgressDisplay(console, record, "search") as display:
        phase = SearchPhase(record, [display, *listeners], deadline)
        if not execution.run(phase, data, resources, record.paths.ray):
            raise Interrupted(record.paths.name)
    if phase.out_of_time:
        console.print(f"The search ended after {wall_time_s:g} s, the budget of `budget.wall_time_s`.")


def _confirm(
    record: Record, data: MotionData, resources: execution.Resources, listeners: list[Listener], console: Console
) -> None:
    with ProgressDisplay(console, record, "confirm") as display:
        if not execution.run(ConfirmPhase(record, [display, *listeners]), data, resources, record.paths.ray):
            raise Interrupted(record.paths.name)
    # Every arm has the same: it is no parameter.
    final_windows = {trial.request.settings["final_windows"] for trial in record.trials(phase="confirm")}
    record.write_baselines(baselines_on_test(data, max(final_windows)))


def _arms_without_result(record: Record) -> str | None:
    confirmed = record.study_file.confirm is not None
    missing = [
        arm for arm in record.study_file.arms if not (record.confirmation(arm) if confirmed else record.winner(arm))
    ]
    if not missing:
        return None
    causes = {
        outcome.cause for arm in missing for trial in record.trials(arm) if (outcome := trial.outcome) and outcome.cause
    }
    return f"no result for {', '.join(missing)}: {'; '.join(sorted(causes)) or 'every trial was stopped early'}"


def _is_same_study(record: Record, study_file: StudyFile, data_digest: str) -> bool:
    return bool(record.plan["file"] == study_file.canonical() and record.plan["data_digest"] == data_digest)


def _set_aside(record: Record, study_file: StudyFile, console: Console) -> None:
    """Make room for a study of other data under a name that is taken.

    Raises:
        BadStudyInput: more than the data has changed, or the study there is not finished.
    """
    recorded, wanted = record.plan["file"], study_file.canonical()
    differences = _differences(recorded, wanted)
    if any(not line.startswith("data.") for line in differences) or record.state() != "finished":
        difference = "\n".join(differences) or "the recordings have changed"
        raise BadStudyInput(
            f"{record.paths.folder} holds a study with another plan:\n{difference}\n"
            f"launch this one under another name: --set name={study_file.name}-2"
        )
    tracker = Tracker(record, record.study_file)
    name = record.set_aside()
    if record.study_file.tracking.experiment is None:
        tracker.rename(name)
    console.print(f"The finished study of other data is kept as {name!r}.")


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


def _duration(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _studies_option(studies: Path) -> str:
    return "" if studies == Path("studies") else f" --studies {studies}"
