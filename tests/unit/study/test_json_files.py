"""Files of a study folder that are not what was written there: which one, which line, and why."""

import json
from pathlib import Path

import pytest

from study.errors import DamagedRecord
from study.json_files import append_json, read_json, read_json_lines


@pytest.mark.parametrize("content", ["[1, 2]", '{"a": ', "null", pytest.param("[" * 100_000, id="deep")])
def test_a_file_that_holds_no_object_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(content)
    with pytest.raises(DamagedRecord) as caught:
        read_json(path, dict)
    assert str(caught.value).startswith(f"{path} is damaged: holds something else than was written there (")


def test_a_line_that_holds_no_object_is_named_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "epochs.jsonl"
    for content in ({"epoch": 1}, ["epoch", 2], {"epoch": 3}):
        append_json(path, content)
    with pytest.raises(DamagedRecord) as caught:
        read_json_lines(path, dict)
    assert str(caught.value).startswith(f"{path} is damaged: line 2 holds something else than was written there (")


def test_the_reason_is_pythons_own(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text('{"a": 1, }')
    with pytest.raises(DamagedRecord) as caught:
        read_json(path, dict)
    assert isinstance(caught.value.__cause__, json.JSONDecodeError)
    assert f"({caught.value.__cause__})" in str(caught.value)
