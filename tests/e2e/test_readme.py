"""Every command of the README, in a copy of what it needs, with studies made small."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from hpgan_core.data.synthetic import write_synthetic
from tests.documents import ROOT, fenced, inline_commands, shell_lines
from tests.processes import environment

README = ROOT / "README.md"
SMALLER: dict[str, dict[str, Any]] = {
    "data": {"people": 6, "clips_per_action": 1},
    "training": {"critic_size": 16, "evaluation_windows": 8, "final_windows": 8, "final_samples": 3},
    "search": {"trials_per_arm": 1, "members": 1, "epochs": 1, "pruner": {"name": "none"}},
    "confirm": {"members": 3, "epochs": 1, "shortlist": None},
}
LITTLE_LEARNING = (
    "--losses gt --epochs 1 --seeds 2 --people 6 --set batch_size=8 --set critic_size=8 --set hidden_size=8 "
    "--set final_samples=3"
)
# What a line of the README leaves open, filled in.
EXAMPLES = {
    "study new FILE": ["study new asked.yaml --replace bone --by gt --data synthetic --size quick"],
    "study validate FILE": ["study validate search_spaces/quick.yaml"],
    "study plan FILE [--workers N] [--simulate NAME]": [
        "study plan search_spaces/quick.yaml --workers 2",
        "study plan search_spaces/quick.yaml --simulate quick",
    ],
    "study status [NAME] [--watch]": ["study status", "study status quick --watch"],
    "study logs NAME [ARM/TRIAL] [--follow]": ["study logs quick", "study logs quick gt/t00 --follow"],
    "study resume NAME": ["study resume quick"],
    # So small a study holds no claim.
    "study compare NAME... [--metric M] [--json] [--exit-verdict]": [
        "study compare quick --metric ade --json",
        "study compare quick quick --exit-verdict || test $? -eq 6",
    ],
    "study report NAME [--lang it]": ["study report quick --lang it"],
    "study reproduce NAME [ARM/TRIAL]": ["study reproduce quick gt/t00"],
    "study publish NAME": ["study publish quick"],
    "study show NAME [ARM/TRIAL]": ["study show quick", "study show quick gt/t00"],
    "study rm NAME...": ["cp -r studies/quick studies/another", "study rm another --yes"],
    "study export NAME": ["study export quick taken.study.tar.gz"],
    "study import FILE": [
        "study export quick brought.study.tar.gz",
        "study import brought.study.tar.gz --name brought",
    ],
}
# What is not run here, and the words of the file that runs it.
ELSEWHERE = {
    "study launch FILE [--data PATH] [--set key=value]": ("README.md", "study launch search_spaces/quick.yaml --data"),
    "study launch search_spaces/gt_loss.yaml --data FOLDER": ("README.md", "launch search_spaces/gt_loss.yaml --data"),
    "study data describe PATH": ("README.md", "study data describe FOLDER"),
    "study data prepare FOLDER OUT.h5": ("README.md", "study data prepare FOLDER motion.h5"),
    "study doctor [FILE]": ("docs/tutorial.md", "study doctor\n"),
    "study reproduce --from-mlflow RUN_ID": ("tests/e2e/test_launch.py", '"reproduce", "--from-mlflow", run_id'),
    "study stop NAME": ("tests/e2e/test_stop.py", '"stop", "small"'),
    "study ui NAME": ("tests/e2e/test_launch.py", '"ui", "small"'),
    "study ui quick": ("tests/e2e/test_launch.py", '"ui", "small"'),
    "make secrets && docker compose up -d --wait": ("tests/cluster/stack.py", '"up", "--detach", "--wait"'),
    "docker compose run --rm study launch search_spaces/gt_loss.yaml": (
        "tests/cluster/stack.py",
        '["docker", "compose", "run", "--rm"',
    ),
    "make test": (".ci/run", "make test\n"),
    "make test-cluster": (".ci/run", "make test-cluster"),
    "make test-multinode": (".ci/run", "make test-multinode"),
    "make docs": ("Makefile", "lint types floors docs"),
    "make release-check": (".ci/run", "make release-check"),
    # It measures for longer than a test may take; parts of it are run in little.
    "make bench": ("tests/integration/test_benchmarks.py", "scale.measure("),
}
INLINE = [command for command in inline_commands(README) if command not in shell_lines(README)]
OTHERS = {*ELSEWHERE, *(example for examples in EXAMPLES.values() for example in examples)}

Run = Callable[..., None]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study files, smaller; the command where an installation has it; recordings of a data set's format."""
    folder = tmp_path_factory.mktemp("copy")
    yaml = YAML()
    (folder / "search_spaces").mkdir()
    for file in ("quick.yaml", "gt_loss.yaml"):
        content = yaml.load(ROOT / "search_spaces" / file)
        for section, settings in SMALLER.items():
            content[section].update(settings)
        # Seconds an arm: of one study is enough.
        content["tracking"] = {"models": file == "quick.yaml"}
        yaml.dump(content, folder / "search_spaces" / file)
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (folder / "benchmarks").symlink_to(ROOT / "benchmarks")
    write_synthetic(folder / "FOLDER", people=8, clips_per_action=1)
    return folder


@pytest.fixture(scope="module")
def run(copy: Path) -> Run:
    """Run a command there, as in a terminal in which the environment is activated."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    settings = environment() | {"PATH": path, "HPGAN_CACHE": str(copy / "cache")}

    def run(*words: str) -> None:
        done = subprocess.run(words, cwd=copy, env=settings, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"

    return run


@pytest.fixture(scope="module")
def quick(copy: Path, run: Run) -> Path:
    """Where `make study` has left its study."""
    run("sh", "-c", made_by_make("study"))
    return copy


def made_by_make(target: str) -> str:
    """What `make TARGET` runs last."""
    # Under another make it would say last which directory it leaves.
    command = ["make", "--no-print-directory", "-n", target]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()[-1]


@pytest.mark.timeout(1500)
def test_the_readme_can_be_followed_from_its_first_command_to_its_last(quick: Path, run: Run) -> None:
    commands = shell_lines(README)
    assert commands[0] == "make study"
    assert len(commands) > 4
    for command in commands[1:]:
        run("bash", "-c", command)
    assert (quick / "sheet.png").exists()
    assert {folder.name for folder in (quick / "studies").iterdir()} >= {"quick", "mine", "gt-loss"}
    snippets = [content for _, content in fenced(README, "python")]
    assert snippets
    for snippet in snippets:
        run(sys.executable, "-c", snippet)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("command", [command for command in INLINE if command not in OTHERS])
def test_a_command_that_the_readme_names_works(command: str, quick: Path, run: Run) -> None:
    for example in EXAMPLES.get(command, [command]):
        if "benchmarks.learning" in example:
            example = f"{example} {LITTLE_LEARNING}"
        run("bash", "-c", example)


@pytest.mark.parametrize("synopsis", EXAMPLES)
def test_examples_use_every_option_of_what_they_stand_for(synopsis: str) -> None:
    assert synopsis in INLINE
    verb = re.match(r"[a-z ]+[a-z]\b", synopsis)
    assert verb is not None
    own = [example for example in EXAMPLES[synopsis] if example.startswith(verb[0])]
    assert set(re.findall(r"--[a-z-]+", synopsis)) <= set(re.findall(r"--[a-z-]+", " ".join(own)))
    assert own


@pytest.mark.parametrize("command", ELSEWHERE)
def test_what_is_not_run_here_is_run_elsewhere(command: str) -> None:
    file, words = ELSEWHERE[command]
    assert command in INLINE
    assert words in (ROOT / file).read_text()


def test_the_table_of_verbs_is_read() -> None:
    assert {command.split()[1] for command in INLINE if command.startswith("study ")} >= {
        "new", "validate", "plan", "launch", "status", "logs", "stop", "resume", "compare", "report", "reproduce", "ui",
        "publish", "ls", "show", "rm", "gc", "export", "import", "doctor", "data",
    }  # fmt: skip
