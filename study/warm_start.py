"""What a search learns from an earlier study, kept in its own record: the earlier one may change or go."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from study.errors import BadStudyInput
from study.json_files import read_json, write_json
from study.paths import StudyPaths
from study.record import Record
from study.space import Space, active_parameters
from study.study_file import StudyFile


@dataclass(frozen=True)
class Lesson:
    """A complete trial of an earlier study.

    Attributes:
        arm: whose it is, in both studies.
        values: of the parameters of that arm.
        results: one for each goal of this study.
    """

    arm: str
    values: dict[str, bool | int | float | str]
    results: list[float]


def find_lessons(studies: Path, study_file: StudyFile) -> list[Lesson]:
    """What can be learned from the study that ``search.warm_start`` names, in the order of arms and trials.

    Raises:
        BadStudyInput: there is no such study, or none of its trials can be learned from.
    """
    if study_file.search.warm_start is None:
        return []
    earlier = Record.open(studies, study_file.search.warm_start)
    lessons = list(_lessons(earlier, study_file))
    if not lessons:
        raise BadStudyInput(
            f"search.warm_start: {earlier.paths.name!r} has no complete trial of an arm of the same name and "
            "losses with the same parameters in their ranges"
        )
    return lessons


def write_lessons(paths: StudyPaths, lessons: list[Lesson]) -> None:
    """Keep them in the record of the study that learns."""
    write_json(paths.warm_start, {"lessons": [asdict(lesson) for lesson in lessons]})


def read_lessons(paths: StudyPaths) -> list[Lesson]:
    """What has been kept.

    Raises:
        DamagedRecord: the file is not what was written there.
    """
    if not paths.warm_start.exists():
        return []
    return read_json(paths.warm_start, lambda lessons: [Lesson(**lesson) for lesson in lessons])


def _lessons(earlier: Record, study_file: StudyFile) -> Iterator[Lesson]:
    for arm, losses in study_file.arms.items():
        if set(losses) != set(earlier.study_file.arms.get(arm, ())):
            continue
        parameters, space = active_parameters(study_file, arm), Space.of(study_file, arm)
        for trial in earlier.trials(arm, "search"):
            values = trial.request.parameters
            if trial.state != "complete" or values.keys() != parameters.keys() or space.broken(values):
                continue
            if all(parameter.contains(values[name]) for name, parameter in parameters.items()):
                mean = trial.epochs()[-1]["mean"]
                yield Lesson(arm, values, [mean[goal.metric] for goal in study_file.goals()])
