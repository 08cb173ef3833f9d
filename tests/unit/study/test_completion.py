"""What the shell offers at Tab, asked for as the shell does."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import STUDY, environment


def offered(folder: Path, *words: str) -> list[str]:
    """What completes the last word of a command line, in bash."""
    asked = {"_STUDY_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [STUDY], cwd=folder, env=environment() | asked, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound study, a damaged one, what is no study, a study file, and a name that is no text."""
    for trial in ("gt+bone/t00", "gt+bone/t01", "gt+bone/confirm", "none/t00"):
        (tmp_path / "studies" / "sound" / "trials" / trial).mkdir(parents=True)
        (tmp_path / "studies" / "sound" / "trials" / trial / "trial.json").write_text("{}")
    for name in ("bad", "\udcff\udcfe"):
        (tmp_path / "studies" / name).mkdir()
        (tmp_path / "studies" / name / "plan.json").write_text("{")
    (tmp_path / "studies" / "sound" / "plan.json").write_text("{}")
    (tmp_path / "studies" / "bad" / "trials").write_text("no folder")
    (tmp_path / "studies" / "nothing").mkdir()
    (tmp_path / "mine.yaml").write_text("")
    (tmp_path / "notes.txt").write_text("")
    return tmp_path


@pytest.mark.parametrize("verb", ["launch", "plan", "validate", "doctor"])
def test_a_study_file_is_one_that_comes_along_or_lies_here(folder: Path, verb: str) -> None:
    assert offered(folder, "study", verb, "") == ["gt_loss", "mine.yaml", "ntu60", "quick", "studies/"]
    assert offered(folder, "study", verb, "./m") == ["./mine.yaml"]


@pytest.mark.parametrize(
    "words",
    [
        *([verb] for verb in ("resume", "stop", "status", "show", "logs", "compare", "reproduce", "report", "publish")),
        *([verb] for verb in ("ui", "export", "rm", "gc")),
        ["compare", "sound"],
        ["plan", "quick", "--simulate"],
        ["plan", "quick", "--pilot"],
    ],
    ids=" ".join,
)
def test_a_study_is_offered_by_its_name_damaged_or_not(folder: Path, words: list[str]) -> None:
    assert offered(folder, "study", *words, "") == ["bad", "sound"]


def test_another_folder_of_studies_is_looked_into(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert offered(elsewhere, "study", "show", "--studies", str(folder / "studies"), "s") == ["sound"]
    assert offered(elsewhere, "study", "show", "") == []
    assert offered(elsewhere, "study", "show", "--studies", str(folder / "mine.yaml"), "") == []


@pytest.mark.parametrize("verb", ["show", "logs", "reproduce"])
def test_a_trial_is_offered_as_arm_and_trial(folder: Path, verb: str) -> None:
    assert offered(folder, "study", verb, "sound", "gt+bone/t") == ["gt+bone/t00", "gt+bone/t01"]
    assert offered(folder, "study", verb, "bad", "") == []
    assert offered(folder, "study", verb, "nobody", "") == []


def test_an_arm_and_a_loss_are_offered_as_values_of_their_options(folder: Path) -> None:
    assert offered(folder, "study", "reproduce", "sound", "--arm", "") == ["gt+bone", "none"]
    assert offered(folder, "study", "reproduce", "bad", "--arm", "") == []
    assert offered(folder, "study", "new", "x.yaml", "--by", "") == ["bone", "consistency", "gt"]
    assert offered(folder, "study", "new", "x.yaml", "--replace", "c") == ["consistency"]


def test_nothing_that_takes_seconds_is_imported_for_it() -> None:
    slow = "torch", "numpy", "pandas", "pydantic", "ray", "optuna", "mlflow", "matplotlib"
    code = f"import sys, study.cli; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
