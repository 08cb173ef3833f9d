"""What people who cite or import the project find in its files."""

import tomllib

import pytest
from ruamel.yaml import YAML

from tests.documents import ROOT


def test_the_citation_is_of_the_version_that_is_built() -> None:
    citation = YAML(typ="safe", pure=True).load(ROOT / "CITATION.cff")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["version"] == project["version"]


@pytest.mark.parametrize("package", ["study", "hpgan_core"])
def test_a_package_says_that_its_types_can_be_relied_on(package: str) -> None:
    assert (ROOT / package / "py.typed").read_bytes() == b""
