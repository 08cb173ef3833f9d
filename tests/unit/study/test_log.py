"""What the driver and the training processes have to say, line by line."""

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from study.log import write_log


def test_a_line_has_the_time_of_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        write_log(tmp_path / "log.txt", "begun")
    finally:
        monkeypatch.undo()
        time.tzset()
    written = re.fullmatch(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC begun\n", (tmp_path / "log.txt").read_text())
    assert written
    age = datetime.now(UTC) - datetime.strptime(written[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    assert timedelta(0) <= age < timedelta(minutes=1)


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    write_log(tmp_path / "nowhere" / "log.txt", "begun")
