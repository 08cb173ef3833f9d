"""The pictures and the list that the documentation keeps of the house are those of the house as it stands."""

from pathlib import Path

import pytest

from docs.house import files


@pytest.mark.parametrize(("path", "content"), files().items(), ids=lambda value: getattr(value, "name", ""))
def test_what_the_documentation_keeps_is_fresh(path: Path, content: str) -> None:
    assert path.read_text() == content, "python -m docs.house"


def test_every_module_says_what_it_is() -> None:
    (page,) = [content for path, content in files().items() if path.name == "modules.md"]
    assert page.count("| `") > 90
    assert "|  |" not in page
