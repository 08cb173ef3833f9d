"""What the kernel counts, where its control groups are mounted in each of the usual ways."""

from pathlib import Path

import pytest

from study.execution.kernel import memory_kills

SCOPE = "user.slice/session-1.scope"


@pytest.mark.parametrize(
    ("group", "counters", "kills"),
    [
        pytest.param(f"0::/{SCOPE}", {f"sys/fs/cgroup/{SCOPE}/memory.events": "oom 9\noom_kill 3\n"}, 3, id="v2"),
        pytest.param("0::/", {"sys/fs/cgroup/memory.events": "max 7\noom_kill 4\n"}, 4, id="v2 in a container"),
        pytest.param(
            f"5:cpu:/\n9:memory:/{SCOPE}\n0::/",
            {f"sys/fs/cgroup/memory/{SCOPE}/memory.oom_control": "under_oom 0\noom_kill 5\n"},
            5,
            id="v1",
        ),
        pytest.param(
            "9:memory:/docker/abc\n",
            {"sys/fs/cgroup/memory/memory.oom_control": "oom_kill 6\n"},
            6,
            id="v1 in a container",
        ),
        pytest.param("0::/", {}, 8, id="no memory controller"),
        pytest.param(f"0::/{SCOPE}", {f"sys/fs/cgroup/{SCOPE}/memory.events": "max 7\n"}, 8, id="an old kernel"),
        pytest.param(None, {}, 8, id="no control groups"),
    ],
)
def test_the_nearest_counter_counts(tmp_path: Path, group: str | None, counters: dict[str, str], kills: int) -> None:
    files = counters | {"proc/vmstat": "nr_free_pages 1\noom_kill 8\n"}
    if group is not None:
        files["proc/self/cgroup"] = group
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory_kills(tmp_path) == kills


def test_a_system_without_counters_has_counted_nothing(tmp_path: Path) -> None:
    assert memory_kills(tmp_path) == 0
