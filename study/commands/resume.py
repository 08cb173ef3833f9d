"""``study resume``: go on with a study from its record alone, with more to do if asked."""

from pathlib import Path

from rich.console import Console

from study.agenda import retriable
from study.commands.launch import finish, go_on, output_for
from study.errors import BadStudyInput
from study.lease import expect_no_local_holder
from study.motion import load_motion_of
from study.record import Record
from study.sentences import why_no_more_trials


def run(
    name: str,
    *,
    retry_failed: bool,
    add_trials: int,
    more_seeds: int,
    studies: Path,
    address: str | None,
    as_json: bool,
    console: Console,
) -> None:
    """Go on with a study.

    Args:
        name: of the study.
        retry_failed: run its failed trials again, but for those that diverged.
        add_trials: so many more trials of every arm.
        more_seeds: so many more members of every arm's winner.
        studies: folder of all studies.
        address: the Ray cluster to join; None starts a local one.
        as_json: print JSON.
        console: where to tell.

    Raises:
        BadStudyInput: no such study, other data than was recorded, or nothing to which more can be added.
        StudyError, TooManyFailed, BudgetSpent, Interrupted: as ``study launch``.
    """
    record = Record.open(studies, name)
    expect_no_local_holder(record.paths)
    _expect_room(record, add_trials, more_seeds)
    failed = [trial.key for trial in retriable(record)] if retry_failed else []
    if retry_failed:
        console.print(f"To run again: {', '.join(failed) or 'no failed trial that might succeed'}", soft_wrap=True)
    data = load_motion_of(record)

    # Ray and MLflow take seconds to import; what cannot be gone on with has been told by now.
    from study.driver import Driver

    def amend(record: Record) -> None:
        if failed:
            record.amend("retry_failed", trials=failed)
        if add_trials:
            record.amend("add_trials", trials=add_trials)
        if more_seeds:
            record.amend("more_seeds", members=more_seeds)

    with output_for(as_json):
        driver = Driver(record, record.study_file, data, console)
        go_on(driver, amend, more_to_do=bool(failed or add_trials or more_seeds), address=address)
    finish(Record(record.paths), as_json, console)


def _expect_room(record: Record, add_trials: int, more_seeds: int) -> None:
    """Raises BadStudyInput where there can be no more of what is asked for."""
    study_file = record.study_file
    if add_trials and (reason := why_no_more_trials(study_file)):
        raise BadStudyInput(f"--add-trials: {reason}")
    if more_seeds and study_file.confirm is None:
        raise BadStudyInput("--more-seeds: the study has no confirm phase")
