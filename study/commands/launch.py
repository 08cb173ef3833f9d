"""``study launch``: search every arm, confirm the winners, say what came out."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from hpgan_core.metrics import METRICS
from hpgan_core.windows import MotionData
from study.amendments import OPERATIONS
from study.commands.compare import show
from study.errors import BadStudyInput, BudgetSpent, StudyError, TooManyFailed
from study.lease import expect_no_local_holder
from study.motion import load_motion, split_sizes
from study.output import lasting_output
from study.paths import StudyPaths
from study.reading import read_study_file
from study.record import Record
from study.study_file import StudyFile
from study.terminal import hanging
from study.warm_start import find_lessons

# Characters of what stands before each line of a plan.
LABEL = 9

if TYPE_CHECKING:
    from study.driver import Driver


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
        StudyError: Ray cannot be reached, another process runs this study, or an arm ended without a result.
        TooManyFailed, BudgetSpent: it ended before its search did.
        Interrupted: Ctrl-C, SIGTERM or `study stop`; the message has the command that goes on.
    """
    study_file = read_study_file(file, overrides, data_root, METRICS)
    data = load_motion(study_file.data)
    record = Record(StudyPaths(studies, study_file.name))
    expect_no_local_holder(record.paths)
    same = record.exists and _is_same_study(record, study_file, data.digest)
    if record.exists and not same:
        _expect_finished_study_of_other_data(record, study_file)
    lessons = [] if same else find_lessons(studies, study_file)

    # Ray and MLflow take seconds to import; a mistake in the file has been told by now.
    from study.driver import Driver, create

    with output_for(as_json):
        if same:
            console.print(hanging(_plan(study_file, data), LABEL, console.width))
            go_on(
                Driver(record, study_file, data, console),
                lambda record: record.amend_operations(study_file),
                more_to_do=_may_go_further(record, study_file),
                address=address,
            )
        else:
            if record.exists:
                name = Driver(record, study_file, data, console).set_aside()
                console.print(f"The finished study of other data is kept as {name!r}.")
                record = Record(record.paths)
            console.print(hanging(_plan(study_file, data), LABEL, console.width))
            source = file.read_text()
            Driver(record, study_file, data, console).run(
                lambda record: create(record, study_file, source, data, lessons), address
            )
    finish(Record(record.paths), as_json, console)


@contextmanager
def output_for(as_json: bool) -> Iterator[None]:
    """While a study is driven: it outlives whoever reads, and Ray prints to what with --json is for JSON alone."""
    with lasting_output(), redirect_stdout(sys.stderr) if as_json else nullcontext():
        yield


def go_on(driver: "Driver", amend: Callable[[Record], None], *, more_to_do: bool, address: str | None) -> None:
    """Go on with a recorded study; one that has ended is only published, unless the amendment leaves more to do."""
    record = driver.record
    conclusion = record.conclusion()
    if conclusion is not None and not more_to_do:
        driver.console.print(f"Study {record.paths.name!r} is {_words(conclusion.state)}; nothing is left to run.")
        if driver.study_file != record.study_file:
            driver.amend(amend)
        driver.publish()
        return
    ended = sum(trial.outcome is not None for trial in record.trials())
    driver.console.print(f"Going on with {record.paths.folder}, where {ended} trials have ended.")
    driver.run(amend, address)


def finish(record: Record, as_json: bool, console: Console) -> None:
    """Show what came out, and end with the exit code of how it came out.

    Raises:
        TooManyFailed, BudgetSpent: the search has been cut short.
        StudyError: an arm ended without a result.
    """
    show(record, as_json, console)
    console.print(f"\nCompare in MLflow: {record.command('ui')}", soft_wrap=True)
    conclusion = record.conclusion()
    assert conclusion is not None
    if conclusion.state == "finished":
        return
    again = f"run them again with `{record.command('resume')} --retry-failed`"
    if conclusion.state == "too_many_failed":
        raise TooManyFailed(f"{conclusion.reason}. See why with `{record.command('status')}`, then {again}")
    if conclusion.state == "budget_spent":
        raise BudgetSpent(f"the search was cut short: {conclusion.reason}. Launch with a greater budget to go on")
    raise StudyError(f"{conclusion.reason}. Where trials failed, {again}")


def _words(state: str) -> str:
    return state if state == "finished" else f"over ({state.replace('_', ' ')})"


def _is_same_study(record: Record, study_file: StudyFile, data_digest: str) -> bool:
    """Whether everything that shapes results is as it was locked."""
    return record.plan["data_digest"] == data_digest and _locked(record.study_file) == _locked(study_file)


def _may_go_further(record: Record, study_file: StudyFile) -> bool:
    """Whether a study that has ended might not have, with the operations of ``study_file``."""
    conclusion = record.conclusion()
    return conclusion is not None and conclusion.state != "finished" and record.study_file != study_file


def _locked(study_file: StudyFile) -> dict[str, Any]:
    return {name: section for name, section in study_file.canonical().items() if name not in OPERATIONS}


def _expect_finished_study_of_other_data(record: Record, study_file: StudyFile) -> None:
    """A name may be used again for other data once its study is finished; that one is then set aside.

    Raises:
        BadStudyInput: more than the data has changed, or the study there is not finished.
    """
    differences = _differences(_locked(record.study_file), _locked(study_file))
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
    sizes = split_sizes(data)
    clips = f"{len(data.train)} training, {len(data.validation)} validation, {len(data.test)} test clips"
    people = f"{sizes['train'].people}, {sizes['validation'].people} and {sizes['test'].people} people"
    trials = f"{study_file.trials_per_arm()} trials an arm, {study_file.n_trials()} in all"
    method = f"{search.sampler.name} sampler, pruner: {study_file.pruner().name.replace('_', ' ')}"
    if study_file.objectives:
        metrics = " and ".join(objective.metric for objective in study_file.objectives)
        method += f", since several objectives count: the Pareto front of {metrics}"
    lines = [
        f"Study    {study_file.name}" + (f": {study_file.question}" if study_file.question else ""),
        f"Data     {study_file.data.dataset}: {clips} of {people}",
        f"Arms     {', '.join(study_file.arms)}",
        f"Search   {trials}, {search.members} members, {search.epochs} epochs; {method}",
    ]
    epochs = study_file.confirm_epochs()
    if shortlist := study_file.shortlist():
        lines.append(
            f"Again    the {shortlist.trials} best trials of each arm, {shortlist.members} members on new seeds, "
            f"{epochs} epochs"
        )
    if confirm:
        lines.append(
            f"Confirm  each arm's winner, {confirm.members} members on fresh seeds, {epochs} epochs, test split"
        )
    return "\n".join(lines)
