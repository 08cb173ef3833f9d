"""Who may write a study's record: one process at a time, on one machine or on many that share the folder.

A lease is a numbered file that its holder renews every few seconds. To take over is to create the next number, which
the file system grants to one process only; the holder of a smaller number finds out at its next heartbeat. The numbers
alone are safe. On one machine a file lock makes it quick as well: the kernel frees it the moment its process ends.
"""

import errno
import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Event, Thread
from typing import IO

from study.errors import StudyError
from study.json_files import write_json
from study.paths import StudyPaths

FIRST_LEASE = "000001.json"
HEARTBEAT_S = 2.0
# A holder on another machine that shows no heartbeat for so long is dead.
PATIENCE_S = 60.0
# Whoever asks who drives a study holds its lock for a moment.
LOCK_WAIT_S = 1.0
RELEASE_POLL_S = 0.2


@dataclass(frozen=True)
class Lease:
    """One holder's right.

    Attributes:
        host: its machine.
        boot: tells this run of the machine's kernel from every other.
        process: its number there.
        since: seconds since 1970.
        heartbeat: how often it has been renewed.
        renewed_at: seconds since 1970, for people; life is judged by watching ``heartbeat`` change, by no clock.
        driven_s: how long the study has been driven, by this holder and all before it.
        released: the holder has ended in good order.
    """

    host: str
    boot: str
    process: int
    since: float
    heartbeat: int
    renewed_at: float
    driven_s: float
    released: bool = False

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"

    @property
    def is_local(self) -> bool:
        """Held on this machine, whose kernel tells at once whether the holder lives."""
        return self.boot == _boot()


def holder(paths: StudyPaths) -> Lease | None:
    """Who drives this study, as far as can be told at once."""
    lease = read_lease(paths)
    if lease is None or lease.released:
        return None
    if lease.is_local:
        with suppress(OSError), paths.lock.open("rb") as file:
            return None if _lock(file, fcntl.LOCK_SH) else lease
    # Of another machine nothing but its own clock is known here.
    return lease if time.time() - lease.renewed_at < PATIENCE_S else None


def expect_no_local_holder(paths: StudyPaths) -> None:
    """Refuse at once what ``hold`` would refuse later; one of another machine has to be watched, as it does.

    Raises:
        StudyError: a process of this machine drives the study.
    """
    lease = holder(paths)
    if lease is not None and lease.is_local:
        raise refusal(paths)


def wait_for_release(paths: StudyPaths) -> None:
    """Wait until nobody drives the study.

    Raises:
        StudyError: its driver, on another machine, shows no heartbeat any more.
    """
    seen, changed_at = None, time.monotonic()
    while (lease := holder(paths)) is not None:
        if lease != seen:
            seen, changed_at = lease, time.monotonic()
        elif not lease.is_local and time.monotonic() - changed_at > PATIENCE_S:
            raise StudyError(
                f"{lease} has shown no sign of life for {PATIENCE_S:.0f} s; `study resume {paths.name}` takes over"
            )
        time.sleep(RELEASE_POLL_S)


@contextmanager
def keep_out(paths: StudyPaths) -> Iterator[None]:
    """Keep this machine's other processes from driving the study, without driving it.

    Raises:
        StudyError: one of them drives it, or keeps others out.
    """
    with ExitStack() as stack:
        # A folder that cannot be written, or locked, has nobody to keep out.
        with suppress(OSError):
            file = stack.enter_context(paths.lock.open("rb" if paths.lock.exists() else "ab"))
            if not _wait_for_lock(file):
                raise StudyError(f"another process publishes study {paths.name!r}, or runs it; wait for it")
        yield


def refusal(paths: StudyPaths) -> StudyError:
    """What whoever comes second is told."""
    return StudyError(
        f"study {paths.name!r} is being run by {read_lease(paths) or 'another process'}; wait for it, or stop it with "
        f"`study stop {paths.name}`"
    )


def read_lease(paths: StudyPaths) -> Lease | None:
    """The newest lease that can be read: whoever has just created one may not have written it yet."""
    for _, path in reversed(_leases(paths)):
        with suppress(OSError, ValueError, TypeError):
            return Lease(**json.loads(path.read_bytes()))
    return None


@contextmanager
def hold(
    paths: StudyPaths, on_heartbeat: Callable[[], None], on_loss: Callable[[], None], tell: Callable[[str], None]
) -> Iterator["Holding"]:
    """Be the one process that writes this study's record. Where that has no plan in the end, no lease is left.

    Args:
        paths: the study, whose folder exists.
        on_heartbeat: called every ``HEARTBEAT_S`` from another thread.
        on_loss: called once, from that thread, when another process has taken over.
        tell: takes a sentence for people when a holder elsewhere has to be watched before it counts as dead.

    Raises:
        StudyError: another process is.
    """
    with paths.lock.open("ab") as lock_file:
        try:
            has_lock = _wait_for_lock(lock_file)
        except OSError:
            has_lock = False
        else:
            if not has_lock or _is_removed(lock_file):
                raise refusal(paths)
        holding = _take_over(paths, has_lock, tell)
        ended = Event()
        heart = Thread(target=_beat, args=(holding, ended, on_heartbeat, on_loss), name="heartbeat", daemon=True)
        heart.start()
        try:
            yield holding
        finally:
            ended.set()
            heart.join()
            with suppress(OSError):
                # A disk without space must not hide why the study ends; the freed lock says the same.
                if paths.plan.exists():
                    holding.renew(released=True)
                elif read_lease(paths) == holding.lease:
                    _remove(paths)


class Holding:
    """A lease in the hands of its holder."""

    def __init__(self, path: Path, lease: Lease) -> None:
        self.path, self.lease = path, lease
        self._driven_before_s, self._began = lease.driven_s, time.monotonic()

    def driven_s(self) -> float:
        """How long the study has been driven, by this holder and all before it."""
        return self._driven_before_s + time.monotonic() - self._began

    def renew(self, *, released: bool = False) -> None:
        self.lease = replace(
            self.lease,
            heartbeat=self.lease.heartbeat + 1,
            renewed_at=time.time(),
            driven_s=self.driven_s(),
            released=released,
        )
        write_json(self.path, asdict(self.lease))

    def is_lost(self) -> bool:
        """Whether another process has created a greater number."""
        return any(number > int(self.path.stem) for number, _ in _numbered(self.path.parent))


def _is_removed(file: IO[bytes]) -> bool:
    """Whether the holder before has removed the lock that we have been waiting for."""
    return os.fstat(file.fileno()).st_nlink == 0


def _remove(paths: StudyPaths) -> None:
    """Remove all that a holder leaves."""
    shutil.rmtree(paths.lease)
    paths.stop.unlink(missing_ok=True)
    paths.lock.unlink()


def _wait_for_lock(file: IO[bytes]) -> bool:
    """Lock this machine's processes out; False where a living one holds the lock.

    Raises:
        OSError: the file system has no locks.
    """
    deadline = time.monotonic() + LOCK_WAIT_S
    while not _lock(file, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _lock(file: IO[bytes], kind: int) -> bool:
    """Whether the lock was free; it is ours until ``file`` is closed.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def _take_over(paths: StudyPaths, has_lock: bool, tell: Callable[[str], None]) -> Holding:
    """Create the next lease, once there is none or its holder has released it or is dead."""
    paths.lease.mkdir(exist_ok=True)
    before = _leases(paths)
    last = read_lease(paths)
    if before and (last is None or not last.released):
        freed = has_lock and last is not None and last.is_local
        if not freed:
            _expect_no_heartbeat(paths, before[-1][1], tell)
    now = time.time()
    lease = Lease(socket.gethostname(), _boot(), os.getpid(), now, 0, now, last.driven_s if last else 0.0)
    path = paths.lease / (f"{before[-1][0] + 1:06d}.json" if before else FIRST_LEASE)
    try:
        with path.open("x") as file:
            file.write(json.dumps(asdict(lease)))
    except FileExistsError:
        raise refusal(paths) from None
    holding = Holding(path, lease)
    if holding.is_lost():
        # Others have come and gone since we looked.
        path.unlink()
        raise refusal(paths)
    for _, older in before:
        older.unlink(missing_ok=True)
    return holding


def _expect_no_heartbeat(paths: StudyPaths, path: Path, tell: Callable[[str], None]) -> None:
    """Watch another's lease for as long as a living holder cannot be silent.

    Raises:
        StudyError: it changes.
    """
    tell(f"{read_lease(paths) or 'Another process'} may be running this study; watching for {PATIENCE_S:.0f} s ...")
    seen, deadline = _content(path), time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        time.sleep(min(HEARTBEAT_S, PATIENCE_S) / 2)
        if _content(path) != seen:
            raise refusal(paths)


def _beat(holding: Holding, ended: Event, on_heartbeat: Callable[[], None], on_loss: Callable[[], None]) -> None:
    while not ended.wait(HEARTBEAT_S):
        if holding.is_lost():
            on_loss()
            return
        with suppress(OSError):
            # A full disk ends the study where it has something to write, not here.
            holding.renew()
        on_heartbeat()


def _leases(paths: StudyPaths) -> list[tuple[int, Path]]:
    return _numbered(paths.lease)


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    return sorted((int(path.stem), path) for path in folder.glob("*.json") if path.stem.isdigit())


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _boot() -> str:
    """Tells this run of this machine's kernel from every other."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return socket.gethostname()
