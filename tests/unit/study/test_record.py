"""The record: what a folder says after crashes, ties and second processes."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.errors import BadStudyInput, DamagedRecord
from study.lease import read_lease
from study.paths import StudyPaths
from study.record import Conclusion, Record, SplitSize, Trial
from study.study_file import StudyFile

NewRecord = Callable[..., Record]
AddTrial = Callable[..., Trial]


def test_a_trial_that_is_started_again_keeps_its_first_request(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    trial = add_trial(record, "gt", "t00", [0.5], state=None)
    again = add_trial(record, "gt", "t00", [], state=None)
    assert again.request == trial.request
    assert trial.state == "running"


def test_trials_come_in_the_order_of_arms_and_numbers(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    names = [f"t{number:02d}" for number in range(101)]
    for arm, name in (("paper", "t00"), ("none", "confirm"), *(("none", name) for name in names), ("gt", "t00")):
        add_trial(record, arm, name, [0.5])
    keys = [*(f"none/{name}" for name in names), "none/confirm", "gt/t00", "paper/t00"]
    assert [trial.key for trial in record.trials()] == keys
    assert [trial.key for trial in record.trials("none", "search")] == keys[:101]
    assert [trial.key for trial in record.trials(phase="confirm")] == ["none/confirm"]


@pytest.mark.parametrize(("goal", "winner"), [("minimize", "t02"), ("maximize", "t00")])
def test_the_winner_is_the_best_complete_trial(
    new_record: NewRecord, add_trial: AddTrial, goal: str, winner: str
) -> None:
    record = new_record(objective={"metric": "val/score", "goal": goal})
    add_trial(record, "gt", "t00", [0.5, 0.9])
    add_trial(record, "gt", "t01", [0.5, 0.3])
    add_trial(record, "gt", "t02", [0.5, 0.2])
    add_trial(record, "gt", "t03", [-9.0], state="pruned")
    add_trial(record, "gt", "t04", [99.0], state="pruned")
    add_trial(record, "gt", "t05", [-9.0], state="failed")
    add_trial(record, "gt", "t06", [-9.0], state=None)
    found = record.winner("gt")
    assert found is not None
    assert found.request.trial == winner


def test_the_first_of_equal_trials_wins(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    for number in range(11):
        add_trial(record, "gt", f"t{number:02d}", [0.5 if number == 0 else 0.25])
    winner, best = record.winner("gt"), record.best()
    assert winner is not None
    assert best is not None
    assert winner.request.trial == best.request.trial == "t01"


def test_the_best_trial_is_the_best_of_all_arms(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    add_trial(record, "none", "t00", [0.5])
    add_trial(record, "paper", "t00", [0.3])
    add_trial(record, "gt", "t00", [0.4])
    add_trial(record, "gt", "confirm", [0.1])
    best = record.best()
    assert best is not None
    assert best.key == "paper/t00"


def test_without_a_complete_trial_nobody_wins(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    add_trial(record, "gt", "t00", [0.5], state="pruned")
    assert record.winner("gt") is None
    assert record.winner("none") is None
    assert record.best() is None


def test_an_arm_has_its_own_winner_and_confirmations(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    for arm, name, score in (("gt", "t00", 0.4), ("gt", "t01", 0.5), ("paper", "t00", 0.3), ("paper", "t01", 0.1)):
        add_trial(record, arm, name, [score])
    # Of t00, which does not win in the other arm.
    for arm in ("gt", "paper"):
        add_trial(record, arm, "confirm", [0.5])
    assert [trial.key for trial in record.ranked("gt")] == ["gt/t00", "gt/t01"]
    assert [trial.key for trial in record.confirmations("gt")] == ["gt/confirm"]
    assert record.confirmations("paper") == []
    confirmation = record.confirmation("gt")
    assert confirmation is not None
    assert confirmation.key == "gt/confirm"


def test_only_a_complete_confirmation_counts(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    add_trial(record, "gt", "t00", [0.5])
    assert record.confirmation("gt") is None
    confirmation = add_trial(record, "gt", "confirm", [0.5], state=None)
    assert record.confirmation("gt") is None
    confirmation.close("complete", 0.5)
    assert record.confirmation("gt") is not None


def test_an_unknown_study_is_answered_with_those_there_are(tmp_path: Path, new_record: NewRecord) -> None:
    with pytest.raises(BadStudyInput, match=r"; it holds no study yet; start one with `study launch FILE`$"):
        Record.open(tmp_path, "small")
    new_record()
    with pytest.raises(BadStudyInput, match="there are: small"):
        Record.open(tmp_path, "other")
    assert Record.open(tmp_path, "small").study_file.name == "small"
    assert [record.paths for record in Record.all(tmp_path)] == [StudyPaths(tmp_path, "small")]


@pytest.mark.parametrize("name", ["../elsewhere/small", "..", ".", "", "/", "small/", "./small", ".small", "small\n"])
def test_what_is_no_name_of_a_study_leads_to_no_folder(tmp_path: Path, new_record: NewRecord, name: str) -> None:
    new_record()
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree(tmp_path / "small", tmp_path / "elsewhere" / "small")
    (tmp_path / "plan.json").write_text("{}")
    for studies in (tmp_path, tmp_path / "elsewhere"):
        with pytest.raises(BadStudyInput, match="is no name of a study, which has 1 to 64 letters"):
            Record.open(studies, name)


def test_a_folder_that_is_being_removed_is_no_study(tmp_path: Path, new_record: NewRecord) -> None:
    new_record().paths.folder.rename(tmp_path / ".0123.removed")
    assert Record.all(tmp_path) == []


def test_the_plan_comes_back_as_it_was_locked(tmp_path: Path, new_record: NewRecord) -> None:
    made = new_record()
    opened = Record.open(tmp_path, "small")
    assert opened.study_file == made.study_file
    assert opened.plan["data_digest"] == "0" * 64
    references = opened.references()
    np.testing.assert_array_equal(references.past, np.zeros((1, 10, 25, 3)))
    np.testing.assert_array_equal(references.truth, np.ones((1, 20, 25, 3)))
    assert (references.skeleton, references.frame_rate_hz) == ("kinect_v2", 30.0)


def test_references_that_would_run_code_when_they_are_read_are_refused(new_record: NewRecord) -> None:
    record = new_record()
    np.savez_compressed(record.paths.references, past=np.array([record.paths], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        record.references()


def test_what_is_written_about_the_study_comes_back(new_record: NewRecord) -> None:
    record = new_record()
    assert record.baselines() == {}
    assert record.conclusion() is None
    record.write_baselines({"zero_velocity": {"test/ade": 1.0}})
    record.conclude("failed", "the disk is full")
    again = Record(record.paths)
    assert again.baselines() == {"zero_velocity": {"test/ade": 1.0}}
    ended = again.conclusion()
    assert ended is not None
    assert ended == Conclusion(
        "failed", "the disk is full", pytest.approx(time.time(), abs=60), {"none": 0, "gt": 0, "paper": 0}
    )


def test_a_study_is_running_interrupted_finished(tmp_path: Path, new_record: NewRecord) -> None:
    record = new_record()
    assert record.state() == "interrupted"
    with record.driving():
        assert Record.open(tmp_path, "small").state() == "running"
    assert record.state() == "interrupted"
    record.conclude("finished", None)
    assert record.state() == "finished"
    for _ in range(2):
        record.reopen()
        assert record.state() == "interrupted"


def test_the_time_that_a_study_was_driven_is_kept(tmp_path: Path, new_record: NewRecord) -> None:
    assert Record(StudyPaths(tmp_path, "never driven")).driven_s() == 0
    record = new_record()
    lease = read_lease(record.paths)
    assert lease is not None
    assert record.driven_s() == lease.driven_s > 0


def test_the_records_clock_never_goes_back(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    first = record.now()
    assert first == pytest.approx(time.time(), abs=60)
    # As when another machine, whose clock is ahead, has driven this study until now.
    ahead = record.now(after=first + 1000)
    assert ahead > first + 1000
    trial = add_trial(record, "gt", "t00", [0.5], state=None)
    assert trial.close("complete", 0.5).ended_at > ahead


@pytest.mark.parametrize(("studies", "option"), [("studies", ""), ("other place", " --studies 'other place'")])
def test_a_command_names_the_folder_of_studies_unless_it_is_the_usual_one(studies: str, option: str) -> None:
    assert Record(StudyPaths(Path(studies), "small")).command("resume") == f"study resume small{option}"


def test_an_unknown_trial_is_answered_with_those_there_are(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    with pytest.raises(BadStudyInput, match=r"^study 'small' has no trial 'gt/t00'; there are: none yet$"):
        record.find("gt/t00")
    for name in ("t00", "t01"):
        add_trial(record, "gt", name, [0.5])
    assert record.find("gt/t01") is record.trial("gt", "t01")
    with pytest.raises(BadStudyInput, match=r"^study 'small' has no trial 't01'; there are: gt/t00, gt/t01$"):
        record.find("t01")


def test_a_trial_whose_folder_a_crash_has_left_empty_is_started(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    record.paths.trial("gt", "t00").folder.mkdir(parents=True)
    assert record.trials() == []
    add_trial(record, "gt", "t00", [0.5])
    assert [trial.key for trial in record.trials()] == ["gt/t00"]


@pytest.mark.parametrize("name", ["plan.json", "amendments.jsonl", "conclusion.json", "baselines.json"])
@pytest.mark.parametrize("damage", ["cut short", "not ours"])
def test_a_damaged_file_of_the_study_is_named(new_record: NewRecord, name: str, damage: str) -> None:
    record = new_record()
    record.conclude("finished", None)
    record.write_baselines({"zero_velocity": {"ade": 1.0}})
    record.amend("add_trials", trials=1)
    path = record.paths.folder / name
    content = path.read_text()
    path.write_text(content[: len(content) // 2] + "\n" if damage == "cut short" else "[1, 2]\n")
    record = Record(record.paths)
    with pytest.raises(DamagedRecord, match=rf"{name} is damaged: "):
        _ = (record.study_file, record.conclusion(), record.baselines())


@pytest.mark.parametrize("name", ["trial.json", "outcome.json", "attempts.jsonl", "epochs.jsonl"])
def test_a_damaged_file_of_a_trial_is_named(new_record: NewRecord, add_trial: AddTrial, name: str) -> None:
    trial = add_trial(new_record(), "gt", "t00", [0.5] * 4)
    trial.begin_attempt("here")
    path = trial.paths.folder / name
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    again = Trial(trial.paths)
    with pytest.raises(DamagedRecord, match=rf"gt/t00/{name} is damaged: "):
        _ = (again.request, again.outcome, again.attempts(), again.epochs())


AMENDMENTS = (
    {"kind": "add_trials", "trials": "x"},
    {"kind": "add_trials"},
    {"kind": "more_seeds", "membdrs": 1},
    {"kind": "retry_failed", "trials": 3},
    {"kind": "resources", "section": None},
    {"kind": "environment", "changed": {"torch": ["1.0"]}},
    {"kind": "ade_trials", "trials": 1},
    {},
)


@pytest.mark.parametrize("line", AMENDMENTS)
def test_a_line_that_is_no_amendment_is_named(new_record: NewRecord, line: dict[str, Any]) -> None:
    record = new_record()
    record.amend("add_trials", trials=1)
    with record.paths.amendments.open("a") as file:
        file.write(json.dumps(line) + "\n")
    with pytest.raises(DamagedRecord, match=r"amendments\.jsonl is damaged: line 2 holds something else"):
        _ = Record(record.paths).amendments


def test_sizes_of_splits_that_were_changed_or_taken_away_are_noticed(new_record: NewRecord) -> None:
    record = new_record(people_tested=1)
    assert Record(record.paths).splits == {"test": SplitSize(people=1, clips=2, windows=9)}
    locked = json.loads(record.paths.plan.read_text())
    for splits in ({"test": {"people": 9, "clips": 2, "windows": 9}}, {}):
        record.paths.plan.write_text(json.dumps(locked | {"splits": splits}))
        with pytest.raises(DamagedRecord, match="it has been changed since it was locked"):
            Record(record.paths).plan_digest()


@pytest.mark.parametrize("size", [{"people": 1, "clips": 2}, {"people": 1, "clips": 2, "windows": "many"}])
def test_a_size_of_a_split_that_is_none_is_named(new_record: NewRecord, size: dict[str, Any]) -> None:
    record = new_record()
    record.paths.plan.write_text(json.dumps(record.plan | {"splits": {"test": size}}))
    with pytest.raises(DamagedRecord, match=r"plan\.json is damaged: .*windows"):
        _ = Record(record.paths).plan


@pytest.mark.parametrize("key", ["id", "file", "data_digest", "environment", "created_at"])
def test_a_plan_without_a_part_of_it_is_named(new_record: NewRecord, key: str) -> None:
    record = new_record()
    record.paths.plan.write_text(json.dumps({name: of for name, of in record.plan.items() if name != key}))
    with pytest.raises(DamagedRecord, match=rf"plan\.json is damaged: .*{key}"):
        _ = Record(record.paths).plan


@pytest.mark.parametrize("lost", ["t01", "t01/trial.json"])
def test_a_search_trial_that_is_missing_before_others_is_named(
    new_record: NewRecord, add_trial: AddTrial, lost: str
) -> None:
    record = new_record()
    for number in range(3):
        add_trial(record, "gt", f"t{number:02d}", [0.5])
    path = record.paths.trials / "gt" / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DamagedRecord, match=r"gt/t01/trial\.json is damaged: it is missing, and later trials"):
        Record(record.paths).trials()


def test_a_trial_that_comes_while_the_folder_is_listed_is_not_missing(
    new_record: NewRecord, add_trial: AddTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = new_record()
    for number in range(2):
        add_trial(record, "gt", f"t{number:02d}", [0.5])
    listed = [record.paths.trials / "gt" / "t01"]
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: listed if folder.name == "gt" else [])
    assert [trial.key for trial in Record(record.paths).trials()] == ["gt/t00", "gt/t01"]


@pytest.mark.parametrize("lost", ["gt/t01", "gt/t01/outcome.json", "gt/confirm", "gt"])
def test_a_study_that_has_ended_misses_every_trial_that_it_had(
    new_record: NewRecord, add_trial: AddTrial, lost: str
) -> None:
    record = new_record()
    for name in ("t00", "t01", "confirm"):
        add_trial(record, "gt", name, [0.5])
    record.conclude("finished", None)
    assert Record(record.paths).state() == "finished"
    path = record.paths.trials / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DamagedRecord, match=r"trials/gt is damaged: 3 of its trials had ended when the study did, "):
        Record(record.paths).state()


def test_a_conclusion_of_an_earlier_version_is_read(new_record: NewRecord) -> None:
    record = new_record()
    record.paths.conclusion.write_text('{"state": "finished", "reason": null, "ended_at": 1700000000.0}')
    assert record.conclusion() == Conclusion("finished", None, 1_700_000_000.0)


def test_what_is_not_locked_can_be_amended_and_the_last_word_counts(new_record: NewRecord, study_with: Any) -> None:
    record = new_record()
    record.amend_operations(study_with(resources={"max_concurrent": 3}, budget={"device_hours": 2.0}))
    record.amend_operations(study_with(resources={"max_concurrent": 1}, budget={"device_hours": 2.0}))
    again = Record(record.paths)
    assert again.study_file == study_with(resources={"max_concurrent": 1}, budget={"device_hours": 2.0})
    assert StudyFile.from_canonical(again.plan["file"]) == study_with()
    lines = [json.loads(line) for line in record.paths.amendments.read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["resources", "budget", "resources"]
    assert [line["time"] for line in lines] == pytest.approx([time.time()] * 3, abs=60)


def test_amendments_add_up(new_record: NewRecord) -> None:
    record = new_record()
    record.amend("add_trials", trials=2)
    record.amend("more_seeds", members=1)
    record.amend("add_trials", trials=3)
    record.amend("retry_failed", trials=["gt/t00"])
    record.amend("retry_failed", trials=["gt/t03", "none/t01"])
    amendments = Record(record.paths).amendments
    assert (amendments.trials, amendments.members) == (5, 1)
    assert amendments.retried == {"gt/t00", "gt/t03", "none/t01"}


def test_only_a_changed_environment_is_an_amendment(new_record: NewRecord) -> None:
    record = new_record()
    before = record.plan["environment"]
    assert not record.amend_environment(before)
    upgraded = before | {"torch": "99.0", "threads": 2}
    expected = {"threads": (None, 2), "torch": (before.get("torch"), "99.0")}
    assert record.amend_environment(upgraded) == expected
    assert not Record(record.paths).amend_environment(upgraded), "as the last driver found it"
    assert Record(record.paths).amend_environment(before).keys() == expected.keys()


def test_requests_and_outcomes_are_read_once(new_record: NewRecord, add_trial: AddTrial) -> None:
    """A study of thousands of trials asks for them all the time."""
    record = new_record()
    add_trial(record, "gt", "t00", [0.5])
    record = Record(record.paths)
    first = record.winner("gt")
    (record.paths.trials / "gt" / "t00" / "outcome.json").write_text("never read again")
    assert record.winner("gt") is first


def test_a_study_set_aside_takes_the_next_free_name(tmp_path: Path, new_record: NewRecord, add_trial: AddTrial) -> None:
    add_trial(new_record(), "gt", "t00", [0.5])
    assert Record.open(tmp_path, "small").set_aside() == "small.1"
    new_record()
    assert Record.open(tmp_path, "small").set_aside() == "small.2"
    assert not StudyPaths(tmp_path, "small").folder.exists()
    with pytest.raises(BadStudyInput, match=r"there are: small\.1, small\.2$"):
        Record.open(tmp_path, "small")
    assert [trial.key for trial in Record(StudyPaths(tmp_path, "small.1")).trials()] == ["gt/t00"]


def test_the_longest_name_leads_to_one_that_is_still_a_name(tmp_path: Path, new_record: NewRecord) -> None:
    new_record().paths.folder.rename(tmp_path / ("n" * 64))
    aside = Record.open(tmp_path, "n" * 64).set_aside()
    assert aside == "n" * 62 + ".1"
    assert Record.open(tmp_path, aside).exists


def test_a_plan_that_was_changed_after_it_was_locked_is_noticed(new_record: NewRecord) -> None:
    record = new_record()
    assert record.plan_digest() == record.plan["digest"]
    locked = json.loads(record.paths.plan.read_text())
    claim = locked["file"]["claims"][0] | {"alpha": 0.2}
    another_alpha = locked | {"file": locked["file"] | {"claims": [claim]}}
    no_digest = {key: value for key, value in locked.items() if key != "digest"}
    for changed in (another_alpha, no_digest):
        record.paths.plan.write_text(json.dumps(changed))
        with pytest.raises(DamagedRecord, match=r"plan\.json is damaged: it has been changed since it was locked; "):
            Record(record.paths).plan_digest()


def test_a_plans_digest_is_the_same_in_every_version(new_record: NewRecord) -> None:
    """By another formula every study that is locked already would look changed."""
    record = new_record()
    digest = "00c8d7633eae4b165655d34f1c9f1edec68119b0be2e1b8673d3f711e871ffe3"  # pragma: allowlist secret
    locked = {"file": {"b": 1, "a": 2}, "data_digest": "0" * 64, "environment": {"code": "1.0", "python": "3"}}
    record.paths.plan.write_text(json.dumps(locked | {"id": "0", "created_at": 0.0, "digest": digest}))
    assert Record(record.paths).plan_digest() == digest
