"""What a notebook shows of a study and of its comparison, from records written by hand."""

import html
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

import study
from study.card import COLOURS
from study.comparison import compare
from study.errors import BadStudyInput
from study.record import Record, Trial
from tests.unit.study.test_compare_verb import build  # noqa: F401  # a fixture

Build = Callable[..., Record]


def texts(shown: str) -> list[str]:
    """What is read, in order; fails where the HTML is not well formed."""
    return [text for text in ElementTree.fromstring(shown).itertext() if text.strip()]


def shown(record: Record) -> str:
    return study.load(record.paths.name, record.paths.studies)._repr_html_()


def test_a_card_has_question_state_verdict_and_a_row_an_arm(build: Build) -> None:  # noqa: F811
    record = build(0.5)
    read = texts(shown(record))
    assert read[:3] == ["study small: finished", "Can gt replace both?", *compare(record).verdicts()]
    row = read.index("paper")
    assert read[row : row + 2] == ["paper", "3"]
    assert re.fullmatch(r"0\.\d{3}±0\.\d{3}", read[row + 2])


def test_a_verdict_has_its_colour_and_a_warning_another(build: Build) -> None:  # noqa: F811
    card = compare(build(0.5, people_tested=1))._repr_html_()
    sentences = re.findall(r"4px solid (\S+);[^>]*>([^<]*)", card)
    assert [(colour, text.split(": ")[0]) for colour, text in sentences] == [
        (COLOURS["non-inferior"], "gt replaces both"),
        (COLOURS["warning"], "Warning"),
    ]


def test_a_card_leaves_page_and_letters_their_colour(build: Build) -> None:  # noqa: F811
    """A dark notebook stays dark."""
    card = shown(build(0.5))
    assert "background" not in card
    assert not re.search(r"[;\"]color:", card)


def test_text_of_the_record_cannot_become_part_of_a_notebook(new_record: Callable[..., Record]) -> None:
    question = "Does <script>alert('1')</script> & \"co\" do?"
    claim = {"name": "<img src=x onerror=alert(1)>", "candidate": "gt", "metrics": ["ade"]}
    card = shown(new_record(question=question, claims=[claim]))
    assert "<script" not in card
    assert "<img" not in card
    assert question in html.unescape(card)
    assert any(text.startswith("<img src=x onerror=alert(1)>: no verdict yet") for text in texts(card))


def test_a_study_without_a_trial_or_with_failed_ones_alone_has_a_card(
    new_record: Callable[..., Record], add_trial: Callable[..., Trial]
) -> None:
    record = new_record()
    add_trial(record, "gt", "t00", [], state="failed")
    read = texts(shown(record))
    assert read[0] == "study small: interrupted"
    row = read.index("gt")
    assert read[row : row + 9] == ["gt", "0", *["-"] * 6, "unconfirmed"]


def test_a_curve_that_is_not_there_yet_is_no_unknown_metric(new_record: Callable[..., Record]) -> None:
    record = new_record()
    with pytest.raises(BadStudyInput, match="study 'small' has no learning curve yet: no arm has a complete trial"):
        study.load("small", record.paths.studies).plot_learning()


def test_a_card_says_where_the_report_is_or_how_to_get_one(build: Build, tmp_path: Path) -> None:  # noqa: F811
    record = build(0.5)
    assert texts(shown(record))[-1] == f"No report yet: study report small --studies {tmp_path}"
    record.paths.report.mkdir()
    page = record.paths.report / "report.html"
    page.write_text("")
    assert texts(shown(record))[-1] == f"Report: {page}"
