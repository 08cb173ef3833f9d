"""What a search takes over from an earlier study."""

from collections.abc import Callable
from typing import Any

import pytest

from study.errors import BadStudyInput, DamagedRecord
from study.paths import StudyPaths
from study.record import Record, Trial
from study.study_file import StudyFile
from study.warm_start import find_lessons, read_lessons, write_lessons

NewRecord = Callable[..., Record]
AddTrial = Callable[..., Trial]

VALUES = {"hidden_size": 16}


@pytest.fixture
def file_with(study_with: Callable[..., StudyFile]) -> Callable[..., StudyFile]:
    """A study of one parameter that learns from the study `small`."""

    def build(**sections: Any) -> StudyFile:
        search = {"trials_per_arm": 4, "sampler": {"name": "tpe"}, "warm_start": "small"}
        parameters = {"hidden_size": {"type": "categorical", "values": [8, 16], "default": 16}}
        return study_with(**{"name": "next", "search": search, "parameters": parameters, "claims": []} | sections)

    return build


def paths_beside(record: Record) -> StudyPaths:
    paths = StudyPaths(record.paths.studies, "next")
    paths.folder.mkdir()
    return paths


def test_complete_trials_are_taken_over_arm_by_arm_with_their_results(
    new_record: NewRecord, add_trial: AddTrial, file_with: Callable[..., StudyFile]
) -> None:
    record = new_record()
    add_trial(record, "gt", "t00", [0.5, 0.4])
    add_trial(record, "gt", "t01", [0.9], "pruned")
    add_trial(record, "paper", "t00", [0.3])
    add_trial(record, "none", "t00", [0.2])
    add_trial(record, "gt", "confirm", [0.1])
    paths = paths_beside(record)
    file = file_with(arms={"paper": ["consistency", "bone"], "gt": ["gt"]})
    write_lessons(paths, find_lessons(paths.studies, file))
    lessons = [(lesson.arm, lesson.values, lesson.results) for lesson in read_lessons(paths)]
    assert lessons == [("paper", VALUES, [0.3]), ("gt", VALUES, [0.4])]


def test_trials_with_other_parameters_teach_nothing(
    new_record: NewRecord, add_trial: AddTrial, file_with: Callable[..., StudyFile]
) -> None:
    record = new_record()
    add_trial(record, "gt", "t00", [0.5])
    paths = paths_beside(record)
    narrower = {"hidden_size": {"type": "categorical", "values": [8, 32], "default": 8}}
    other = {"z_size": {"type": "int", "min": 4, "max": 8, "default": 4}}
    for parameters in (narrower, other):
        with pytest.raises(BadStudyInput, match=r"search.warm_start: 'small' has no complete trial of an arm"):
            find_lessons(paths.studies, file_with(parameters=parameters))
    assert read_lessons(paths) == []


def test_an_arm_of_the_same_name_with_other_losses_teaches_nothing(
    new_record: NewRecord, add_trial: AddTrial, file_with: Callable[..., StudyFile]
) -> None:
    record = new_record()
    add_trial(record, "gt", "t00", [0.5])
    add_trial(record, "paper", "t00", [0.4])
    file = file_with(arms={"gt": ["gt", "bone"], "paper": ["bone", "consistency"]}, reference="paper")
    (lesson,) = find_lessons(paths_beside(record).studies, file)
    assert lesson.arm == "paper"


def test_an_unknown_earlier_study_is_answered_with_those_there_are(
    new_record: NewRecord, file_with: Callable[..., StudyFile]
) -> None:
    search = {"trials_per_arm": 4, "sampler": {"name": "tpe"}, "warm_start": "nobody"}
    with pytest.raises(BadStudyInput, match=r"no study 'nobody' in .*; there are: small"):
        find_lessons(new_record().paths.studies, file_with(search=search))


def test_damaged_lessons_are_named(new_record: NewRecord) -> None:
    paths = paths_beside(new_record())
    paths.warm_start.write_text('{"lessons": [{}]}')
    with pytest.raises(DamagedRecord, match=r"warm_start.json is damaged"):
        read_lessons(paths)
