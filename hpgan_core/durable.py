"""Files that are replaced whole or not at all, and files that grow by whole lines."""

import os
from contextlib import suppress
from pathlib import Path


def write_durably(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data`` so that a crash at any moment leaves the old content or the new.

    Raises:
        OSError: it cannot be written; names ``path``.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        # A full disk names no file, and nobody knows the unfinished one.
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
    sync(path.parent)


def append_line(path: Path, line: str) -> None:
    """Add a line, after cutting off what a crash may have left of another.

    What is written outlives this process; ``sync`` makes it outlive the machine.
    """
    with path.open("a+b") as file:
        size = file.tell()
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
        file.write(f"{line}\n".encode())


def read_lines(path: Path) -> list[str]:
    """The whole lines of a file, none where there is no file; a last one that a crash cut short is left out."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    return content.decode(errors="replace").split("\n")[:-1]


def sync(path: Path) -> None:
    """Bring what has been written to a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
