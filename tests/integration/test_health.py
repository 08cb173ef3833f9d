"""What `study doctor` finds, with a real Ray and a real MLflow database."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from study.cli import app
from study.health import DISTRIBUTION, packages
from study.provenance import PACKAGES
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
    assert {"Python", "torch", "studies folder", "data", "disk", "Optuna", "MLflow", "Ray"} <= examined.keys()
    assert {finding["verdict"] for finding in examined.values()} == {"good"}
    assert "trials at a time" in examined["Ray"]["says"]
    assert "needed" in examined["disk"]["says"]


def bad_findings(*arguments: str) -> dict[str, dict[str, str]]:
    """What the doctor finds bad where no Ray listens at the address that it is given."""
    result = CliRunner().invoke(app, ["doctor", *arguments, "--json"])
    assert result.exit_code == 1
    bad = {one["about"]: one for one in json.loads(result.stdout) if one["verdict"] == "bad"}
    assert f"a launch would fail here: {', '.join(bad)}" in result.stderr
    return bad


def test_whatever_is_bad_has_its_fix_and_ends_with_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("OPTUNA_STORAGE", f"postgresql+psycopg://optuna@127.0.0.1:{free_port()}/optuna")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "file").write_text("no folder")
    bad = bad_findings("--studies", str(tmp_path / "file" / "studies"), "--address", f"127.0.0.1:{free_port()}")
    assert {about: finding["fix"] for about, finding in bad.items()} == {
        "studies folder": "name another folder with --studies",
        "Optuna": "start it, or unset OPTUNA_STORAGE to use a local file",
        "MLflow": "start it, or unset MLFLOW_TRACKING_URI to use a local file",
        "Ray": "start it, or leave --address out to use a Ray of this machine",
    }
    assert bad["MLflow"]["says"].endswith("does not answer: Connection refused")
    assert "Connection refused" in bad["Optuna"]["says"]
    assert "optuna@" not in bad["Optuna"]["says"]


def test_a_fix_names_where_the_address_has_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "healthy.yaml"
    file.write_text(FILE)
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    storage = f"storage.url=postgresql+psycopg://optuna@127.0.0.1:{free_port()}/optuna"
    tracking = f"tracking.uri=http://127.0.0.1:{free_port()}"
    bad = bad_findings(str(file), "--studies", str(tmp_path / "studies"), "--set", storage, "--set", tracking)
    assert {about: finding["fix"] for about, finding in bad.items()} == {
        "Optuna": "start it, or use a local file with --set storage.url=null",
        "MLflow": "start it, or use a local file with --set tracking.uri=null",
        "Ray": "start it, or unset RAY_ADDRESS to use a Ray of this machine",
    }


def test_a_storage_that_holds_a_password_is_refused_without_showing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "OPTUNA_STORAGE",
        "postgresql+psycopg://optuna:pass-word@here/optuna",  # pragma: allowlist secret
    )
    bad = bad_findings("--studies", str(tmp_path / "studies"), "--address", f"127.0.0.1:{free_port()}")
    assert "must hold no password" in bad["Optuna"]["says"]
    assert "pass-word" not in json.dumps(bad)


def test_another_version_than_the_tested_one_is_a_warning() -> None:
    found = {finding.about: finding for finding in packages({"torch": "1.0.0"})}
    assert found["torch"].verdict == "warning"
    assert "torch==1.0.0" in found["torch"].fix
    assert found["numpy"].verdict == "good"


def test_the_packages_that_are_told_where_all_is_well_are_those_that_a_study_records() -> None:
    told = {finding.about for finding in packages({}) if finding.about != "Python"}
    assert told == set(PACKAGES) - {DISTRIBUTION}
