"""What the adapter makes of deaths of processes, without a Ray; with one: tests/integration/execution."""

import socket
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from study.execution import adapter as adapter_module
from study.execution.adapter import Adapter
from study.job import Job
from tests.integration.execution.crew import Crew

# How many processes the kernel has ended on each node.
KILLS: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them, which live, and whose kernels count as ``KILLS`` says."""
    KILLS.clear()
    monkeypatch.setattr(adapter_module, "is_alive", lambda node: True)
    monkeypatch.setattr(adapter_module, "memory_kills_on", lambda node: KILLS[node])
    monkeypatch.setattr(adapter_module, "ALONE_S", 0.0)


def start(adapter: Adapter, trial: str, node: str) -> None:
    assert "job" in adapter.suggest(trial)
    told: dict[str, Any] = {"hostname": socket.gethostname(), "pid": 1, "environment": (("threads", 1),)}
    adapter.reported(trial, told | {"node": node, "memory_kills": KILLS[node]})


def die(adapter: Adapter, trial: str) -> None:
    adapter.died(SimpleNamespace(trial_id=trial, get_pickled_error=lambda: None))  # type: ignore[arg-type]
    adapter.on_trial_complete(trial, error=True)
    assert adapter.broken is None


@pytest.mark.parametrize(
    ("kills", "kinds"),
    [({}, "crashed crashed"), ({"one": 1}, "out_of_memory crashed"), ({"one": 2}, "out_of_memory out_of_memory"),
     ({"two": 1}, "crashed crashed")],
)  # fmt: skip
def test_a_kill_by_the_kernel_accounts_for_one_death_on_its_node(kills: dict[str, int], kinds: str) -> None:
    crew = Crew([Job(key, {}, (0,), "", test=False) for key in ("a", "b", "c")])
    adapter = Adapter(crew, SimpleNamespace(number=lambda: 3, processors=lambda: 3))  # type: ignore[arg-type]
    KILLS.update(one=5, two=7)
    for trial, node in (("first", "one"), ("second", "one"), ("third", "two")):
        start(adapter, trial, node)
    KILLS.update(kills)
    die(adapter, "first")
    die(adapter, "second")
    told = [failure for key in "ab" for failure in [*crew.retries.get(key, []), crew.failures.get(key)] if failure]
    assert [failure.kind for failure in told] == kinds.split()
