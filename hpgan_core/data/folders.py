"""Folders of recordings: what lies in them, at any depth. Nothing that cannot be looked at is passed over."""

import os
from collections.abc import Iterator
from pathlib import Path

from hpgan_core.errors import BadInput


def is_folder(path: Path) -> bool:
    """Whether there is a folder at a path.

    Raises:
        BadInput: nobody may look there, for instance.
    """
    try:
        return path.is_dir()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error


def expect_folder(root: Path, wanted: str) -> None:
    """Make sure that a data set's root is one.

    Raises:
        BadInput: it is none; give ``wanted``.
    """
    if not is_folder(root):
        state = "is a file" if root.exists() else "does not exist"
        raise BadInput(f"{root} {state}; give {wanted}")


def files_below(root: Path, suffix: str) -> Iterator[tuple[str, str, bool]]:
    """Stem and path of each entry at any depth that ends in ``suffix``, and whether it is a file; folders linked to are
    not followed. Copies from other systems may end in ``.SKELETON``.

    Raises:
        BadInput: a folder cannot be listed.
    """
    folders = [str(root)]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif entry.name.lower().endswith(suffix):
                        yield entry.name[: -len(suffix)], entry.path, Path(entry.path).is_file()
        except OSError as error:
            raise BadInput(f"{folder} cannot be listed: {error.strerror}") from error
