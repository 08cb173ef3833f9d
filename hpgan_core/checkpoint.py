"""Checkpoints that are whole or not there: written beside, synced, renamed; named by the SHA-256 of their content."""

import hashlib
import io
import re
from pathlib import Path
from typing import Any

import torch

from hpgan_core.durable import write_durably

NAME = re.compile(r"epoch-(\d+)-([0-9a-f]{64})\.pt")


def write_checkpoint(folder: Path, epoch: int, content: dict[str, Any]) -> Path:
    """Write ``content`` (tensors and plain values) as the newest checkpoint of ``folder``.

    The one of the latest epoch before stays; all others go, also what a killed process left unfinished and damaged
    checkpoints of later epochs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    data = buffer.getvalue()
    path = folder / f"epoch-{epoch:06d}-{hashlib.sha256(data).hexdigest()}.pt"
    write_durably(path, data)
    before = [other for other in _newest_first(folder) if _parsed(other)[0] < epoch]
    for other in folder.glob("*epoch-*.pt*"):
        if other not in (path, *before[:1]):
            other.unlink()
    return path


def read_newest_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The newest checkpoint whose content matches its name: a damaged one is passed over; None without any."""
    for path in _newest_first(folder):
        if (data := _read_whole(path)) is not None:
            content: dict[str, Any] = torch.load(io.BytesIO(data), weights_only=True)
            return content
    return None


def superseded_checkpoints(folder: Path) -> list[Path]:
    """Those that a newer one that is whole makes needless."""
    newest_first = _newest_first(folder)
    # The oldest makes none needless: it is not read.
    whole = (number for number, path in enumerate(newest_first[:-1]) if _read_whole(path) is not None)
    return newest_first[next(whole, len(newest_first)) + 1 :]


def newest_checkpoint(folder: Path) -> Path | None:
    """The file of the latest epoch, whole or not; None without any. Its name holds the digest of its content."""
    return next(iter(_newest_first(folder)), None)


def _read_whole(path: Path) -> bytes | None:
    """Its content, None where that is damaged or cannot be read, as from a damaged disk."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == _parsed(path)[1] else None


def _newest_first(folder: Path) -> list[Path]:
    return sorted((path for path in folder.glob("epoch-*.pt") if NAME.fullmatch(path.name)), key=_parsed, reverse=True)


def _parsed(path: Path) -> tuple[int, str]:
    match = NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1]), match[2]
