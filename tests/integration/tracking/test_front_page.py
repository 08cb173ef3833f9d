"""What a person finds first: views that a real MLflow page opens in a real browser, and the note."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from packaging.version import Version
from playwright.sync_api import Browser, Page

from study.record import Record
from study.tracking import Publisher, Tracker, front_page
from study.tracking.front_page import NOTE
from study.tracking.views import LONGEST_TAG, TAG, View, views
from tests.browser import chromium
from tests.integration.tracking.conftest import EndStudy, MakeRecord
from tests.processes import Server, wait_until

# What each view draws: charts, and runs, of two arms with two trials each.
CHARTS = {"arms": 5, "curves": 6, "search": 3, "motions": 3}
RUNS = {"verdict": 2, "arms": 4, "curves": 2, "search": 4, "motions": 2}


@pytest.fixture(scope="module")
def record(end_study: EndStudy, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A finished study whose MLflow is a server, which has been told everything."""
    server.start()
    made = end_study(tmp_path_factory.mktemp("front"), tracking={"uri": server.uri, "models": False})
    Tracker(made, made.study_file).publish()
    return made


@pytest.fixture
def tracker(record: Record) -> Tracker:
    return Tracker(record, record.study_file)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1600, "height": 1200})
    yield page
    page.close()


def tags(tracker: Tracker) -> dict[str, str]:
    found: dict[str, str] = tracker.client.get_experiment(tracker.experiment_id).tags
    return found


def short(view: View) -> str:
    return view.id.rpartition(".")[2]


def test_views_are_installed_once_and_come_back(record: Record, tracker: Tracker) -> None:
    before = tags(tracker)
    installed = {name: value for name, value in before.items() if name.startswith(TAG)}
    assert {view.tag for view in views(record)} == {*installed}
    for value in installed.values():
        assert len(value) < LONGEST_TAG
        assert json.loads(json.loads(value)["state"])["searchFilter"]
    tracker.client.delete_experiment_tag(tracker.experiment_id, next(iter(installed)))
    tracker.publish()
    assert tags(tracker) == before


def test_views_are_there_as_soon_as_a_study_is_driven(
    make_record: MakeRecord, server: Server, tmp_path: Path, record: Record
) -> None:
    begun = make_record(tmp_path, name="begun", tracking={"uri": server.uri})
    client, wanted = MlflowClient(server.uri), {view.tag for view in views(begun)}
    publisher = Publisher(tracker := Tracker(begun, begun.study_file), pytest.fail)

    def there() -> bool:
        experiment = client.get_experiment_by_name("begun")
        return experiment is not None and wanted <= experiment.tags.keys()

    wait_until(there)
    publisher.close()
    assert tracker.published.runs == 0, "no trial has begun"


@pytest.mark.parametrize("name", RUNS)
def test_the_page_opens_each_view(record: Record, tracker: Tracker, page: Page, name: str) -> None:
    view = next(view for view in views(record) if short(view) == name)
    page.goto(f"{tracker.uri}/{view.path(tracker.experiment_id)}")
    page.get_by_text("viewing a shared view").wait_for(timeout=90_000)
    assert view.name in page.get_by_test_id("saved-views-trigger").inner_text()
    page.get_by_text(f"{RUNS[name]} matching runs").wait_for(timeout=60_000)
    if name in CHARTS:
        section = f"small ({CHARTS[name]})"
        page.wait_for_function("text => document.body.innerText.replace(/\\s+/g, ' ').includes(text)", arg=section)
    else:
        page.get_by_text("test/ade.mean").first.wait_for(timeout=60_000)


def test_the_note_leads_to_every_view(record: Record, tracker: Tracker) -> None:
    note = tags(tracker)[NOTE]
    for view in views(record):
        assert f"[{view.name}]({view.path(tracker.experiment_id)})" in note
    assert "compare-runs" in note
    assert "study report small" in note


def test_the_note_leads_to_the_report_that_opens_inside_the_page(tracker: Tracker, page: Page) -> None:
    (path,) = re.findall(r"small: report\]\((#[^)]*)\)", tags(tracker)[NOTE])
    page.goto(f"{tracker.uri}/{path}")
    report = page.frame_locator("iframe")
    report.get_by_role("heading", level=1).wait_for(timeout=90_000)
    assert report.locator("svg").count() > 0, "its scripts have drawn"


def test_an_older_server_gets_plain_links(
    record: Record, tracker: Tracker, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_page, "SAVED_VIEWS_SINCE", Version("99"))
    tracker.publish()
    note = tags(tracker)[NOTE]
    assert "viewStateShareKey" not in note
    view = next(view for view in views(record) if short(view) == "search")
    assert view.plain_path(tracker.experiment_id) in note
    page.goto(f"{tracker.uri}/{view.plain_path(tracker.experiment_id)}")
    page.get_by_text("4 matching runs").wait_for(timeout=90_000)
