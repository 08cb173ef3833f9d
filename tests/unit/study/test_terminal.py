"""What fits into a terminal of any width."""

import io

import pytest
from rich import box
from rich.console import Console
from rich.table import Table

from study.terminal import Sliced, hanging

NAME, HEADINGS, CELLS = "consistency+bone", ("ade", "fde", "apd", "jerk"), ("0.123±0.004", "1.25", "0.5", "17")


def shown(width: int) -> list[str]:
    table = Table(title="errors", title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("arm", overflow="fold")
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row(NAME, *CELLS)
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(Sliced(table))
    return console.export_text().splitlines()


def test_a_table_that_fits_is_shown_as_it_is() -> None:
    assert len(shown(80)) == 4
    assert shown(80)[-1].split() == [NAME, *CELLS]


@pytest.mark.parametrize("width", range(30, 60))
def test_of_one_that_does_not_every_cell_is_whole_and_beside_its_name(width: int) -> None:
    lines = shown(width)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    assert "…" not in text
    assert [text.count(word) for word in (*HEADINGS, *CELLS)] == [1] * 8
    assert text.count("arm") == text.count("consistency")
    assert text.count("errors") == 1


def test_lines_go_on_below_their_text_and_words_stay_whole() -> None:
    assert hanging("Arms     none, gt\nSearch   3 trials an arm", 9, 17) == (
        "Arms     none, gt\nSearch   3 trials\n         an arm"
    )
    assert hanging("in studies/a-long-name", 2, 12) == "in\n  studies/a-long-name"
