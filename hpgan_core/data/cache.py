"""Folders of text that have been read once are not read again: their archives lie in a cache.

An archive is named by its ``source_key``: where the files are, their sizes, times of writing and times of change, and
how they are read. Whoever edits a file, adds one or takes one away thereby asks for another archive, and the old one
lies there until somebody removes it. Nothing is noticed where a file system does not keep times of change.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpgan_core.data.prepare import CannotWrite, Progress, partial_folder, prepare, source_key
from hpgan_core.data.recordings import Recordings, Source, read_all
from hpgan_core.errors import MalformedRecording


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """``HPGAN_CACHE``, or ``hpgan-study`` where the user's caches are."""
    if given := environment.get("HPGAN_CACHE"):
        return Path(given)
    caches = environment.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "hpgan-study"


def read_cached(
    source: Source, data: Mapping[str, Any], folder: Path, progress: Progress = lambda done, total: None
) -> Recordings:
    """The recordings of a source from its archive in ``folder``, made the first time and whenever it is damaged.

    Where nothing can be written they are read from the source itself.

    Raises:
        BadInput: no file gives a recording.
        MalformedRecording: a file of the source is damaged.
    """
    path = folder / f"{source_key(source, data)}.h5"
    try:
        return prepare(source, path, data, strict=True, progress=progress).recordings
    except CannotWrite:
        shutil.rmtree(partial_folder(path), ignore_errors=True)
        return read_all(source)
    except MalformedRecording as error:
        if error.path != path:
            raise
    path.unlink(missing_ok=True)
    return read_cached(source, data, folder, progress)
