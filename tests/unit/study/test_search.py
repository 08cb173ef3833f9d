"""Optuna as one study an arm, on real SQLite files."""

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import optuna
import pytest
from optuna.trial import TrialState

from study.search import ArmSearch, build_pruner, build_sampler, open_storage
from study.sections import Median, NoPruning, Sampler, SuccessiveHalving
from study.space import active_parameters, default_values
from study.study_file import StudyFile

StudyWith = Callable[..., StudyFile]
SAMPLERS = get_args(Sampler.model_fields["name"].annotation)


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


def test_the_schema_has_three_samplers() -> None:
    assert sorted(SAMPLERS) == ["qmc", "random", "tpe"]


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_of_the_schema_is_built(name: str) -> None:
    assert isinstance(build_sampler(name, 7, 0), optuna.samplers.BaseSampler)


@pytest.mark.parametrize(
    ("pruner", "kind"),
    [
        (SuccessiveHalving(name="successive_halving"), optuna.pruners.SuccessiveHalvingPruner),
        (Median(name="median"), optuna.pruners.MedianPruner),
        (NoPruning(name="none"), optuna.pruners.NopPruner),
    ],
)
def test_every_pruner_of_the_schema_is_built(pruner: Any, kind: type) -> None:
    assert isinstance(build_pruner(pruner), kind)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("arm", ["none", "gt", "paper"])
def test_the_first_trial_of_each_arm_has_the_defaults(
    tmp_path: Path, study_with: StudyWith, sampler: str, arm: str
) -> None:
    study_file = study_with(search=section(sampler))
    assert arm_search(tmp_path, study_file, arm).ask() == (0, default_values(study_file, arm))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_one_seed_gives_one_sequence_of_different_suggestions(
    tmp_path: Path, study_with: StudyWith, sampler: str
) -> None:
    study_file = study_with(search=section(sampler))
    runs = []
    for run in ("a", "b"):
        (tmp_path / run).mkdir()
        runs.append(run_trials(arm_search(tmp_path / run, study_file, "gt"), 14))
    assert runs[0] == runs[1]
    assert len({values["lambda_gp"] for values in runs[0]}) == 14
    assert len({values["hidden_size"] for values in runs[0]}) == 3


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_that_is_opened_anew_for_every_trial_suggests_the_same(
    tmp_path: Path, study_with: StudyWith, sampler: str
) -> None:
    study_file = study_with(search=section(sampler))
    (tmp_path / "at once").mkdir()
    at_once = run_trials(arm_search(tmp_path / "at once", study_file, "gt"), 13)
    resumed = [values for _ in range(13) for values in run_trials(arm_search(tmp_path, study_file, "gt"), 1)]
    assert resumed == at_once


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


def test_a_trial_whose_driver_died_between_two_values_gets_the_rest(tmp_path: Path, study_with: StudyWith) -> None:
    study_file = study_with(search=section("random"))
    run_trials(arm_search(tmp_path, study_file, "gt"), 1)
    program = """
import os, pathlib, sys
from study import search
from study.study_file import StudyFile
from study.space import active_parameters
import json
study_file = StudyFile.from_canonical(json.loads(sys.argv[2]))
suggest = search.suggest
search.suggest = lambda trial, name, p: os._exit(9) if name == "hidden_size" else suggest(trial, name, p)
storage = search.open_storage(pathlib.Path(sys.argv[1]))
search.ArmSearch(storage, study_file, "gt", active_parameters(study_file, "gt"), 1).ask()
"""
    command = [sys.executable, "-c", program, str(tmp_path / "optuna.db"), study_file.model_dump_json()]
    assert subprocess.run(command, check=False).returncode == 9
    resumed = arm_search(tmp_path, study_file, "gt")
    ((number, values),) = resumed.open_trials().items()
    assert number == 1
    assert values.keys() == default_values(study_file, "gt").keys()


def test_the_database_is_in_wal_mode(tmp_path: Path, study_with: StudyWith) -> None:
    arm_search(tmp_path, study_with(), "gt")
    assert (tmp_path / "optuna.db").read_bytes()[18:20] == b"\x02\x02"
