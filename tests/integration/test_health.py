"""What `study doctor` finds, with a real Ray and a real MLflow database."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from study.cli import app
from study.health import packages
from tests.processes import free_port

FILE = """\
name: healthy
data: {dataset: synthetic, people: 5, clips_per_action: 1, frames: 40}
arms: {gt: [gt]}
training: {critic_size: 16, hidden_size: 8, z_size: 8, batch_size: 4, evaluation_windows: 8, evaluation_samples: 2}
search: {trials_per_arm: 1, members: 1, epochs: 1}
confirm: null
"""


@pytest.fixture
def examined(tmp_path: Path) -> dict[str, dict[str, str]]:
    file = tmp_path / "healthy.yaml"
    file.write_text(FILE)
    result = CliRunner().invoke(app, ["doctor", str(file), "--studies", str(tmp_path / "studies"), "--json"])
    assert result.exit_code == 0, result.output
    return {finding["about"]: finding for finding in json.loads(result.stdout)}


def test_a_healthy_machine_passes_everything(examined: dict[str, dict[str, str]]) -> None:
    assert {"Python", "torch", "studies folder", "data", "disk", "MLflow", "Ray"} <= examined.keys()
    assert {finding["verdict"] for finding in examined.values()} == {"good"}
    assert "trials at a time" in examined["Ray"]["says"]
    assert "needed" in examined["disk"]["says"]


def test_whatever_is_bad_has_its_fix_and_ends_with_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    (tmp_path / "file").write_text("no folder")
    arguments = ["doctor", "--studies", str(tmp_path / "file" / "studies"), "--address", f"127.0.0.1:{free_port()}"]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    bad = {one["about"]: one for one in json.loads(result.stdout) if one["verdict"] == "bad"}
    assert result.exit_code == 1
    assert bad.keys() == {"studies folder", "MLflow", "Ray"}
    assert all(one["fix"] for one in bad.values())
    assert "studies folder, MLflow, Ray" in result.stderr


def test_another_version_than_the_tested_one_is_a_warning() -> None:
    found = {finding.about: finding for finding in packages({"torch": "1.0.0"})}
    assert found["torch"].verdict == "warning"
    assert "torch==1.0.0" in found["torch"].fix
    assert found["numpy"].verdict == "good"
