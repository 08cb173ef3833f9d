"""What a result depends on besides the plan: packages, code, machine."""

import functools
import hashlib
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Those that decide what comes out: recorded with every study, and told by `study doctor`.
PACKAGES = ("torch", "numpy", "ray", "optuna", "mlflow", "hpgan-study")


def environment() -> dict[str, Any]:
    """Versions and machine, as recorded with every study and compared by ``study reproduce``."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "code": code_digest(),
        **{name: version(name) for name in PACKAGES},
    }


def training_environment(threads: int, gpu: bool) -> dict[str, Any]:
    """The environment of a process that trains with so many threads, on a GPU if it is to use one and finds it."""
    import torch

    device = torch.cuda.get_device_name() if gpu and torch.cuda.is_available() else "cpu"
    return environment() | {"threads": threads, "device": device}


@functools.cache
def code_digest() -> str:
    """SHA-256 over the source of the core: equal digests mean that the same code trains."""
    import hpgan_core

    sha = hashlib.sha256()
    root = Path(hpgan_core.__file__).parent
    for path in sorted(root.rglob("*.py")):
        sha.update(path.relative_to(root).as_posix().encode() + b"\n" + path.read_bytes())
    return sha.hexdigest()


@functools.cache
def _processor() -> str:
    """The processor's model: matrix products round differently on different ones."""
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        for line in cpu_info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def changes(recorded: dict[str, Any], current: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What differs between two environments, by name: what it was, what it is; None where there was or is none."""
    return {
        name: (recorded.get(name), current.get(name))
        for name in sorted(recorded.keys() | current.keys())
        if recorded.get(name) != current.get(name)
    }


def differences(recorded: dict[str, Any], current: dict[str, Any]) -> list[str]:
    """The same, a line each."""
    found = changes(recorded, current)
    return [f"{name}: {before} when recorded, {now} now" for name, (before, now) in found.items()]
