"""Ctrl-C, SIGTERM, a closed terminal and `study stop`, made one.

The first lets trials write a checkpoint, the second stops at once.
"""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from study.json_files import write_json
from study.paths import StudyPaths

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def ask_to_stop(paths: StudyPaths, *, now: bool) -> None:
    """Ask whoever drives a study to stop it; its training processes look for the same file."""
    write_json(paths.stop, {"now": now})


class Stopping:
    """Whether the study that this process drives is to stop.

    Attributes:
        requested: no more trials begin, and those in training end with their next epoch.
        at_once: nothing is waited for.
        lost: another process drives the study now.
    """

    def __init__(self, paths: StudyPaths, tell: Callable[[str], None]) -> None:
        self.paths, self.tell = paths, tell
        self.requested = self.at_once = self.lost = self._draining = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take signals; they raise KeyboardInterrupt in the main thread, but for the first within ``draining``."""
        # Whoever starts it by `nohup` wants it to outlive the terminal.
        numbers = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def draining(self) -> Iterator[None]:
        """While trials train: a first request waits for their checkpoints."""
        self._draining = True
        try:
            yield
        finally:
            self._draining = False

    def clear(self) -> None:
        """Forget what a driver before this one was asked."""
        self.paths.stop.unlink(missing_ok=True)

    def is_requested(self) -> bool:
        """Whether to stop, by the newest state: a training process may have seen the file before us."""
        self.look()
        return self.requested

    def look(self) -> None:
        """See whether another terminal asks; from any thread."""
        try:
            now = json.loads(self.paths.stop.read_bytes())["now"]
        except (OSError, ValueError, KeyError, TypeError):
            return
        if now and not self.at_once:
            self._interrupt_main_thread()
        elif not self.requested:
            self._request()

    def lose(self) -> None:
        """Another process has taken over: whatever this one wrote would be doubled."""
        self.lost = True
        self._interrupt_main_thread()

    def _request(self) -> None:
        if self._draining:
            self.requested = True
            self.tell("Stopping: trials in training write a checkpoint first. Once more stops at once.")
        else:
            os.kill(os.getpid(), signal.SIGINT)

    def _interrupt_main_thread(self) -> None:
        self.requested = self.at_once = True
        os.kill(os.getpid(), signal.SIGINT)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.at_once |= self.requested
        if self._draining and not self.requested:
            # Before the file is written: the second signal may come meanwhile.
            self.requested = True
            # Without the file no training process would stop before its end.
            with suppress(OSError):
                ask_to_stop(self.paths, now=False)
                self._request()
                return
        self.requested = True
        raise KeyboardInterrupt
