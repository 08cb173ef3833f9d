"""What every sampler of the study file promises, by its name."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import pytest

from study.contradictions import contradictions
from study.search import ArmSearch, open_storage
from study.search.samplers import SAMPLERS
from study.sections import Sampler, Value
from study.space import Space, active_parameters, first_values
from study.study_file import StudyFile

CHOICES = {"type": "categorical", "values": [8, 16, 32], "default": 16}
PLAN: dict[str, Any] = {
    "name": "s",
    "arms": {"none": [], "gt": ["gt"]},
    "parameters": {
        "critic_iterations": {"type": "int", "min": 1, "max": 7, "step": 2, "default": 5},
        "hidden_size": {**CHOICES, "ordered": True},
        "z_distribution": {"type": "categorical", "values": ["uniform", "normal"], "default": "normal"},
        "gt_weight": {"type": "float", "min": 0.0, "max": 1.0, "step": 0.25, "default": 0.5},
        "z_size": {"type": "int", "min": 4, "max": 4, "default": 4},
    },
    "constraints": ["hidden_size * critic_iterations <= 160"],
}
CONTINUOUS = PLAN["parameters"] | {
    "lambda_gp": {"type": "float", "min": 0.1, "max": 100.0, "log": True, "default": 10.0}
}
NAMES = list(SAMPLERS)
UNCONSTRAINED = {"gp"}
OpenSearch = Callable[..., ArmSearch]


def plan(sampler: str, **sections: Any) -> StudyFile:
    """A small space for ``sampler``, with real numbers where it takes them and constraints where it heeds them."""
    settled: dict[str, Any] = {"search": {"sampler": {"name": sampler, "seed": 7}, "pruner": {"name": "none"}}}
    if sampler in UNCONSTRAINED:
        settled["constraints"] = []
    if sampler != "grid":
        settled["parameters"] = CONTINUOUS
    study_file = StudyFile.model_validate(PLAN | settled | sections)
    assert list(contradictions(study_file)) == []
    return study_file


@pytest.fixture
def open_search(tmp_path: Path) -> OpenSearch:
    def build(study_file: StudyFile, arm: str = "gt", run: str = "a", **options: Any) -> ArmSearch:
        tables = open_storage(tmp_path / f"{run}.db")
        position = list(study_file.arms).index(arm)
        return ArmSearch(tables, study_file, arm, active_parameters(study_file, arm), position, **options)

    return build


def score(values: dict[str, Value]) -> float:
    """Least for many iterations and a middling weight."""
    iterations, weight = values["critic_iterations"], values.get("gt_weight", 0.5)
    assert isinstance(iterations, int)
    assert isinstance(weight, float)
    return abs(weight - 0.25) - 0.1 * iterations


def run_trials(search: ArmSearch, number: int) -> list[dict[str, Value]]:
    suggested = []
    for _ in range(number):
        trial, values = search.ask()
        search.tell(trial, "complete", score(values))
        suggested.append(values)
    return suggested


def test_the_table_has_the_samplers_of_the_schema() -> None:
    assert set(NAMES) == set(get_args(Sampler.model_fields["name"].annotation))


@pytest.mark.parametrize("name", NAMES)
def test_the_first_trials_are_the_defaults_and_the_enqueued_points_that_fit_the_arm(
    open_search: OpenSearch, name: str
) -> None:
    enqueue = [{"hidden_size": 8}, {"gt_weight": 0.25}, {"hidden_size": 16}, {"z_distribution": "uniform"}]
    study_file = plan(name, search={"sampler": {"name": name}, "pruner": {"name": "none"}, "enqueue": enqueue})
    for arm, points in (("none", [{}, enqueue[0], enqueue[3]]), ("gt", [{}, *enqueue[:2], enqueue[3]])):
        defaults = first_values(study_file, arm)[0]
        suggested = run_trials(open_search(study_file, arm), 2)
        # Half of them are run by who goes on.
        suggested += run_trials(open_search(study_file, arm), len(points) - 2)
        assert suggested == [defaults | point for point in points]


@pytest.mark.parametrize("name", NAMES)
def test_every_suggestion_is_in_the_space_and_satisfies_the_constraints(open_search: OpenSearch, name: str) -> None:
    study_file = plan(name)
    space = Space.of(study_file, "gt")
    suggested = run_trials(open_search(study_file), 16)
    assert all(values.keys() == space.parameters.keys() for values in suggested)
    assert all(space.parameters[key].contains(value) for values in suggested for key, value in values.items())
    assert [space.broken(values) for values in suggested] == [[]] * 16
    assert len({tuple(values.items()) for values in suggested}) > 12


@pytest.mark.parametrize("name", NAMES)
def test_one_worker_and_one_seed_give_the_same_trials_also_after_an_interruption(
    open_search: OpenSearch, name: str
) -> None:
    study_file = plan(name)
    at_once = run_trials(open_search(study_file, run="at once"), 14)
    resumed = run_trials(open_search(study_file), 3)
    for number in (1, 8, 2):
        resumed += run_trials(open_search(study_file), number)
    assert resumed == at_once


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_gives_other_trials(open_search: OpenSearch, name: str) -> None:
    sections = {"sampler": {"name": name, "seed": 8}, "pruner": {"name": "none"}}
    one, other = (
        run_trials(open_search(plan(name)), 6),
        run_trials(open_search(plan(name, search=sections), run="b"), 6),
    )
    assert one[0] == other[0]
    assert one[1:] != other[1:]


@pytest.mark.parametrize("name", ["random", "qmc", "grid"])
def test_samplers_that_do_not_learn_give_any_number_of_workers_the_same(open_search: OpenSearch, name: str) -> None:
    study_file = plan(name)
    search = open_search(study_file)
    asked = [search.ask() for _ in range(8)]
    for number, _ in reversed(asked):
        search.tell(number, "failed", None)
    assert [values for _, values in asked] == run_trials(open_search(study_file, run="alone"), 8)


@pytest.mark.parametrize("name", ["tpe", "gp", "cmaes"])
def test_samplers_that_learn_find_better_trials_than_random_ones(open_search: OpenSearch, name: str) -> None:
    parameters = {
        f"{rate}_learning_rate": {"type": "float", "min": 0.0, "max": 1.0, "default": 0.9}
        for rate in ("critic", "generator")
    }
    bests = {}
    for sampler in (name, "random"):
        search = open_search(plan(sampler, parameters=parameters, constraints=[]), "none", sampler)
        results = []
        for _ in range(24):
            trial, values = search.ask()
            results.append(sum((float(value) - 0.3) ** 2 for value in values.values()))
            search.tell(trial, "complete", results[-1])
        bests[sampler] = sorted(results[14:])[5]
    assert bests[name] < 0.5 * bests["random"]


@pytest.mark.parametrize("name", ["tpe", "gp", "cmaes"])
def test_an_earlier_study_s_trials_are_learned_from_and_not_counted(open_search: OpenSearch, name: str) -> None:
    study_file = plan(name)
    lessons = [(values, [score(values)]) for values in run_trials(open_search(plan("random"), run="earlier"), 12)]
    warm = run_trials(open_search(study_file, learn_from=lessons), 2)
    warm += run_trials(open_search(study_file, learn_from=lessons), 2)
    assert warm == run_trials(open_search(study_file, run="at once", learn_from=lessons), 4)
    cold = run_trials(open_search(study_file, run="cold"), 4)
    assert warm[0] == cold[0]
    assert warm[1:] != cold[1:]
    search = open_search(study_file, learn_from=lessons)
    assert search.asked() == len(search.study.trials) == 4


def test_qmc_gives_every_arm_the_same_points_but_for_what_the_arm_lacks(open_search: OpenSearch) -> None:
    study_file = plan("qmc")
    points = {arm: run_trials(open_search(study_file, arm), 30) for arm in study_file.arms}
    assert [{k: v for k, v in values.items() if k != "gt_weight"} for values in points["gt"]] == points["none"]
    assert len({values["lambda_gp"] for values in points["gt"]}) == 30


def test_grid_tries_every_allowed_combination_once_and_is_exhausted(open_search: OpenSearch) -> None:
    study_file = plan("grid")
    assert {arm: study_file.trials_of(arm) for arm in study_file.arms} == {"none": 22, "gt": 110}
    assert study_file.trials_per_arm() == 110
    assert study_file.n_trials() == 132
    search = open_search(study_file, "none")
    suggested = run_trials(search, 10)
    search = open_search(study_file, "none")
    while not search.exhausted:
        suggested += run_trials(search, 1)
    assert len(suggested) == len({tuple(values.items()) for values in suggested}) == 22
    assert open_search(study_file, "none").exhausted


def test_ordered_categories_are_neighbours_to_a_sampler_and_themselves_to_the_dashboard(
    open_search: OpenSearch,
) -> None:
    search = open_search(plan("cmaes", constraints=[]))
    run_trials(search, 12)
    shown = [trial.params["hidden_size"] for trial in search.study.trials]
    assert set(shown) <= {8, 16, 32}
    assert search.study.trials[0].distributions["hidden_size"].choices == (8, 16, 32)  # type: ignore[attr-defined]


@pytest.mark.parametrize("objectives", [1, 2])
def test_a_long_history_is_shown_by_its_best_and_its_latest(objectives: int) -> None:
    import numpy as np
    from optuna.study import StudyDirection
    from optuna.trial import TrialState, create_trial

    from study.search.samplers import History

    results = np.random.default_rng(0).random((300, objectives))
    history = History(100)
    study = history.create_new_study([StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE][:objectives], "s")
    for values in results.tolist():
        history.create_new_trial(study, create_trial(values=values))
    history.create_new_trial(study, create_trial(state=TrialState.RUNNING))
    shown = [trial.number for trial in history.get_all_trials(study, deepcopy=False)]
    assert shown == sorted(shown)
    assert len(shown) <= 100
    assert shown[-90:] == list(range(211, 301))
    if objectives == 1:
        assert set(np.argsort(results[:, 0])[:5].tolist()) <= set(shown)
    else:
        assert results[:211, 0].argmin() in shown


def test_no_pickle_reaches_the_tables(open_search: OpenSearch) -> None:
    search = open_search(plan("cmaes"))
    run_trials(search, 20)
    assert all(trial.system_attrs == {} for trial in search.study.trials)


def test_constraints_that_leave_little_room_are_satisfied_all_the_same(open_search: OpenSearch) -> None:
    parameters = {"lambda_gp": {"type": "float", "min": 0.0, "max": 100.0, "default": 10.0}}
    for name in ("tpe", "cmaes", "random", "qmc"):
        study_file = plan(name, parameters=parameters, constraints=["10 <= lambda_gp", "lambda_gp <= 10.5"])
        search = open_search(study_file, "none", name)
        values = [values["lambda_gp"] for _, values in islice(iter(search.ask, None), 15)]
        assert len(set(values)) == 15
        assert all(10 <= float(value) <= 10.5 for value in values)
