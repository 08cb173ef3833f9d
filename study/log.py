"""What happens, for people, line by line with the time in UTC: one file a study, one a trial."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from hpgan_core.durable import append_line


def write_log(path: Path, text: str) -> None:
    """Add a line; where that cannot be done, work goes on without."""
    with suppress(OSError):
        append_line(path, f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC {text}")
