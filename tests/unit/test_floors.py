"""No library may be older than the version that closed a known hole in it, and the exact versions keep to that."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
FLOORS = {
    "ray": "2.52",  # CVE-2025-62593: a web page runs code by DNS rebinding
    "torch": "2.10",  # CVE-2025-32434, CVE-2026-24747: torch.load runs code in spite of weights_only
    "mlflow": "3.17.2",  # CVE-2026-2033, CVE-2026-53995: files outside of the artifact folder
}


@pytest.mark.parametrize(("name", "floor"), FLOORS.items())
def test_versions_with_known_holes_are_refused(name: str, floor: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (required,) = [found for line in project["dependencies"] if (found := Requirement(line)).name == name]
    (lowest,) = [Version(part.version) for part in required.specifier if part.operator == ">="]
    assert lowest >= Version(floor)
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert Version(pinned[name]) in required.specifier


def test_what_builds_the_wheel_is_pinned_as_well() -> None:
    """In pyproject.toml: pip builds in an environment of its own, for which it does not read constraints.txt."""
    (required,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert required in (ROOT / "constraints.txt").read_text().splitlines()
