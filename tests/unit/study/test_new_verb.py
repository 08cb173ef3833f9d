"""The study files that `study new` writes."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hpgan_core.metrics import METRICS
from study.cli import app
from study.reading import read_study_file
from tests.processes import STUDY, environment


def new(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["new", *arguments])


def test_with_no_answers_it_asks_the_project_s_question(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    result = new(str(file))
    assert result.exit_code == 0, result.output
    study_file = read_study_file(file, metrics=METRICS)
    assert study_file.name == "mine"
    assert {arm: set(losses) for arm, losses in study_file.arms.items()} == {
        "none": set(),
        "gt": {"gt"},
        "consistency+bone": {"consistency", "bone"},
    }
    assert study_file.claims[0].metrics == ("ade", "jerk_ratio", "bone_error")


@pytest.mark.parametrize("size", ["quick", "laptop", "gpu"])
@pytest.mark.parametrize(("replace", "by"), [("bone", "gt"), ("gt", "consistency"), ("consistency,bone", "gt+bone")])
def test_every_combination_of_answers_gives_a_valid_file(tmp_path: Path, size: str, replace: str, by: str) -> None:
    file = tmp_path / "mine.yaml"
    result = new(str(file), "--replace", replace, "--by", by, "--size", size, "--data", "synthetic")
    assert result.exit_code == 0, result.output
    study_file = read_study_file(file, metrics=METRICS)
    assert len(study_file.arms) == 3
    assert (study_file.resources.gpus_per_trial > 0) == (size == "gpu")


@pytest.mark.parametrize("size", ["quick", "laptop", "gpu"])
def test_a_shortlist_repeats_some_of_an_arm_s_trials_and_never_all(tmp_path: Path, size: str) -> None:
    file = tmp_path / "mine.yaml"
    assert new(str(file), "--size", size, "--data", "synthetic").exit_code == 0
    study_file = read_study_file(file, metrics=METRICS)
    assert study_file.n_shortlisted() < study_file.n_trials()
    assert (study_file.shortlist() is None) == (size == "quick") == ("train all of them again" in file.read_text())


def test_recordings_are_found_by_what_lies_there(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "S001C001P001R001A001.skeleton").write_text("")
    file = tmp_path / "mine.yaml"
    assert new(str(file), "--data", str(tmp_path / "clips")).exit_code == 0
    data = read_study_file(file, metrics=METRICS).data
    assert (data.dataset, data.options["root"]) == ("ntu_rgbd", str(tmp_path / "clips"))


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("mine")
    result = new(str(file))
    assert result.exit_code == 2
    assert "there already" in result.stderr
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--replace", "bones"), "did you mean 'bone'"),
        (("--by", "consistency", "--replace", "consistency"), "must differ"),
        (("--data", "nowhere"), "does not exist"),
    ],
)
def test_an_answer_that_cannot_be_used_leaves_no_file(
    tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    result = new(str(tmp_path / "mine.yaml"), *arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        ("nowhere/mine.yaml", "nowhere is no folder; make it"),
        ("my study.yaml", "the study's name, which must be 1 to 64"),
    ],
)
def test_a_file_that_cannot_be_is_told_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = new(file)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_the_loss_that_is_to_be_replaced_is_not_proposed_in_its_place(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    assert new(str(file), "--replace", "gt").exit_code == 0
    study_file = read_study_file(file, metrics=METRICS)
    assert study_file.claims[0].candidate == "consistency"


def test_two_losses_replace_and_one_replaces(tmp_path: Path) -> None:
    for name, by in (("one", "bone"), ("two", "bone,consistency")):
        assert new(str(tmp_path / f"{name}.yaml"), "--replace", "gt", "--by", by).exit_code == 0
    assert "the bone loss replaces the ground-truth loss" in (tmp_path / "one.yaml").read_text()
    assert "the consistency loss replace the ground-truth loss" in (tmp_path / "two.yaml").read_text()


def test_a_folder_that_cannot_be_written_is_named_without_a_traceback() -> None:
    result = new("/sys/mine.yaml", "--data", "synthetic")
    assert result.exit_code == 1
    assert "cannot write /sys/mine.yaml: " in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_where_nobody_is_there_to_be_asked_every_default_is_said(tmp_path: Path) -> None:
    result = new(str(tmp_path / "mine.yaml"), "--by", "gt")
    taken = [line for line in result.stdout.splitlines() if "nobody is there to be asked" in line]
    assert [line.split()[-3] for line in taken] == ["--replace", "--data", "--size"]
    assert "consistency, bone" in taken[0]


def interview(folder: Path, *exchange: tuple[str, str]) -> str:
    """Answer the questions of a terminal; returns all that it showed."""
    import pexpect

    terminal = pexpect.spawn(
        STUDY, ["new", "mine.yaml"], cwd=folder, env=environment(), encoding="utf-8", timeout=60, dimensions=(40, 200)
    )
    shown = ""
    for question, answer in exchange:
        terminal.expect(question)
        shown += terminal.before
        terminal.sendline(answer)
    terminal.expect(pexpect.EOF)
    return shown + terminal.before


def test_it_asks_on_a_terminal(tmp_path: Path) -> None:
    interview(
        tmp_path,
        (r"replaced \(gt, consistency, bone\)\?", "bone"),
        (r"By which losses \(gt, consistency, bone\)\?", "gt"),
        ("Recordings", "synthetic"),
        ("How much", "quick"),
    )
    assert set(read_study_file(tmp_path / "mine.yaml", metrics=METRICS).arms) == {"none", "gt", "bone"}


def test_ctrl_c_at_a_question_ends_at_once_and_writes_nothing(tmp_path: Path) -> None:
    import pexpect

    terminal = pexpect.spawn(STUDY, ["new", "mine.yaml"], cwd=tmp_path, env=environment(), timeout=60)
    terminal.expect("replaced")
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_cannot_be_used_is_asked_for_again_with_the_reason(tmp_path: Path) -> None:
    shown = interview(
        tmp_path,
        ("replaced", "bones"),
        ("replaced", "bone"),
        ("By which", "bone"),
        ("By which", ","),
        ("By which", "gt"),
        ("Recordings", "no where"),
        ("Recordings", "synthetic"),
        ("How much", "huge"),
        ("How much", "quick"),
    )
    for reason in ("did you mean 'bone'", "must differ", "name one or more", "no where does not exist", "'huge'"):
        assert reason in shown
    assert set(read_study_file(tmp_path / "mine.yaml", metrics=METRICS).arms) == {"none", "gt", "bone"}
