"""What the kernel has done to processes of this machine, or of this container."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def memory_kills(root: Path = Path("/")) -> int:
    """How many processes of this one's control group the kernel has ended for want of memory, so far.

    That of the whole machine where the group cannot be read, and 0 where the system keeps no count.

    Args:
        root: of the file system.

    Source:
        Linux, ``Documentation/admin-guide/cgroup-v2.rst`` (``memory.events``), ``cgroup-v1/memory.rst``
        (``memory.oom_control``): the victim's group counts it, whichever limit was reached.
    """
    for path in _counters(root):
        with suppress(OSError):
            if count := re.search(r"^oom_kill (\d+)$", path.read_text(), re.MULTILINE):
                return int(count[1])
    return 0


def _counters(root: Path) -> Iterator[Path]:
    """From the nearest on. A container may see its group as the root of all groups, whatever it is called."""
    groups = root / "sys/fs/cgroup"
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            for name in (group.strip("/"), ""):
                if not controllers:
                    yield groups / name / "memory.events"
                elif "memory" in controllers.split(","):
                    yield groups / "memory" / name / "memory.oom_control"
    yield root / "proc/vmstat"
