"""What a study did after its test split had been opened stands beside its answer."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from study.commands.compare import run
from study.comparison import compare
from study.looks import Looks
from study.record import Record, Trial
from study.report.content import build_content
from study.report.figures import build_figures
from study.report.words import Words
from tests.unit.study.test_compare_verb import build  # noqa: F401  # a fixture

Build = Callable[..., Record]


@pytest.fixture
def looked(build: Build) -> Record:  # noqa: F811
    """A confirmed study whose test split was opened once."""
    record = build(0.5)
    record.open_test_split("host", ["gt/confirm"])
    return record


def printed(record: Record) -> str:
    console = Console(width=100, markup=False, highlight=False, record=True, file=io.StringIO())
    run([record.paths.name], studies=record.paths.studies, console=console)
    return " ".join(console.export_text().split())


def reported(record: Record, language: str) -> list[str]:
    comparison = compare(record)
    return build_content(record, comparison, build_figures(record, comparison, None), Words(language)).warnings


def test_one_look_is_nothing_to_warn_of(looked: Record) -> None:
    assert Looks.of(looked) == Looks(1, 0, (), 0)
    assert compare(looked).warnings() == reported(looked, "en") == []


def test_what_was_asked_for_before_the_first_look_is_nothing_to_warn_of(build: Build) -> None:  # noqa: F811
    record = build(0.5)
    record.amend("add_trials", trials=1)
    record.amend("more_seeds", members=1)
    record.open_test_split("host", ["gt/confirm"])
    assert not Looks.of(record).warnings()


def test_winners_that_are_picked_again_are_warned_of_beside_the_answer(
    looked: Record,
    add_trial: Callable[..., Trial],
    capsys: pytest.CaptureFixture[str],
) -> None:
    looked.amend("add_trials", trials=1)
    add_trial(looked, "gt", "t01", [0.05] * 4)
    looked.open_test_split("host", ["gt/confirm-1"])
    assert Looks.of(looked) == Looks(2, 1, ("gt",), 0)
    said = "winners were picked again after the test split had been opened (gt have another one since)"
    assert said.replace("gt have", "gt has") in printed(looked)
    run(["small"], studies=looked.paths.studies, as_json=True, console=Console(quiet=True))
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert content["looks"] == {"openings": 2, "trials_added": 1, "winners_changed": ["gt"], "seeds_added": 0}
    assert len(content["warnings"]) == 1
    assert reported(looked, "en") == [
        "Winners were picked again after the test split had been opened, by somebody who could know the first answer. "
        "It was opened 2 times.",
        "Since then another trial has won in: “gt”.",
    ]
    assert reported(looked, "it")[1] == "Da allora ha vinto un'altra prova in: «gt»."


def test_seeds_that_were_added_after_a_look_are_warned_of_beside_the_answer(looked: Record) -> None:
    looked.amend("more_seeds", members=2)
    assert Looks.of(looked).seeds_added == 1
    assert "seeds were added once after a look at the test split" in printed(looked)
    assert reported(looked, "en")[0].startswith("Seeds were added after a look at the test split, 1×")
    assert reported(looked, "it")[0].startswith("Dopo uno sguardo all'insieme di test sono stati aggiunti semi, 1×")


@pytest.mark.parametrize(("key", "warned"), [("gt/t00", True), ("gt/shortlist-t00", True), ("gt/confirm", False)])
def test_only_a_repeated_trial_that_chooses_is_warned_of(looked: Record, key: str, warned: bool) -> None:
    looked.amend("retry_failed", trials=[key])
    assert Looks.of(looked).picked_again == warned


@pytest.mark.parametrize(
    ("people", "english", "italian"),
    [(1, "one person's", "una sola persona"), (2, "2 people's", "sole 2 persone")],
)
def test_an_answer_from_few_people_says_so(
    build: Build,  # noqa: F811
    people: int,
    english: str,
    italian: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = build(0.5, people_tested=people)
    said = f"the test split has {english} clips: intervals are over seeds, not over people."
    assert f"Warning: {said}" in printed(record)
    assert f"- Warning: {said}" in compare(record).markdown()
    run(["small"], studies=record.paths.studies, as_json=True, console=Console(quiet=True))
    assert json.loads(capsys.readouterr().out)["warnings"] == [f"Warning: {said}"]
    assert reported(record, "en") == [said[0].upper() + said[1:]]
    assert reported(record, "it") == [
        f"L'insieme di test ha le sequenze di {italian}: gli intervalli sono sui semi, non sulle persone."
    ]


@pytest.mark.parametrize("people", [None, 3])
def test_enough_people_or_an_older_record_that_does_not_tell_are_nothing_to_warn_of(
    build: Build,  # noqa: F811
    people: int | None,
) -> None:
    record = build(0.5, people_tested=people)
    assert compare(record).warnings() == reported(record, "en") == []


def test_few_people_are_nothing_to_warn_of_before_there_is_an_answer_from_them(
    new_record: Callable[..., Record], add_trial: Callable[..., Trial]
) -> None:
    record = new_record(people_tested=1)
    add_trial(record, "gt", "t00", [0.5] * 4)
    assert compare(record).warnings() == []
