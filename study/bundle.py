"""A whole study as one file, which another machine can look at, compare, reproduce and go on with.

A bundle is a ``tar.gz`` of the record. Its first member, ``bundle.json``, names the study and the SHA-256 of every
file. What only this machine can use stays behind: scratch of Ray, the report (`study report` makes it anew), and
checkpoints unless they are asked for. Of the leases the last one goes along, released: it says how long the study was
driven.
"""

import gzip
import hashlib
import io
import json
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError

from hpgan_core.durable import sync
from study.errors import BadStudyInput, StudyError
from study.lease import FIRST_LEASE, read_lease
from study.paths import StudyPaths
from study.record import Record
from study.sections import Name

FORMAT = 1
MANIFEST = "bundle.json"
# No manifest of a real study comes near; a larger one is no manifest.
MAX_MANIFEST_BYTES = 64 << 20
BLOCK = 1 << 20


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself: digests by path inside the study folder, ``/`` between folders."""

    format: int
    study: str
    files: dict[str, str]


def export_study(record: Record, target: Path, *, checkpoints: bool) -> int:
    """Write a bundle; an unfinished one never has the name ``target``. Returns the number of files in it.

    Raises:
        BadStudyInput: ``target`` is there already.
        DamagedRecord: the plan is no longer the one that was locked.
        StudyError: a driver is writing the record.
    """
    record.plan_digest()
    if target.exists():
        raise BadStudyInput(f"{target} is there already; name another file, or remove it")
    if (holder := record.holder()) is not None:
        raise StudyError(f"study {record.paths.name!r} is being run by {holder}; wait for it, or stop it first")
    root = record.paths.folder
    files = {path.relative_to(root).as_posix(): path for path in _belonging(record.paths, checkpoints)}
    digests = {name: _digest(path) for name, path in files.items()}
    released = _released_lease(record.paths)
    digests |= {name: hashlib.sha256(lease).hexdigest() for name, lease in released.items()}
    manifest = json.dumps(asdict(Manifest(FORMAT, record.paths.name, digests)), indent=1).encode()
    unfinished = target.with_name(f".{target.name}.{uuid4().hex[:8]}")
    try:
        # No time of writing: the same study gives the same bytes.
        with (
            unfinished.open("wb") as raw,
            gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            _add(tar, MANIFEST, len(manifest), io.BytesIO(manifest))
            for name, path in files.items():
                with path.open("rb") as file:
                    _add(tar, name, path.stat().st_size, file)
            for name, lease in released.items():
                _add(tar, name, len(lease), io.BytesIO(lease))
        unfinished.rename(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return len(digests)


def import_study(source: Path, studies: Path, name: str | None) -> Record:
    """Unpack a bundle as a new study, whole or not at all.

    Args:
        source: the bundle.
        studies: folder of all studies.
        name: what to call it here; None for the name that it has.

    Raises:
        BadStudyInput: ``source`` is no bundle or is damaged, or the name is taken.
    """
    studies.mkdir(parents=True, exist_ok=True)
    unfinished = studies / f".{uuid4().hex}.import"
    try:
        manifest = _unpack(source, unfinished)
        record = Record(StudyPaths(studies, _checked_name(name or manifest.study)))
        if record.paths.folder.exists():
            raise BadStudyInput(
                f"{record.paths.folder} is there already; give the imported study another name: --name OTHER"
            )
        unfinished.rename(record.paths.folder)
        sync(studies)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return record


def _checked_name(name: str) -> str:
    try:
        return TypeAdapter[str](Name).validate_python(name)
    except ValidationError as error:
        raise BadStudyInput(
            f"{name!r} is no name of a study: {error.errors()[0]['msg']}; give another: --name OTHER"
        ) from None


def _belonging(paths: StudyPaths, checkpoints: bool) -> Iterator[Path]:
    """The files of a record, sorted."""
    local = {paths.lock, paths.lease, paths.ray, paths.report, paths.stop}
    for path in sorted(paths.folder.rglob("*")):
        inside = {path, *path.parents}
        is_checkpoint = "checkpoints" in path.relative_to(paths.folder).parts
        if path.is_file() and not path.is_symlink() and not inside & local and (checkpoints or not is_checkpoint):
            yield path


def _released_lease(paths: StudyPaths) -> dict[str, bytes]:
    """By the name of its file: nobody drives the study, though a driver that was killed could not say so."""
    if (lease := read_lease(paths)) is None:
        return {}
    name = (paths.lease / FIRST_LEASE).relative_to(paths.folder).as_posix()
    return {name: json.dumps(asdict(replace(lease, released=True)), indent=1).encode()}


def _add(tar: tarfile.TarFile, name: str, size: int, content: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    tar.addfile(member, content)


def _unpack(source: Path, folder: Path) -> Manifest:
    """Write the files of a bundle below ``folder``, each checked against its digest.

    Raises:
        BadStudyInput: see ``import_study``.
    """
    try:
        with tarfile.open(source, "r:gz") as tar:
            members = iter(tar)
            manifest = _manifest(source, tar, next(members, None))
            missing = dict(manifest.files)
            for member in members:
                if member.name not in missing or not member.isreg():
                    raise _no_bundle(source, f"has {member.name!r}, which its {MANIFEST} does not list")
                content = tar.extractfile(member)
                assert content is not None
                path = folder / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as file:
                    shutil.copyfileobj(content, file, BLOCK)
                if _digest(path) != missing.pop(member.name):
                    raise _no_bundle(source, f"has another {member.name!r} than was exported")
    except FileNotFoundError:
        raise BadStudyInput(f"there is no {source}; `study export NAME` makes such a file") from None
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise _no_bundle(source, f"cannot be read: {error}") from error
    if missing:
        raise _no_bundle(source, f"lacks {len(missing)} files, among them {next(iter(missing))!r}")
    return manifest


def _manifest(source: Path, tar: tarfile.TarFile, first: tarfile.TarInfo | None) -> Manifest:
    """What the first member says, with no path in it that leaves the study folder."""
    content = tar.extractfile(first) if first and first.name == MANIFEST and first.size < MAX_MANIFEST_BYTES else None
    if content is None:
        raise _no_bundle(source, f"does not begin with {MANIFEST}")
    try:
        manifest = Manifest(**json.loads(content.read()))
        files = {str(name): str(digest) for name, digest in manifest.files.items()}
        parts = [PurePosixPath(name).parts for name in (manifest.study, *files)]
    except (ValueError, TypeError, AttributeError) as error:
        raise _no_bundle(source, f"has a {MANIFEST} of another form ({error})") from error
    if manifest.format != FORMAT:
        raise _no_bundle(source, f"has format {manifest.format}, and this version reads {FORMAT}")
    if len(parts[0]) != 1 or any(not one or ".." in one or one[0] == "/" for one in parts):
        raise _no_bundle(source, "has a path that leaves the study folder")
    return manifest


def _no_bundle(source: Path, what: str) -> BadStudyInput:
    return BadStudyInput(f"{source} {what}; get it again, or make it anew with `study export NAME`")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
