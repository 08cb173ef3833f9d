"""Build the wheel, install it alone into an empty environment, and run the packaged quick study with it.

``make release-check``. It downloads every dependency anew (minutes), so it is no part of the test suite; ``.ci/run``
runs it after that.
"""

import os
import re
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
# As the packaged file has it, but for its length.
SHORTER = ("--set", "search.epochs=2", "--set", "confirm.epochs=2", "--set", "confirm.members=3")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        wheel = build(Path(folder))
        expect_whole(wheel)
        run_alone(wheel, Path(folder))
    print(f"{wheel.name} runs alone")


def build(folder: Path) -> Path:
    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT), cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def expect_whole(wheel: Path) -> None:
    """Raises SystemExit unless every file of both packages, and the shipped study files, are in it; and no test."""
    inside = set(zipfile.ZipFile(wheel).namelist())
    listed = subprocess.run(
        ["git", "ls-files", "study", "hpgan_core"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    wanted = {*listed.stdout.split(), "study/constraints.txt", "study/search_spaces/quick.yaml"}
    if missing := wanted - inside:
        sys.exit(f"{wheel.name} lacks {', '.join(sorted(missing))}")
    if others := {name for name in inside if not name.startswith(("study/", "hpgan_core/", "hpgan_study-"))}:
        sys.exit(f"{wheel.name} has {', '.join(sorted(others))} besides")


def run_alone(wheel: Path, folder: Path) -> None:
    """Install it with the tested versions, in a folder without this repository, and launch."""
    environment = folder / "environment"
    venv.create(environment, with_pip=True)
    python, study = (str(environment / "bin" / name) for name in ("python", "study"))
    (torch,) = re.findall(r"^torch==.*$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    run(python, "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"), torch, str(wheel), cwd=folder)
    run(study, "doctor", "quick", cwd=folder)
    run(study, "launch", "quick", *SHORTER, cwd=folder)
    run(study, "report", "quick", cwd=folder)


def run(*command: str, cwd: Path) -> None:
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(command, cwd=cwd, env=settings, check=True)


if __name__ == "__main__":
    main()
