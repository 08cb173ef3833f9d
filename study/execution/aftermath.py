"""Outlives a driver that is killed: ends what is left of its Ray, and removes its folder.

Most of Ray's processes end with their driver, but two of them linger for a minute, and nobody removes the folder. Run
as a script, which is given the folder and whose standard input ends with the driver.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# What ends by itself does so within seconds, and flushes its files.
GRACE_S = 5.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Shielded(subprocess.Popen[bytes]):
    """A process that no signal reaches by which people, init systems and schedulers end a driver: they stay blocked in
    it and in all that it starts. What ends a job sends them to all of its processes at once, and a driver needs these
    to drain. Only SIGKILL ends them.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            super().__init__(*arguments, **options)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def terminate(self) -> None:
        self.kill()


@contextmanager
def cleared_after_death(folder: str) -> Iterator[None]:
    """Have ``folder`` removed, and whoever works in it ended, should this process not come to do so."""
    watch = Shielded([sys.executable, "-ISs", __file__, folder], stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        watch.kill()
        watch.communicate()


def main() -> None:
    sys.stdin.read()
    folder = Path(sys.argv[1]).resolve()
    time.sleep(GRACE_S)
    end_work_in(folder)
    shutil.rmtree(folder, ignore_errors=True)


def end_work_in(folder: str | Path) -> None:
    """Kill every process with an open file there, but this one, which may have Ray's logs open.

    Waits until none is left, for some seconds at most: one that is still dying may write once more where somebody is
    removing the folder, or start another.
    """
    deadline = time.monotonic() + GRACE_S
    while at_work := set(at_work_in(Path(folder).resolve())) - {os.getpid()}:
        for process in at_work:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        if time.monotonic() > deadline:
            return
        time.sleep(0.02)


def at_work_in(folder: Path) -> list[int]:
    """Processes with an open file there; none where the system has no ``/proc``."""
    return [
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if any(path.startswith(f"{folder}/") for path in _open_files(process))
    ]


def _open_files(process: Path) -> Iterator[str]:
    # Others' processes may not be looked into, and any may end meanwhile.
    with suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                yield str(descriptor.readlink())


if __name__ == "__main__":
    main()
