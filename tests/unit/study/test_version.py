"""The version stands in pyproject.toml; whatever else names it says the same."""

import re
import tomllib

import pytest
from typer.testing import CliRunner

import study
from study.cli import app
from tests.documents import ROOT


def test_the_command_and_python_say_the_version_of_the_package() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert study.__version__ == declared
    ended = CliRunner().invoke(app, ["--version"])
    assert (ended.exit_code, ended.stdout) == (0, f"study {declared}\n")


@pytest.mark.parametrize(
    ("file", "tags"),
    [("docker-compose.yml", {""}), ("deploy/kubernetes/cluster.yaml", {"", "-cuda"})],
)
def test_images_carry_the_version(file: str, tags: set[str]) -> None:
    images = re.findall(r"hpgan-study:([\w.-]+)", (ROOT / file).read_text())
    assert set(images) == {f"{study.__version__}{tag}" for tag in tags}
