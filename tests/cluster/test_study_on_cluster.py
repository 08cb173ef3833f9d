"""deploy/bin/study-on-cluster by itself, with a `ray` that does as it is told."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.cluster.engine import ROOT

RAY = """\
#!/bin/sh
echo "$1" >> {calls}
[ "$1" = stop ] || [ "$(grep -c start {calls})" -gt {failures} ] || {{ echo the node timed out; exit 1; }}
"""
STUDY = '#!/bin/sh\necho "study $*"\n'


@pytest.mark.parametrize(
    ("failures", "calls", "code", "out", "err"),
    [
        (0, ["start"], 0, "study resume small\n", ""),
        (1, ["start", "stop", "start"], 0, "study resume small\n", ""),
        (2, ["start", "stop", "start"], 1, "", "the node timed out\n"),
    ],
)
def test_a_node_that_does_not_come_up_is_started_once_more(
    tmp_path: Path, failures: int, calls: list[str], code: int, out: str, err: str
) -> None:
    for name, text in (("ray", RAY.format(calls=tmp_path / "calls", failures=failures)), ("study", STUDY)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as head:
        done = subprocess.run(
            [str(ROOT / "deploy/bin/study-on-cluster"), "resume", "small"],
            env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "RAY_ADDRESS": f"127.0.0.1:{head.getsockname()[1]}"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)
    assert (tmp_path / "calls").read_text().split() == calls
