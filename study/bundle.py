"""A whole study as one file, which another machine can look at, compare, reproduce and go on with.

A bundle is a ``tar.gz`` of the record. Its first member, ``bundle.json``, names the study, and each file with its size
and SHA-256. What only this machine can use stays behind: scratch of Ray, the report (`study report` makes it anew), and
checkpoints unless they are asked for. Of the leases the last one goes along, released: it says how long the study was
driven.

Whoever made a bundle is not trusted: nothing is taken from it that `study export` does not write.
"""

import errno
import gzip
import hashlib
import io
import json
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Any
from uuid import uuid4

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from hpgan_core.durable import sync
from study.errors import BadStudyInput, StudyError
from study.lease import FIRST_LEASE, read_lease
from study.paths import StudyPaths
from study.record import Record
from study.sections import Name

FORMAT = 2
# Format 1 has no sizes.
READABLE = (1, FORMAT)
MANIFEST = "bundle.json"
# No manifest of a real study comes near; a larger one is no manifest.
MAX_MANIFEST_BYTES = 64 << 20
# A record unpacks to some ten times its size. What unpacks to so much more, and is more than a little, was made to fill
# a disk.
MAX_TIMES = 200
ALWAYS_ALLOWED_BYTES = 64 << 20
BLOCK = 1 << 20


@dataclass(frozen=True)
class Listed:
    """What a bundle says of one of its files.

    Attributes:
        sha256: of its content.
        size: in bytes; None in a bundle of format 1.
    """

    sha256: str
    size: Annotated[int, Field(ge=0)] | None = None


def _of_format_1(listed: Any) -> Any:
    return {"sha256": listed} if isinstance(listed, str) else listed


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself: files by path inside the study folder, ``/`` between folders."""

    format: int
    study: str
    files: dict[str, Annotated[Listed, BeforeValidator(_of_format_1)]]


def export_study(record: Record, target: Path, *, checkpoints: bool) -> int:
    """Write a bundle; an unfinished one never has the name ``target``. Returns the number of files in it.

    Raises:
        BadStudyInput: ``target`` is there already, or its folder is not.
        DamagedRecord: the plan is no longer the one that was locked.
        StudyError: a driver is writing the record.
    """
    record.plan_digest()
    if target.exists():
        raise BadStudyInput(f"{target} is there already; name another file, or remove it")
    if not target.parent.is_dir():
        raise BadStudyInput(f"{target.parent} is no folder; make it, or name a file elsewhere")
    if (holder := record.holder()) is not None:
        raise StudyError(f"study {record.paths.name!r} is being run by {holder}; wait for it, or stop it first")
    root = record.paths.folder
    files = {path.relative_to(root).as_posix(): path for path in _belonging(record.paths, checkpoints)}
    listed = {name: Listed(_digest(path), path.stat().st_size) for name, path in files.items()}
    released = _released_lease(record.paths)
    listed |= {name: Listed(hashlib.sha256(lease).hexdigest(), len(lease)) for name, lease in released.items()}
    manifest = json.dumps(asdict(Manifest(FORMAT, record.paths.name, listed)), indent=1).encode()
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
    except OSError as error:
        # A full disk names no file, and nobody knows the unfinished one.
        place = target if error.filename in (None, str(unfinished)) else error.filename
        raise OSError(error.errno, error.strerror, str(place)) from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
    return len(listed)


def import_study(source: Path, studies: Path, name: str | None) -> Record:
    """Unpack a bundle as a new study, whole or not at all.

    Args:
        source: the bundle.
        studies: folder of all studies.
        name: what to call it here; None for the name that it has.

    Raises:
        BadStudyInput: ``source`` is no bundle, is damaged, or holds what no study does; or the name is taken.
    """
    studies.mkdir(parents=True, exist_ok=True)
    unfinished = studies / f".{uuid4().hex}.import"
    # Before the bundle is read: what cannot be written here is no fault of it.
    unfinished.mkdir()
    try:
        manifest = _unpack(source, unfinished)
        record = Record(StudyPaths(studies, _checked_name(name or manifest.study)))
        if record.paths.folder.exists():
            raise BadStudyInput(
                f"{record.paths.folder} is there already; give the imported study another name: --name OTHER"
            )
        _check_plan(source, Record(StudyPaths(studies, unfinished.name)))
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
    for path in sorted(paths.folder.rglob("*")):
        is_checkpoint = "checkpoints" in path.relative_to(paths.folder).parts
        is_wanted = not _is_local(paths, path) and (checkpoints or not is_checkpoint)
        if is_wanted and path.is_file() and not path.is_symlink():
            yield path


def _is_local(paths: StudyPaths, path: Path) -> bool:
    """Whether only this machine can use it."""
    return not {path, *path.parents}.isdisjoint({paths.lock, paths.lease, paths.ray, paths.report, paths.stop})


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


class _Bounded(gzip.GzipFile):
    """Gives no more than ``most`` bytes, and never many at once: tarfile reads a header whole, whatever its size."""

    def __init__(self, source: Path, most: int) -> None:
        super().__init__(source, "rb")
        self.most = most

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= MAX_MANIFEST_BYTES or self.tell() + size > self.most:
            raise tarfile.ReadError("it is larger than any study that packs so small")
        return super().read(size)


def _unpack(source: Path, folder: Path) -> Manifest:
    """Write the files of a bundle below ``folder``, each checked against its digest.

    Raises:
        BadStudyInput: see ``import_study``.
    """
    paths = StudyPaths(folder.parent, folder.name)
    try:
        most = max(ALWAYS_ALLOWED_BYTES, MAX_TIMES * source.stat().st_size)
        with _Bounded(source, most) as packed, tarfile.open(fileobj=packed, mode="r:") as tar:
            members = iter(tar)
            manifest = _manifest(source, tar, next(members, None))
            _check(source, manifest, paths, most)
            missing = dict(manifest.files)
            for member in members:
                listed = missing.pop(member.name, None)
                if listed is None or not _is_plain(member):
                    raise _no_bundle(
                        source, f"has {member.name!r} twice, unlisted in its {MANIFEST}, or as no plain file"
                    )
                if listed.size not in (None, member.size):
                    raise _no_bundle(source, f"has another {member.name!r} than was exported")
                content = tar.extractfile(member)
                assert content is not None
                path = folder / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as file:
                    shutil.copyfileobj(content, file, BLOCK)
                if _digest(path) != listed.sha256:
                    raise _no_bundle(source, f"has another {member.name!r} than was exported")
        if missing:
            raise _no_bundle(source, f"lacks {len(missing)} files, among them {next(iter(missing))!r}")
        if paths.lease.exists() and not ((lease := read_lease(paths)) and lease.released):
            raise _no_bundle(source, "says that somebody runs the study")
    except FileNotFoundError:
        raise BadStudyInput(f"there is no {source}; `study export NAME` makes such a file") from None
    # Whatever tarfile makes of bytes that no archive has.
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError, LookupError, ArithmeticError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _no_bundle(source, f"cannot be read: {error}") from error
    except RecursionError as error:
        raise _no_bundle(source, "cannot be read: it is nested too deeply") from error
    return manifest


def _manifest(source: Path, tar: tarfile.TarFile, first: tarfile.TarInfo | None) -> Manifest:
    """What the first member says."""
    if first is None or first.name != MANIFEST or not _is_plain(first) or first.size > MAX_MANIFEST_BYTES:
        raise _no_bundle(source, f"does not begin with {MANIFEST}")
    content = tar.extractfile(first)
    assert content is not None
    try:
        manifest = TypeAdapter[Manifest](Manifest).validate_json(content.read(), strict=True)
    except ValidationError as error:
        raise _no_bundle(source, f"has a {MANIFEST} of another form ({error.errors()[0]['msg']})") from error
    if manifest.format not in READABLE:
        raise _no_bundle(source, f"has format {manifest.format}, and this version reads {FORMAT}")
    return manifest


def _check(source: Path, manifest: Manifest, paths: StudyPaths, most: int) -> None:
    """Before anything is written.

    Raises:
        BadStudyInput: the manifest lists what no export does.
    """
    for name in (manifest.study, *manifest.files):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or str(path) != name or name == ".":
            raise _no_bundle(source, f"has {name!r}, a path that leaves the study folder or is not in its plain form")
    for name in manifest.files:
        if _is_local(paths, paths.folder / name) and paths.folder / name != paths.lease / FIRST_LEASE:
            raise _no_bundle(source, f"has {name!r}, which no export writes")
    if (plan := paths.plan.name) not in manifest.files:
        raise _no_bundle(source, f"lacks {plan}, without which there is no study")
    if sum(listed.size or 0 for listed in manifest.files.values()) > most:
        raise _no_bundle(source, "lists files that are larger than any study that packs so small")


def _check_plan(source: Path, unpacked: Record) -> None:
    """
    Raises:
        BadStudyInput: no study file can be made of it, so that no verb could use the study.
    """
    try:
        _ = unpacked.study_file
    except (StudyError, ValueError, LookupError, TypeError) as error:
        raise _no_bundle(source, f"has a {unpacked.paths.plan.name} that is no plan of a study") from error


def _is_plain(member: tarfile.TarInfo) -> bool:
    """Whether it is a file that is in the archive as it is: no link, no device, no holes."""
    return member.type == tarfile.REGTYPE and not member.issparse()


def _no_bundle(source: Path, what: str) -> BadStudyInput:
    return BadStudyInput(f"{source} {what}; get it again, or make it anew with `study export NAME`")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
