"""What happens, for people, line by line with the time: one file a study, one a trial."""

import time
from contextlib import suppress
from pathlib import Path

from hpgan_core.durable import append_line


def write_log(path: Path, text: str) -> None:
    """Add a line; where that cannot be done, work goes on without."""
    with suppress(OSError):
        append_line(path, f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}")
