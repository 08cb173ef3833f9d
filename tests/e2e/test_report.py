"""The report of small studies in a real browser: it opens without a network, draws, moves and obeys."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from pathlib import Path
from string import Formatter

import pytest
from playwright.sync_api import Browser, Page
from typer.testing import CliRunner

from study.cli import app
from study.record import Record
from study.report import write_report
from study.report.words import ENGLISH, ITALIAN
from tests.browser import chromium
from tests.integration.conftest import Drive, MakeRecord, drive, make_record  # noqa: F401  # fixtures

LOSSES = ("gt", "consistency", "bone")
EIGHT_ARMS = {"+".join(arm) or "none": list(arm) for size in range(4) for arm in combinations(LOSSES, size)}
CLAIM = {
    "name": "gt replaces both",
    "candidate": "gt",
    "reference": "consistency+bone",
    "metrics": ["ade", "bone_error"],
}
SECTIONS = {
    "question": "Does the ground truth help?",
    "arms": EIGHT_ARMS,
    "search": {"trials_per_arm": 1, "members": 1, "epochs": 1, "pruner": {"name": "none"}},
    "claims": [CLAIM],
}
MOST_BYTES = 2_000_000


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, make_record: MakeRecord, drive: Drive) -> Record:  # noqa: F811
    """All eight combinations of losses, trained and confirmed on three seeds."""
    record = make_record(tmp_path_factory.mktemp("report"), **SECTIONS)
    drive(record)
    return record


@pytest.fixture(scope="module")
def pages(study: Record) -> dict[str, Path]:
    """The report in both languages, in folders of their own."""
    return {language: write_report(study, language, study.paths.report / language) for language in ("en", "it")}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@dataclass
class Opened:
    """A page, what it has complained about, and what it has asked the network for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


Open = Callable[..., Opened]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    contexts = []

    def build(path: Path | None = None, width: int = 1400, scheme: str = "light") -> Opened:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        contexts.append(context)
        opened = Opened(context.new_page())
        opened.page.on("console", lambda message: opened.complaints.append(message.text))
        opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.page.on("request", lambda request: opened.requests.append(request.url))
        if path is not None:
            opened.page.goto(path.as_uri())
            opened.page.locator("#pareto-plot svg").wait_for()
        return opened

    yield build
    for context in contexts:
        context.close()


@pytest.mark.parametrize("language", ["en", "it"])
@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (1400, "light")])
def test_the_page_draws_everything_alone_and_fits_the_screen(
    pages: dict[str, Path], open_page: Open, language: str, width: int, scheme: str
) -> None:
    opened = open_page(pages[language], width, scheme)
    assert opened.complaints == []
    assert opened.requests == [pages[language].as_uri()]
    page = opened.page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for place in ("#forest", "#effects-plots", "#learning-plot", "#pareto-plot", "#search .search-plot >> nth=7"):
        assert page.locator(f"{place} >> svg >> nth=0").bounding_box(), place
    assert page.locator("#panels canvas").count() == 9
    # Headings lead from one to the next level without a gap.
    levels = [int(tag[1]) for tag in page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => h.tagName)")]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_it_works_inside_a_sandbox_with_scripts_only(pages: dict[str, Path], open_page: Open) -> None:
    opened = open_page()
    opened.page.set_content('<iframe sandbox="allow-scripts" width="1000" height="800"></iframe>')
    opened.page.evaluate("html => { document.querySelector('iframe').srcdoc = html }", pages["en"].read_text())
    frame = opened.page.frame_locator("iframe")
    frame.locator("#pareto-plot svg").wait_for()
    before = frame.locator("#panels").get_attribute("data-time")
    frame.locator("#panels").scroll_into_view_if_needed()
    opened.page.wait_for_timeout(500)
    assert frame.locator("#panels").get_attribute("data-time") != before
    assert opened.complaints == []


PICTURE = "index => document.querySelectorAll('#panels canvas')[index].toDataURL()"


def test_the_skeletons_move_and_obey(pages: dict[str, Path], open_page: Open) -> None:
    page = open_page(pages["en"]).page
    panels, play = page.locator("#panels"), page.locator("#play")

    def time() -> float:
        return float(panels.get_attribute("data-time") or "nan")

    def pictures() -> list[str]:
        return [page.evaluate(PICTURE, index) for index in range(9)]

    panels.scroll_into_view_if_needed()
    page.locator("#play", has_text="Pause").wait_for()
    page.locator("#speed").select_option("0.1")
    first, began = pictures(), time()
    page.wait_for_timeout(400)
    play.click()
    assert play.inner_text() == "Play"
    assert all(before != after for before, after in zip(first, pictures(), strict=True))
    # At a tenth of the speed of 30 frames a second, give and take what the browser needed for nine pictures.
    assert 0 < (time() - began) % 29 < 15
    rested = time()
    page.wait_for_timeout(200)
    assert time() == rested

    page.locator("#frame").fill("0")
    assert time() == 0
    observed = pictures()
    # Before the future begins every arm sees the same.
    assert len(set(observed[1:])) == 1
    page.locator("#frame").fill("29")
    truth, none, gt = pictures()[:3]
    assert len({truth, none, gt}) == 3

    last = pictures()
    box = panels.bounding_box()
    assert box
    page.mouse.move(box["x"] + 90, box["y"] + 120)
    page.mouse.down()
    page.mouse.move(box["x"] + 190, box["y"] + 130, steps=4)
    page.mouse.up()
    turned = pictures()
    assert all(before != after for before, after in zip(last, turned, strict=True))
    panels.focus()
    page.keyboard.press("ArrowLeft")
    assert pictures() != turned
    for control, choice in (("#clip", "2"), ("#z", "3")):
        before = pictures()
        page.locator(control).select_option(choice)
        assert pictures()[1] != before[1]


def test_stretched_bones_are_coloured(pages: dict[str, Path], open_page: Open) -> None:
    page = open_page(pages["en"]).page

    def red_share() -> float:
        """Of the pixels of the first arm's panel, those that are clearly more red than blue and green."""
        count = """() => {
            const canvas = document.querySelectorAll('#panels canvas')[1];
            const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            let red = 0;
            for (let i = 0; i < data.length; i += 4) red += data[i] - Math.max(data[i + 1], data[i + 2]) > 40;
            return red / (data.length / 4);
        }"""
        return float(page.evaluate(count))

    page.locator("#frame").fill("9")
    observed = red_share()
    page.locator("#frame").fill("29")
    assert red_share() > observed + 0.0005


def test_an_arm_can_be_hidden_everywhere(pages: dict[str, Path], open_page: Open) -> None:
    page = open_page(pages["en"]).page
    members = page.locator("#pareto-plot circle")
    before = members.count()
    chip = page.locator("#chips button", has_text=re.compile("^gt$"))
    chip.click()
    assert chip.get_attribute("aria-pressed") == "false"
    assert members.count() == before - 4
    assert page.locator("#panels figure:visible").count() == 8
    assert page.locator("#search article:visible").count() == 7
    chip.click()
    assert members.count() == before


def test_eight_arms_fit_into_two_megabytes(pages: dict[str, Path]) -> None:
    assert all(page.stat().st_size <= MOST_BYTES for page in pages.values())


def test_no_english_is_left_in_the_italian_page(study: Record, pages: dict[str, Path], open_page: Open) -> None:
    page = open_page(pages["it"]).page
    # What people wrote and what the record quotes stays as it is.
    text = page.evaluate("""() => {
        document.querySelectorAll('pre, code, h1, script, style').forEach(element => element.remove());
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), texts = [document.title];
        while (walker.nextNode()) texts.push(walker.currentNode.data);
        for (const element of document.querySelectorAll('[aria-label], [title]'))
            texts.push(element.ariaLabel, element.title);
        return texts.join(' | ');
    }""")
    for name in ("gt replaces both", *EIGHT_ARMS, *study.study_file.parameters, "val/score"):
        text = text.replace(name, "")
    found = set()
    for key in ENGLISH:
        parts = [part.strip(" .,:;()←→·↑") for part, *_ in Formatter().parse(ENGLISH[key])]
        italian = " ".join(ITALIAN.values())
        found |= {part for part in parts if len(part) > 3 and not has(italian, part) and has(text, part)}
    assert found == set()
    assert has(text, "La risposta")
    assert has(text, "Scheletro in movimento")


def has(text: str, part: str) -> bool:
    """Whether ``part`` stands in the text as whole words."""
    return re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text) is not None


def test_the_command_writes_it_beside_the_study_or_elsewhere(study: Record, tmp_path: Path) -> None:
    run = CliRunner().invoke
    studies = ["--studies", str(study.paths.studies)]
    result = run(app, ["report", "small", *studies, "--lang", "it", "--out", str(tmp_path / "there")])
    assert result.exit_code == 0, result.output
    assert "report.html" in result.output
    assert '<html lang="it">' in (tmp_path / "there" / "report.html").read_text()
    assert run(app, ["report", "small", *studies]).exit_code == 0
    written = {path.name for path in study.paths.report.iterdir() if path.is_file()}
    assert {"report.html", "report.md", "forest.csv", "forest.png", "pareto.csv", "stretch.csv"} <= written
    assert run(app, ["report", "other", *studies]).exit_code == 2
    assert run(app, ["report", "small", *studies, "--lang", "fr"]).exit_code == 2


def test_the_page_holds_the_rows_of_its_csvs(pages: dict[str, Path]) -> None:
    text = pages["en"].read_text()
    embedded = re.search(r'id="report-data">(.*?)</script>', text)
    assert embedded
    figures = json.loads(embedded.group(1))["figures"]
    assert len(figures) == 7
    for name, figure in figures.items():
        lines = (pages["en"].parent / f"{name}.csv").read_text().splitlines()
        assert lines[0] == ",".join(figure["columns"])
        assert len(lines) == len(figure["rows"]) + 1
