"""``study reproduce``: train a recorded trial again and hold every number against the record."""

from pathlib import Path

from rich.console import Console

from study.errors import BadStudyInput, NotReproduced
from study.motion import load_motion_of
from study.provenance import differences, environment
from study.record import Record, Trial
from study.reproduce import reproduce


def run(name: str, trial_name: str | None, *, studies: Path, console: Console) -> None:
    """Reproduce one trial, by default the best of the study.

    Raises:
        BadStudyInput: no such study or trial, a trial without an epoch, or other data.
        NotReproduced: a number differs.
    """
    record = Record.open(studies, name)
    trial = _find(record, trial_name)
    data = load_motion_of(record)
    epochs = len(trial.epochs())
    if not epochs:
        cause = trial.outcome.cause if trial.outcome else "it has just begun"
        raise BadStudyInput(f"trial {trial.key} has no epoch to compare with: {cause}")
    console.print(
        f"Training {trial.key} again: {epochs} epochs, {len(trial.request.seeds)} members ...",
    )
    with console.status("") as status:
        result = reproduce(
            trial, data, record.study_file.resources, lambda done, of: status.update(f"epoch {done} of {of}")
        )
    changed = differences(record.plan["environment"], environment())
    for line in changed:
        console.print(f"environment: {line}")
    if not result.identical:
        hint = "the environment differs as listed above" if changed else "the environment is the recorded one"
        raise NotReproduced(f"{trial.key} was not reproduced: {result.first_difference}; {hint}")
    console.print(
        f"{trial.key}: bit-identical. All {result.values} numbers of {result.epochs} epochs equal the recorded ones.",
    )


def _find(record: Record, trial_name: str | None) -> Trial:
    if trial_name is None:
        best = record.best()
        if best is None:
            raise BadStudyInput(f"study {record.paths.name!r} has no complete trial yet; name one, as ARM/t00")
        return best
    return record.find(trial_name)
