"""The files of a source read by several processes: in order, and never far ahead of whoever takes the recordings."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any, cast

from hpgan_core.data.recordings import Recording, Rejected, Source
from hpgan_core.errors import MalformedRecording

FILES_A_PROCESS = 64  # fewer are read sooner than a process begins
FILES_A_TASK = 16  # as many are read in much more time than a message takes
TASKS_AHEAD = 2  # of each process; no more recordings than these are in memory
DAMAGED = "damaged"  # begins the reason why a damaged file was rejected

Outcome = Recording | Rejected


def read_in_order(
    source: Source, paths: Sequence[Path], processes: int | None = None, strict: bool = False
) -> Generator[Outcome, None, None]:
    """What becomes of each of ``paths``, in their order.

    Args:
        source: reads them.
        paths: some of the source's.
        processes: how many read; by default one a core, fewer for a handful of files. One reads in this process.
        strict: whether a damaged file is an error; otherwise it is a rejected one.

    Raises:
        MalformedRecording: the first damaged file, if ``strict``.
        BrokenProcessPool: a process was killed, by lack of memory for instance.
    """
    processes = min(processes or os.cpu_count() or 1, ceil(len(paths) / FILES_A_PROCESS))
    if processes <= 1:
        for path in paths:
            yield _read(source, path, strict)
        return
    # Processes that are born anew: a fork of one with threads, such as a progress bar's, may hang.
    context = multiprocessing.get_context("spawn")
    # Without the list of files: what is more than a pipe holds would be waited for until the process has begun.
    reader = replace(cast(Any, source), paths=(), rejected=())
    pool = ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(reader, strict))
    pending: deque[Future[list[Outcome]]] = deque()
    try:
        for start in range(0, len(paths), FILES_A_TASK):
            with _ctrl_c_held_back():
                pending.append(pool.submit(_read_task, paths[start : start + FILES_A_TASK]))
            if len(pending) > TASKS_AHEAD * processes:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _read(source: Source, path: Path, strict: bool) -> Outcome:
    try:
        return source.read(path)
    except MalformedRecording as error:
        if strict:
            raise
        place = "" if error.line is None else f"line {error.line}, "
        return Rejected(path, f"{DAMAGED}: {place}expected {error.expected}, found {error.found}")


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """A process that begins meanwhile never hears of it: Ctrl-C is for the parent, which then ends that process."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# What each of the processes reads with.
_reading: tuple[Source, bool]


def _begin(source: Source, strict: bool) -> None:
    """Serve until the parent ends, however it ends."""
    global _reading
    _reading = source, strict
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _read_task(paths: Sequence[Path]) -> list[Outcome]:
    source, strict = _reading
    return [_read(source, path, strict) for path in paths]
