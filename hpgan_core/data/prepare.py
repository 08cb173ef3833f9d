"""From a folder of recordings to a motion archive: in parallel, in little memory, safe to be killed at any moment."""

import hashlib
import json
import math
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from filelock import FileLock

from hpgan_core.data.archive import FORMAT_VERSION, Archive, Entry, open_archive, write_archive
from hpgan_core.data.parallel import Outcome, read_in_order
from hpgan_core.data.recordings import Recording, Rejected, Source
from hpgan_core.durable import sync
from hpgan_core.errors import BadInput, MalformedRecording

FILES_A_SYNC = 256  # a crash costs the reading of no more
# Parts of an entry of the journal; see ``_entry``.
REJECT, CLIP = 2, 5

Progress = Callable[[int, int], None]


class CannotWrite(BadInput):
    """An archive has no place on its disk, or must not be written there."""


def prepare(
    source: Source,
    path: Path,
    data: Mapping[str, Any],
    *,
    processes: int | None = None,
    strict: bool = False,
    progress: Progress = lambda done, total: None,
) -> Archive:
    """Write the recordings of a folder as a motion archive, unless that has been done.

    What has been read stays in ``partial_folder(path)`` until the archive is whole: however the preparation ends, the
    same call goes on with it. One process writes, others wait for it.

    Args:
        source: the folder.
        path: the archive; it appears whole or not at all.
        data: what the source was listed from, as ``read_recordings`` takes it.
        processes: as in ``read_in_order``.
        strict: whether a damaged file is an error; otherwise it is a rejected one.
        progress: is told how many files are done, and of how many.

    Raises:
        BadInput: no file gives a recording, or ``path`` is an archive of other recordings.
        CannotWrite: the folder takes no file, or the disk is full.
        MalformedRecording: a damaged file, if ``strict``; or ``path`` exists and is no archive, or a damaged one.
    """
    key = source_key(source, data)
    with _writing(path):
        is_there = path.exists()
    if not is_there:
        _expect_folder(path)
        with _sole_writer(path):
            if not path.exists():
                with _writing(path):
                    partial = _Partial(partial_folder(path), source, key)
                _read_rest(source, partial, path, processes, strict, progress)
                with _writing(path):
                    partial.publish(path, data)
    archive = open_archive(path)
    if archive.source_key != key:
        raise BadInput(
            f"{path} was made from other files, from these before they changed, or with other options; "
            "remove it or name another file"
        )
    shutil.rmtree(partial_folder(path), ignore_errors=True)
    return archive


def partial_folder(path: Path) -> Path:
    """Where ``prepare`` keeps what it has read for an archive that is not whole yet."""
    return path.with_name(f"{path.name}.partial")


def source_key(source: Source, data: Mapping[str, Any]) -> str:
    """SHA-256 over where the files are, their sizes and times, and how they are read.

    A file that is written to, replaced or given back its old time of writing gets a new time of change (ctime), which
    nothing but the system sets. So do one that is linked to or given other rights: it is read once more for nothing.

    Raises:
        BadInput: a file has gone.
    """
    root = Path(data["root"])
    options = {name: str(value) for name, value in data.items()} | {"root": str(root.resolve())}
    sha = hashlib.sha256(json.dumps([FORMAT_VERSION, sorted(options.items())]).encode())
    for path in source.paths:
        try:
            stat = path.stat()
        except OSError as error:
            raise BadInput(f"{path} cannot be read: {error.strerror}") from error
        sha.update(os.fsencode(f"\n{os.path.relpath(path, root)} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"))
    for reject in source.rejected:
        sha.update(os.fsencode(f"\n{os.path.relpath(reject.path, root)} {reject.reason}"))
    return sha.hexdigest()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotWrite(f"{path} cannot be written: {error.strerror or error}") from error


def _expect_folder(path: Path) -> None:
    """Make the folder of an archive, and try it: a lock that can never be made would be waited for without end.

    Raises:
        CannotWrite: it cannot be made, or no file can be made in it.
    """
    folder = path.parent
    try:
        nearest = next(place for place in (folder, *folder.parents) if place.exists())
        if not nearest.is_dir():
            raise CannotWrite(f"{path} cannot be written: {nearest} is a file, not a folder; name another place")
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise CannotWrite(
            f"{path} cannot be written: no file can be made in {folder} ({error.strerror}); name another place"
        ) from error


@contextmanager
def _sole_writer(path: Path) -> Iterator[None]:
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    with _writing(path):
        lock.acquire()
    try:
        yield
    finally:
        # Whoever waits for it notices, and makes a new one.
        with suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()


def _read_rest(
    source: Source, partial: "_Partial", path: Path, processes: int | None, strict: bool, progress: Progress
) -> None:
    """Read what the partial archive of ``path`` lacks."""
    done, total = partial.n_outcomes, len(source.paths)
    try:
        progress(done, total)
        with closing(read_in_order(source, source.paths[done:], processes, strict)) as outcomes:
            for outcome in outcomes:
                with _writing(path):
                    partial.add(outcome)
                progress(partial.n_outcomes, total)
    except MalformedRecording:
        shutil.rmtree(partial.folder, ignore_errors=True)  # of no use for the source with this file mended
        raise
    finally:
        with _writing(path):
            partial.close()


class _Partial:
    """The outcomes of a source's first files, on disk: the frames of all clips, and a journal of a line for each file.

    Frames reach the disk before the line that counts them and has their checksum. What lies behind the last line that
    is, with its frames, as it was written is forgotten.

    Args:
        folder: made unless it is there; what it holds of another source is forgotten as well.
        source: whose outcomes they are.
        key: of the source.
    """

    def __init__(self, folder: Path, source: Source, key: str) -> None:
        self.folder, self._source, self._key = folder, source, key
        self._pose_shape = (source.skeleton.n_joints, 3)
        self.n_outcomes = self.n_frames = 0
        folder.mkdir(exist_ok=True)
        self._unsaved: list[bytes] = []
        with ExitStack() as files:
            self._frames = files.enter_context((folder / "frames").open("a+b"))
            self._journal = files.enter_context((folder / "journal").open("a+b"))
            self._forget_what_is_not_whole()
            self._files = files.pop_all()

    def _forget_what_is_not_whole(self) -> None:
        frame_bytes = 4 * math.prod(self._pose_shape)
        self._frames.seek(0)
        heading = f"{self._key}\n".encode()
        self._journal.seek(0)
        whole = 0
        if self._journal.readline() == heading:
            whole = len(heading)
            for line in self._journal:
                if not (entry := _entry(line)):
                    break
                if len(entry) == CLIP:
                    n_frames, checksum = entry[3:]
                    frames = self._frames.read(n_frames * frame_bytes)
                    if len(frames) < n_frames * frame_bytes or zlib.crc32(frames) != checksum:
                        break
                    self.n_frames += n_frames
                self.n_outcomes, whole = self.n_outcomes + 1, whole + len(line)
        self._journal.truncate(whole)
        self._frames.truncate(self.n_frames * frame_bytes)
        if not whole:
            self._unsaved.append(heading)

    def add(self, outcome: Outcome) -> None:
        if isinstance(outcome, Recording):
            frames = np.ascontiguousarray(outcome.positions, "<f4").data
            self._frames.write(frames)
            self.n_frames += len(outcome.positions)
            entry = [outcome.name, outcome.subject, outcome.action, len(outcome.positions), zlib.crc32(frames)]
        else:
            entry = [str(outcome.path), outcome.reason]
        self._unsaved.append(_line(entry))
        self.n_outcomes += 1
        if len(self._unsaved) >= FILES_A_SYNC:
            self._save()

    def close(self) -> None:
        with self._files:
            self._save()

    def _save(self) -> None:
        self._flush(self._frames)
        # Taken first: whoever is interrupted here closes next, and a line written twice stands for a file never read.
        lines, self._unsaved = self._unsaved, []
        self._journal.writelines(lines)
        self._flush(self._journal)

    def _flush(self, file: IO[bytes]) -> None:
        file.flush()
        os.fsync(file.fileno())

    def publish(self, path: Path, data: Mapping[str, Any]) -> None:
        """Write the archive, now that there is an outcome of every file."""
        with (self.folder / "journal").open("rb") as journal:
            next(journal)
            entries = [_entry(line) for line in journal]
        clips = [Entry(*entry[:-1]) for entry in entries if len(entry) == CLIP]
        read = [Rejected(Path(entry[0]), entry[1]) for entry in entries if len(entry) == REJECT]
        source, rejected = self._source, [*self._source.rejected, *read]
        if not clips:
            shutil.rmtree(self.folder)
            first = f"first: {rejected[0].path.name}: {rejected[0].reason}"
            raise BadInput(f"none of {len(rejected)} files in {data['root']} can be used ({first}); relax the options")
        whole = self.folder / "whole"
        with (self.folder / "frames").open("rb") as frames:
            shapes = ((clip.n_frames, *self._pose_shape) for clip in clips)
            positions = (np.fromfile(frames, "<f4", math.prod(shape)).reshape(shape) for shape in shapes)
            write_archive(
                whole,
                source.skeleton,
                source.frame_rate_hz,
                clips,
                positions,
                rejected,
                source=data,
                source_key=self._key,
            )
        whole.replace(path)
        sync(path.parent)


def _line(entry: Sequence[object]) -> bytes:
    """Of the journal: an entry and its checksum."""
    text = json.dumps(entry).encode()
    return b"%s %08x\n" % (text, zlib.crc32(text))


def _entry(line: bytes) -> list[Any]:
    """Name, subject, action, frames and their checksum of a clip; path and reason of a rejected file; nothing of a line
    that is not as it was written.
    """
    text, _, checksum = line.rpartition(b" ")
    entry: list[Any] = json.loads(text) if checksum == b"%08x\n" % zlib.crc32(text) else []
    return entry
