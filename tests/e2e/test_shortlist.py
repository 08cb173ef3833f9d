"""A study with a shortlist as a person runs it, with Ray: interrupted in it, gone on with, and the test split's log."""

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ledgers import curves
from tests.processes import driver, wait_for

RunStudy = Callable[..., subprocess.CompletedProcess[str]]
SHORTLISTED = """\
name: small
data: {dataset: synthetic, people: 5, clips_per_action: 1, frames: 40}
arms: {none: [], gt: [gt]}
reference: none
training: {critic_size: 16, z_size: 8, batch_size: 4, evaluation_windows: 8, evaluation_samples: 2, final_samples: 2}
parameters:
  hidden_size: {type: categorical, values: [8, 16], default: 16}
search: {trials_per_arm: 2, members: 2, epochs: 2, sampler: {name: random, seed: 3}, pruner: {name: none}}
confirm: {members: 2, epochs: 12, shortlist: {trials: 2, members: 2}}
resources: {max_concurrent: 1}
"""

pytestmark = pytest.mark.timeout(1200)


def test_a_study_interrupted_in_its_shortlist_ends_as_one_that_was_not(tmp_path: Path, run_study: RunStudy) -> None:
    studies = []
    for name in ("whole", "interrupted"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "small.yaml").write_text(SHORTLISTED)
        studies.append(folder / "studies" / "small")
    whole, interrupted = studies
    launched = run_study(tmp_path / "whole", "launch", "small.yaml")
    assert launched.returncode == 0, launched.stderr
    with driver(tmp_path / "interrupted", "launch", "small.yaml") as process:
        wait_for(lambda: any(interrupted.glob("trials/*/shortlist-t0*/epochs.jsonl")), process)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 75, stderr
    # The test split has not been opened yet, and no number of it is anywhere.
    assert not (interrupted / "test_split.jsonl").exists()
    assert not any("test/" in file.read_text() for file in interrupted.glob("trials/*/*/epochs.jsonl"))
    resumed = run_study(tmp_path / "interrupted", "resume", "small")
    assert resumed.returncode == 0, resumed.stderr
    assert len(curves(whole)) == 2 * (2 + 2 + 1)
    assert curves(whole) == curves(interrupted)
    for study in studies:
        [opening] = [json.loads(line) for line in (study / "test_split.jsonl").read_text().splitlines()]
        assert opening["trials"] == ["none/confirm", "gt/confirm"]
        assert set(opening["winners"]) == {"none", "gt"}
    told = run_study(tmp_path / "whole", "status", "small").stdout
    assert "test     split opened once, last on " in told
    assert "lock     " in told
    assert run_study(tmp_path / "whole", "reproduce", "small", "gt/shortlist-t00").stdout.count("grade A") == 1
