"""Whether this machine can run a study: everything that a launch would find out, found out before it."""

import fcntl
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import torch
from packaging.requirements import Requirement
from packaging.version import Version
from rich.filesize import decimal

from study import execution, search
from study.errors import StudyError
from study.estimate import calibrate, estimate
from study.motion import load_motion
from study.paths import StudyPaths
from study.provenance import PACKAGES
from study.record import Record
from study.sections import Resources, Storage, Tracking
from study.study_file import StudyFile
from study.tracking import reach

DISTRIBUTION = "hpgan-study"
# Below this a launch without an estimate of its own is a risk.
LITTLE_DISK_BYTES = 2_000_000_000
ANOTHER = "name another folder with --studies"
# Addresses in a study file, and where those are taken from that it leaves out.
SERVERS = {"storage.url": "OPTUNA_STORAGE", "tracking.uri": "MLFLOW_TRACKING_URI"}

Verdict = Literal["good", "warning", "bad"]


@dataclass(frozen=True)
class Finding:
    """One line of an examination.

    Attributes:
        about: what was looked at.
        verdict: whether a launch would work; a warning is worth knowing.
        says: what was found.
        fix: what to do; empty where all is well.
    """

    about: str
    verdict: Verdict
    says: str
    fix: str = ""


def examine(
    studies: Path, study_file: StudyFile | None, address: str | None, tested: dict[str, str]
) -> Iterator[Finding]:
    """Look at everything, one finding after the other as each comes.

    Args:
        studies: folder of all studies.
        study_file: what is to be launched; None leaves out data and the plan's need of disk.
        address: the Ray cluster that is to be joined; None starts a local one for a moment.
        tested: versions that this project was tested with, by distribution; may be empty.
    """
    yield from packages(tested)
    yield from _machine(study_file)
    yield from _folder(studies)
    yield from _data_and_disk(studies, study_file)
    paths = StudyPaths(studies, study_file.name if study_file else "any")
    tracking = study_file.tracking if study_file else Tracking()
    storage = study_file.storage if study_file else Storage()
    yield _tried("Optuna", lambda: search.reach(search.database_url(storage)), _server_fix("storage.url", storage.url))
    yield _tried("MLflow", lambda: reach(paths, tracking), _server_fix("tracking.uri", tracking.uri))
    resources = study_file.resources if study_file else Resources()
    yield _tried("Ray", lambda: _ray(address, resources), _ray_fix(address))
    yield from _running(studies)


def packages(tested: dict[str, str]) -> Iterator[Finding]:
    """What is installed, against what this project requires and what it was tested with."""
    required = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or ()]
    yield Finding("Python", "good", f"{platform.python_version()} on {platform.platform()}")
    for requirement in required:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        install = f"pip install '{requirement}'"
        try:
            installed = Version(metadata.version(requirement.name))
        except metadata.PackageNotFoundError:
            yield Finding(requirement.name, "bad", "is not installed", install)
            continue
        known = tested.get(requirement.name)
        if not requirement.specifier.contains(installed, prereleases=True):
            yield Finding(requirement.name, "bad", f"{installed}, {requirement.specifier} is required", install)
        elif known is not None and installed.public != Version(known).public:
            again = f"pip install '{requirement.name}=={known}' to get the numbers of others bit for bit"
            yield Finding(requirement.name, "warning", f"{installed}, tested with {known}", again)
        elif requirement.name in PACKAGES:
            yield Finding(requirement.name, "good", str(installed))


def _machine(study_file: StudyFile | None) -> Iterator[Finding]:
    cores, memory = os.cpu_count() or 1, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield Finding("processors", "good", f"{cores} cores, {decimal(memory)} of memory")
    names = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    if names:
        yield Finding("GPU", "good", ", ".join(f"{one.name}, {decimal(one.total_memory)}" for one in names))
    elif study_file is not None and study_file.resources.gpus_per_trial:
        wanted = f"none, and the study gives {study_file.resources.gpus_per_trial:g} to each trial"
        yield Finding("GPU", "warning", wanted, "join a cluster with --address, or --set resources.gpus_per_trial=0")
    else:
        yield Finding("GPU", "good", "none, and none is needed")


def _folder(studies: Path) -> Iterator[Finding]:
    """Whether files can be written and locked where the studies are."""
    try:
        studies.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=studies) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield Finding("studies folder", "bad", f"{studies}: a new file is locked by somebody else", "use a local disk")
    except PermissionError as error:
        yield Finding("studies folder", "bad", f"{studies}: {error.strerror}", ANOTHER)
    except OSError as error:
        slow = "works, but a dead driver on this machine is noticed after a minute instead of at once"
        writable = os.access(studies, os.W_OK)
        says = f"{studies}: no file locks ({error.strerror})" if writable else f"{studies}: {error.strerror}"
        yield Finding("studies folder", "warning" if writable else "bad", says, slow if writable else ANOTHER)
    else:
        yield Finding("studies folder", "good", f"{studies}: can be written and locked")


def _data_and_disk(studies: Path, study_file: StudyFile | None) -> Iterator[Finding]:
    needed = LITTLE_DISK_BYTES
    if study_file is not None:
        try:
            data = load_motion(study_file.data)
        except (StudyError, ValueError) as error:
            yield Finding("data", "bad", str(error), "see `study data describe`, or name other recordings with --data")
        else:
            yield _data(studies, study_file, data.digest)
            slots = max(1, (os.cpu_count() or 1) // study_file.resources.cpus_per_trial)
            needed = int(estimate(study_file, calibrate(study_file, data), slots).disk_bytes)
    existing = next(folder for folder in (studies.resolve(), *studies.resolve().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    says = f"{decimal(free)} free, {decimal(needed)} needed" if study_file else f"{decimal(free)} free"
    fix = "free some, `study gc` for instance, or name another disk with --studies"
    yield Finding("disk", "good", says) if free > needed else Finding("disk", "bad", says, fix)


def _data(studies: Path, study_file: StudyFile, digest: str) -> Finding:
    says, record = f"{study_file.data.dataset}, digest {digest[:16]}", Record(StudyPaths(studies, study_file.name))
    if not record.exists or record.plan["data_digest"] == digest:
        return Finding("data", "good", says + (", as recorded" if record.exists else ""))
    recorded = f"{says}, but {study_file.name!r} was begun on {record.plan['data_digest'][:16]}"
    return Finding("data", "warning", recorded, "restore the data to go on with it; a new study begins otherwise")


def _server_fix(key: str, given: str | None) -> str:
    """What to do about a server, by where its address has come from: the study file's ``key``, or the environment."""
    variable = SERVERS[key]
    if given is not None:
        return f"start it, or use a local file with --set {key}=null"
    if os.environ.get(variable):
        return f"start it, or unset {variable} to use a local file"
    return ANOTHER


def _ray_fix(address: str | None) -> str:
    if address is None:
        return "free memory and processors, ask for less of them under resources, or join a cluster with --address"
    # An option wins over the environment, which an equal one cannot be told from.
    given = "unset RAY_ADDRESS" if address == os.environ.get("RAY_ADDRESS") else "leave --address out"
    return f"start it, or {given} to use a Ray of this machine"


def _ray(address: str | None, resources: Resources) -> str:
    with execution.cluster(address):
        number = execution.slots(
            execution.Resources(resources.cpus_per_trial, resources.gpus_per_trial, resources.max_concurrent)
        )
    return f"{address or 'a local Ray starts'}; {number} trials at a time"


def _running(studies: Path) -> Iterator[Finding]:
    held = [f"{one.paths.name} by {holder}" for one in Record.all(studies) if (holder := one.holder()) is not None]
    if held:
        yield Finding("running now", "good", "; ".join(held))


def _tried(about: str, look: Callable[[], str], fix: str) -> Finding:
    try:
        return Finding(about, "good", look())
    except StudyError as error:
        return Finding(about, "bad", str(error), fix)
