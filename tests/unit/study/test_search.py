"""Optuna as one study an arm, on real SQLite files."""

import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from study.errors import StudyError
from study.search import ArmSearch, open_storage
from study.space import active_parameters, default_values
from study.study_file import StudyFile

StudyWith = Callable[..., StudyFile]


def arm_search(folder: Path, study_file: StudyFile, arm: str) -> ArmSearch:
    parameters = active_parameters(study_file, arm)
    return ArmSearch(open_storage(folder / "optuna.db"), study_file, arm, parameters, list(study_file.arms).index(arm))


def run_trials(search: ArmSearch, number: int) -> list[dict[str, Any]]:
    """Ask and tell one trial after the other; what it scores depends on its values alone."""
    suggested = []
    for _ in range(number):
        trial, values = search.ask()
        iterations, weight = values["critic_iterations"], values["lambda_gp"]
        assert isinstance(iterations, int)
        assert isinstance(weight, float)
        search.tell(trial, "complete", iterations + 0.1 * weight)
        suggested.append(values)
    return suggested


def section(sampler: str, pruner: dict[str, Any] | None = None) -> dict[str, Any]:
    pruner = pruner or {"name": "none"}
    return {"trials_per_arm": 20, "sampler": {"name": sampler, "seed": 7}, "pruner": pruner, "epochs": 9}


def test_arms_draw_different_points_from_one_seed(tmp_path: Path, study_with: StudyWith) -> None:
    study_file = study_with(search=section("random"))
    points = {arm: run_trials(arm_search(tmp_path, study_file, arm), 4)[1:] for arm in ("none", "paper")}
    assert points["none"] != points["paper"]


def test_states_and_causes_are_right_in_optuna(tmp_path: Path, study_with: StudyWith) -> None:
    search = arm_search(tmp_path, study_with(), "gt")
    for state in ("complete", "pruned", "failed"):
        number, _ = search.ask()
        for epoch, value in ((1, 0.9), (2, 0.7)):
            search.report(number, epoch, value)
        search.tell(number, state, 0.7 if state == "complete" else None, "it broke" if state == "failed" else None)
    complete, pruned, failed = search.study.trials
    assert [trial.state for trial in search.study.trials] == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    assert complete.value == 0.7
    assert (pruned.value, pruned.last_step) == (0.7, 2)
    assert pruned.intermediate_values == {1: 0.9, 2: 0.7}
    assert failed.value is None
    assert failed.user_attrs == {"cause": "it broke"}
    assert search.asked() == 3


@pytest.mark.parametrize("name", ["successive_halving", "median"])
def test_a_trial_is_pruned_against_its_own_arm_alone(tmp_path: Path, study_with: StudyWith, name: str) -> None:
    study_file = study_with(search=section("random", {"name": name, "grace_epochs": 3}))
    good, bad = arm_search(tmp_path, study_file, "gt"), arm_search(tmp_path, study_file, "none")
    for _ in range(4):
        number, _ = good.ask()
        assert not any(good.report(number, epoch, 0.1) for epoch in range(1, 8))
        good.tell(number, "complete", 0.1)
    # The first trial of an arm is beaten by nobody, however good the other arm is.
    number, _ = bad.ask()
    assert not any(bad.report(number, epoch, 5.0) for epoch in range(1, 8))
    number, _ = good.ask()
    verdicts = [good.report(number, epoch, 5.0) for epoch in range(1, 6)]
    assert verdicts[:2] == [False, False]
    assert any(verdicts[2:])


def test_pruning_follows_the_goal(tmp_path: Path, study_with: StudyWith) -> None:
    pruner = {"name": "successive_halving", "grace_epochs": 1, "reduction_factor": 2}
    goal = {"metric": "val/score", "goal": "maximize"}
    search = arm_search(tmp_path, study_with(search=section("random", pruner), objective=goal), "gt")
    for _ in range(4):
        number, _ = search.ask()
        search.report(number, 1, 0.5)
        search.tell(number, "complete", 0.5)
    better, worse = search.ask()[0], search.ask()[0]
    assert not search.report(better, 1, 0.9)
    assert search.report(worse, 1, 0.1)


def test_interrupted_trials_are_taken_up_again(tmp_path: Path, study_with: StudyWith) -> None:
    first = arm_search(tmp_path, study_with(), "gt")
    run_trials(first, 1)
    number, values = first.ask()
    first.report(number, 1, 0.9)
    resumed = arm_search(tmp_path, study_with(), "gt")
    assert resumed.open_trials() == {number: values}
    assert resumed.asked() == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not resumed.report(number, 1, 0.9)
        resumed.report(number, 2, 0.4)
    resumed.tell(number, "complete", 0.4)
    trial = resumed.study.trials[number]
    assert (trial.state, trial.value, trial.intermediate_values) == (TrialState.COMPLETE, 0.4, {1: 0.9, 2: 0.4})
    assert arm_search(tmp_path, study_with(), "gt").open_trials() == {}


def test_a_driver_that_dies_over_an_ask_leaves_a_whole_trial_or_none(tmp_path: Path, study_with: StudyWith) -> None:
    study_file = study_with(search=section("random"))
    program = """
import json, os, pathlib, shutil, sys
from sqlalchemy import event
from study.search import ArmSearch, open_storage
from study.space import active_parameters
from study.study_file import StudyFile
study_file = StudyFile.from_canonical(json.loads(sys.argv[2]))
def opened(path):
    tables = open_storage(path)
    return tables, ArmSearch(tables, study_file, "gt", active_parameters(study_file, "gt"), 1)
def ask(path, left):
    tables, search = opened(path)
    @event.listens_for(tables.rdb.engine, "before_cursor_execute")
    def die(*_):
        nonlocal left
        left -= 1
        if left == 0:
            os._exit(9)
    search.ask()
    os._exit(0)
folder = pathlib.Path(sys.argv[1])
opened(folder / "empty.db")[0].rdb.engine.dispose()
for statement in range(1, 100):
    shutil.copy(folder / "empty.db", folder / f"{statement}.db")
    if (process := os.fork()) == 0:
        ask(folder / f"{statement}.db", statement)
    if os.waitpid(process, 0)[1] == 0:
        break
print(statement)
"""
    command = [sys.executable, "-c", program, str(tmp_path), study_file.model_dump_json()]
    statements = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert statements > 5
    asked = []
    for statement in range(1, statements + 1):
        parameters = active_parameters(study_file, "gt")
        resumed = ArmSearch(open_storage(tmp_path / f"{statement}.db"), study_file, "gt", parameters, 1)
        assert list(resumed.open_trials().values()) == [default_values(study_file, "gt")] * resumed.asked()
        asked.append(resumed.asked())
        assert resumed.ask()[0] == asked[-1]
    assert (asked[0], asked[-1]) == (0, 1)


def test_the_database_is_in_wal_mode(tmp_path: Path, study_with: StudyWith) -> None:
    arm_search(tmp_path, study_with(), "gt")
    assert (tmp_path / "optuna.db").read_bytes()[18:20] == b"\x02\x02"


def test_a_trial_that_is_run_again_does_not_use_up_a_configuration(tmp_path: Path, study_with: StudyWith) -> None:
    study_file = study_with(search=section("qmc"))
    (tmp_path / "plain").mkdir()
    plain = run_trials(arm_search(tmp_path / "plain", study_file, "gt"), 5)
    search = arm_search(tmp_path, study_file, "gt")
    run_trials(search, 3)
    search.adopt(3, plain[1])
    assert search.ask() == (4, plain[3])
    # Nor does it for the one who goes on.
    assert arm_search(tmp_path, study_file, "gt").ask() == (5, plain[4])


@pytest.mark.parametrize("sampler", ["tpe", "qmc"])
def test_tables_that_were_lost_are_made_anew_from_the_record(
    tmp_path: Path, study_with: StudyWith, sampler: str
) -> None:
    study_file = study_with(search=section(sampler))
    (tmp_path / "plain").mkdir()
    plain = run_trials(arm_search(tmp_path / "plain", study_file, "gt"), 14)
    healed = arm_search(tmp_path, study_file, "gt")
    for number, values in enumerate(plain[:12]):
        healed.adopt(number, values)
        healed.adopt(number, values)
    assert healed.open_trials() == dict(enumerate(plain[:12]))
    for number, values in enumerate(plain[:12]):
        healed.tell(number, "complete", values["critic_iterations"] + 0.1 * values["lambda_gp"])
    assert run_trials(healed, 2) == plain[12:]
    assert {trial.state for trial in healed.study.trials} == {TrialState.COMPLETE}


def test_several_objectives_are_told_together_and_never_prune(tmp_path: Path, study_with: StudyWith) -> None:
    objectives = [{"metric": "val/ade"}, {"metric": "val/apd", "goal": "maximize"}]
    study_file = study_with(objectives=objectives, search=section("tpe", {"name": "successive_halving"}))
    search = arm_search(tmp_path, study_file, "gt")
    for ade, apd in ((1.0, 1.0), (2.0, 2.0), (2.0, 1.0)):
        number, _ = search.ask()
        assert not any(search.report(number, epoch, 9.9) for epoch in range(1, 10))
        search.tell(number, "complete", [ade, apd])
    assert [trial.values for trial in search.study.trials] == [[1.0, 1.0], [2.0, 2.0], [2.0, 1.0]]
    assert sorted(trial.number for trial in search.study.best_trials) == [0, 1]


def test_tables_of_another_goal_are_refused(tmp_path: Path, study_with: StudyWith) -> None:
    arm_search(tmp_path, study_with(), "gt")
    other = study_with(objective={"metric": "val/score", "goal": "maximize"})
    with pytest.raises(StudyError, match=r"^small/gt in .* has other goals"):
        arm_search(tmp_path, other, "gt")


def test_a_database_that_another_process_writes_to_is_waited_for(
    tmp_path: Path, study_with: StudyWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_file, told = study_with(), list[str]()
    path = tmp_path / "optuna.db"
    parameters = active_parameters(study_file, "gt")
    tables = open_storage(path, tell=told.append)
    search = ArmSearch(tables, study_file, "gt", parameters, 1)
    number, _ = search.ask()
    with tables.rdb.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=10")
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("time.sleep", lambda _: writer.in_transaction and writer.execute("COMMIT"))
    search.report(number, 1, 0.5)
    assert told == [
        f"Waiting for the search's database {path}: database is locked",
        f"The search's database {path} is back.",
    ]
    assert search.study.trials[0].intermediate_values == {1: 0.5}


def test_a_database_that_refuses_is_not_waited_for(tmp_path: Path, study_with: StudyWith) -> None:
    search = arm_search(tmp_path, study_with(), "gt")
    with search.table.tables.rdb.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE trials")
    with pytest.raises(StudyError, match=r"the search's database .*optuna\.db fails: no such table: trials"):
        search.ask()


def test_a_database_that_stays_away_ends_the_search_with_advice(tmp_path: Path, study_with: StudyWith) -> None:
    with pytest.raises(StudyError, match=r"has not answered for .* the same command goes on"):
        open_storage(tmp_path / "x", "postgresql+psycopg://nobody@127.0.0.1:1/none", "0" * 32, print, patience_s=0.2)
