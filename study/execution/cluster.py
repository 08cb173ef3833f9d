"""The machines that trials run on: a Ray of this process alone, or one that is there."""

import functools
import logging
import os
import secrets
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import ray
import ray.exceptions
from ray._private import ray_constants, services
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.errors import StudyError
from study.execution.aftermath import Shielded, cleared_after_death, end_work_in
from study.execution.kernel import memory_kills

CONNECT_TIMEOUT_S = 5.0
# Nodes come and go by the minute, and trials are asked for many times a second.
NODES_AGE_S = 2.0
# Nodes join a cluster one after another when it is started, and again where its head has died; the old ones take
# a minute to notice that.
JOIN_S = 180.0
JOIN_POLL_S = 1.0
# For a process to start on a node and to be asked something.
ANSWER_S = 30.0


@dataclass(frozen=True)
class Resources:
    """What one trial occupies. Fractions of a GPU put several trials on one."""

    cpus: float
    gpus: float
    max_concurrent: int | None


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Start a local Ray, or join the one at ``address``.

    Raises:
        StudyError: Ray cannot be started or reached.
    """
    on_terminate = signal.getsignal(signal.SIGTERM)
    # Deaths of processes are told by their trials; Ray would print a paragraph each.
    ray._private.worker._worker_logs_enabled = False  # noqa: SLF001
    with ExitStack() as stack:
        if address is None:
            stack.enter_context(_local())
        else:
            _expect_listener(address)
            if os.environ.keys() & {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}:
                # Ray does not use the token it is given unless it is told to.
                os.environ.setdefault("RAY_AUTH_MODE", "token")
            _initialise(address, f"reach Ray at {address}", "the address, the token and that it runs")
        stack.callback(ray.shutdown)
        if threading.current_thread() is threading.main_thread():
            # Ray has put in an answer of its own, a native trace and an exit, above and below Python's.
            signal.signal(signal.SIGTERM, on_terminate)
        yield


@contextmanager
def _local() -> Iterator[None]:
    """A Ray of this process alone, given a second try: it allows itself half a minute, too little on a busy machine.

    Raises:
        StudyError: it comes up neither time.
    """
    # A token of this process alone, so that no file appears in the home folder.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    with ExitStack() as stack:
        for tries_left in (1, 0):
            # A short path: those of sockets are limited.
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True))
            stack.enter_context(cleared_after_death(folder))
            # Its servers are killed, and those that these have started end later than they.
            stack.callback(end_work_in, folder)
            try:
                with _for_this_process_alone():
                    _initialise("local", "start a local Ray", "free memory and disk", folder)
                break
            except StudyError:
                ray.shutdown()
                end_work_in(folder)
                if not tries_left:
                    raise
        yield


@contextmanager
def _for_this_process_alone() -> Iterator[None]:
    """Servers that Ray starts meanwhile are reached from this machine alone, and by no signal that means the driver.

    They listen at 127.0.0.1, as Ray has it where it allows no other nodes; elsewhere it takes every interface. Each is
    in a process group of its own and ``Shielded``: a driver that is ended with its whole group, or with every process
    of its job, still needs them to drain.
    """
    allowed, start = ray_constants.ENABLE_RAY_CLUSTER, services.ConsolePopen
    ray_constants.ENABLE_RAY_CLUSTER = False
    services.ConsolePopen = functools.partial(Shielded, process_group=0)  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = allowed
        services.ConsolePopen = start  # type: ignore[misc]


def _initialise(address: str, what: str, check: str, folder: str | None = None) -> None:
    """``ray.init``, whose errors are of any class, the bare ``Exception`` among them.

    Raises:
        StudyError: it fails, with ``what`` was tried and what to ``check``.
    """
    local: dict[str, Any] = {} if folder is None else {"include_dashboard": False, "_temp_dir": folder}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **local)
    except Exception as error:
        raise StudyError(f"cannot {what}: {str(error) or type(error).__name__}; check {check}") from error


def _expect_listener(address: str) -> None:
    """Fail within seconds where nobody listens at ``HOST:PORT``: Ray itself waits for minutes.

    Raises:
        StudyError: nobody does.
    """
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdigit():
        return  # A word of Ray's, such as auto.
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        raise StudyError(
            f"cannot reach Ray at {address}: {error}; check the address and that Ray runs there"
        ) from error


def slots(resources: Resources) -> int:
    """How many trials this cluster runs at a time, now; nodes may come and go.

    Raises:
        StudyError: no node has what one trial needs.
    """
    fitting = _fitting(_living_nodes(), resources)
    if fitting < 1:
        nodes = "; ".join(
            f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in _living_nodes().values()
        )
        raise StudyError(
            f"a trial needs {resources.cpus:g} CPUs and {resources.gpus:g} GPUs on one node, but this Ray cluster has "
            f"{nodes or 'no node'}; change resources in the study file"
        )
    return fitting


def slots_once_joined(resources: Resources, tell: Callable[[str], None], patience_s: float = JOIN_S) -> int:
    """``slots`` of a cluster that nodes may still be joining.

    Args:
        resources: what one trial occupies.
        tell: is told when it takes waiting.
        patience_s: for how long at most.

    Raises:
        StudyError: no node that joins in time has what one trial needs.
    """
    deadline = time.monotonic() + patience_s
    told = False
    while True:
        try:
            return slots(resources)
        except StudyError as error:
            if time.monotonic() > deadline:
                raise
            if not told:
                tell(f"Waiting up to {patience_s:g} s for nodes to join: {error}")
                told = True
        time.sleep(JOIN_POLL_S)


class Slots:
    """Places for trials, watched while they come and go.

    Args:
        resources: what one trial occupies.
        tell: is told when the last place has gone, and when there is one again.
    """

    def __init__(self, resources: Resources, tell: Callable[[str], None]) -> None:
        self.resources, self.tell = resources, tell
        self._missing = False
        self._looked_at = float("-inf")
        self._number = self._processors = 0

    def number(self) -> int:
        """How many there are; at least one, since a node that has gone may come back."""
        self._look()
        return max(1, self._number)

    def processors(self) -> int:
        """How many all living nodes have."""
        self._look()
        return self._processors

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked_at > NODES_AGE_S:
            nodes = _living_nodes()
            self._number, self._looked_at = _fitting(nodes, self.resources), now
            self._processors = int(sum(node.get("CPU", 0.0) for node in nodes.values()))
            self._tell_changes()

    def _tell_changes(self) -> None:
        missing = self._number < 1
        if missing and not self._missing:
            self.tell(
                f"No node of this Ray cluster has {self.resources.cpus:g} CPUs and {self.resources.gpus:g} GPUs for a "
                "trial any more; waiting for one to join (`study stop --now` ends that)"
            )
        elif self._missing and not missing:
            self.tell("A node has joined; the study goes on")
        self._missing = missing


def is_gone() -> bool:
    """Whether Ray does not answer, or knows this driver no more, as a head that was started anew."""
    try:
        _living_nodes()
    except (ray.exceptions.RayError, RuntimeError, OSError):
        return True
    return False


def is_alive(node: str) -> bool:
    """Whether the node of this identity is part of the cluster."""
    return node in _living_nodes()


def memory_kills_on(node: str) -> int:
    """``memory_kills`` of a node; 0 when it does not say."""
    if node == ray.get_runtime_context().get_node_id():
        return memory_kills()
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    asked = ray.remote(memory_kills).options(num_cpus=0, scheduling_strategy=there, max_retries=0).remote()
    try:
        return int(ray.get(asked, timeout=ANSWER_S))
    except ray.exceptions.RayError:
        return 0


def _fitting(nodes: dict[str, dict[str, float]], resources: Resources) -> int:
    fitting = sum(_fitting_on(node, resources) for node in nodes.values())
    return min(fitting, resources.max_concurrent or fitting)


def _fitting_on(node: dict[str, float], resources: Resources) -> int:
    """A fraction of a GPU is of one GPU: two of 0.4 leave 0.2 that no third can use."""
    cpus, gpus = node.get("CPU", 0.0), node.get("GPU", 0.0)
    limits = []
    if resources.cpus > 0:
        limits.append(_times(cpus, resources.cpus))
    if 0 < resources.gpus < 1:
        limits.append(int(gpus) * _times(1.0, resources.gpus))
    elif resources.gpus:
        limits.append(_times(gpus, resources.gpus))
    return min(limits)


def _times(there: float, wanted: float) -> int:
    """How often ``wanted`` goes into ``there``, as Ray counts: in ten-thousandths."""
    return round(there * 10_000) // round(wanted * 10_000)


def _living_nodes() -> dict[str, dict[str, float]]:
    """Identity of each living node, and what it has."""
    return {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}  # type: ignore[no-untyped-call]
