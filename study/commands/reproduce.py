"""``study reproduce``: train a recorded trial again and grade how well its numbers come back."""

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from study.errors import BadStudyInput, NotReproduced
from study.motion import load_motion_of
from study.provenance import differences, training_environment
from study.record import Record, Trial
from study.reproduce import GRADES, reproduce


def run(
    name: str | None,
    trial_name: str | None,
    *,
    arm: str | None,
    from_mlflow: str | None,
    threads: int | None,
    studies: Path,
    as_json: bool,
    console: Console,
) -> None:
    """Reproduce one trial, by default the best of the study.

    Args:
        name: of the study; None with ``from_mlflow``.
        trial_name: ``ARM/TRIAL``.
        arm: instead of a trial: the arm's winner, on fresh seeds where it has been confirmed.
        from_mlflow: instead of a study: a run, whose files hold all that is needed.
        threads: of the training; default: as recorded.
        studies: folder of all studies.
        as_json: print JSON.
        console: where to tell.

    Raises:
        BadStudyInput: no such study, trial or run, a trial without an epoch, or other data.
        DamagedRecord: the plan is no longer the one that was locked.
        NotReproduced: the grade is F.
    """
    if (name is None) == (from_mlflow is None):
        raise BadStudyInput("name a study, or a run of MLflow with --from-mlflow, and not both")
    named = trial_name or from_mlflow
    if named is not None and arm is not None:
        raise BadStudyInput(f"--arm {arm}: {named!r} names a trial already; name one of the two")
    if from_mlflow is not None:
        from study.tracking import fetch_trial

        with TemporaryDirectory(prefix="from-mlflow-") as folder:
            record, trial = fetch_trial(from_mlflow, studies, Path(folder))
            _reproduce(record, trial, threads, as_json, console)
        return
    assert name is not None
    record = Record.open(studies, name)
    _reproduce(record, _find(record, trial_name, arm), threads, as_json, console)


def _reproduce(record: Record, trial: Trial, threads: int | None, as_json: bool, console: Console) -> None:
    record.plan_digest()
    data = load_motion_of(record)
    epochs = len(trial.epochs())
    if not epochs:
        cause = trial.outcome.cause if trial.outcome else "it has just begun"
        raise BadStudyInput(f"trial {trial.key} has no epoch to compare with: {cause}")
    recorded = _environment(record, trial)
    resources = record.study_file.resources
    resources = resources.model_copy(
        update={"cpus_per_trial": threads or recorded.get("threads", resources.cpus_per_trial)}
    )
    members = len(trial.request.seeds)
    console.print(f"Training {trial.key} again: {epochs} epochs, {members} members ...")
    objective = record.study_file.objective.metric
    with console.status("") as status:
        result = reproduce(trial, data, resources, objective, lambda done, of: status.update(f"epoch {done} of {of}"))
    now = training_environment(resources.cpus_per_trial, resources.gpus_per_trial > 0)
    changed = differences(recorded, {name: value for name, value in now.items() if name in recorded})
    for line in changed:
        console.print(f"environment: {line}", soft_wrap=True)
    if as_json:
        print(json.dumps(asdict(result) | {"environment": changed}, indent=2))
    where = f"; first difference: {result.first_difference}" if result.first_difference else ""
    if result.grade == "F":
        hint = "the environment differs as listed above" if changed else "the environment is the recorded one"
        raise NotReproduced(f"{trial.key}: grade F, {GRADES['F']}{where}; {hint}")
    console.print(
        f"{trial.key}: grade {result.grade}, {GRADES[result.grade]}. {result.values} numbers of {result.epochs} epochs "
        f"compared{where}.",
        soft_wrap=True,
    )


def _environment(record: Record, trial: Trial) -> dict[str, object]:
    """Of the process that trained the last of it; of the first launch, where no process has told."""
    told = [attempt.environment for attempt in trial.attempts() if attempt.environment]
    environment: dict[str, object] = told[-1] if told else record.plan["environment"]
    return environment


def _find(record: Record, trial_name: str | None, arm: str | None) -> Trial:
    if trial_name is not None:
        return record.find(trial_name)
    if arm is not None and arm not in record.study_file.arms:
        raise BadStudyInput(f"no arm {arm!r}; there are: {', '.join(record.study_file.arms)}")
    found = record.best() if arm is None else record.confirmation(arm) or record.winner(arm)
    if found is None:
        raise BadStudyInput(f"study {record.paths.name!r} has no complete trial yet; name one, as ARM/t00")
    return found
