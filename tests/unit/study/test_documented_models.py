"""Every registered model that a page names has the name that a study registers it under."""

import re
from pathlib import Path

from study.paths import StudyPaths
from study.reading import read_study_file
from study.record import Record
from study.tracking.models import ALIAS, model_name
from tests.documents import PAGES, ROOT

NAMED = re.compile(rf"models:/([^@\s]+)@{ALIAS}|`([^`]+)`, alias `{ALIAS}`")


def test_a_page_names_models_of_the_packaged_studies_as_they_are_registered(tmp_path: Path) -> None:
    files = [read_study_file(path) for path in (ROOT / "search_spaces").glob("*.yaml")]
    registered = {
        model_name(Record(StudyPaths(tmp_path, file.name)), arm)
        for file in files
        if file.tracking.models
        for arm in file.arms
    }
    named = {page: {uri or name for uri, name in NAMED.findall(page.read_text())} for page in PAGES}
    assert named[ROOT / "README.md"]
    assert named[ROOT / "docs" / "running.md"]
    assert set().union(*named.values()) <= registered
