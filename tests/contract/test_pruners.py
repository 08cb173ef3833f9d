"""What every pruner of the study file promises, by its name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from study.search import ArmSearch, open_storage
from study.search.pruners import PRUNERS
from study.sections import Pruner, Wilcoxon
from study.space import active_parameters
from study.study_file import StudyFile

EPOCHS, GRACE = 12, 3
NAMES = list(PRUNERS)
PLAN: dict[str, Any] = {
    "name": "p",
    "arms": {"none": []},
    "parameters": {"lambda_gp": {"type": "float", "min": 0.1, "max": 1.0, "default": 0.5}},
}
OpenSearch = Callable[..., ArmSearch]


@pytest.fixture
def open_search(tmp_path: Path) -> OpenSearch:
    def build(pruner: str, goal: str = "minimize", run: str = "a") -> ArmSearch:
        options = {"grace_epochs": GRACE} if pruner != "none" else {}
        search = {"sampler": {"name": "random"}, "members": 5, "epochs": EPOCHS, "pruner": {"name": pruner, **options}}
        study_file = StudyFile.model_validate(PLAN | {"search": search, "objective": {"goal": goal}})
        tables = open_storage(tmp_path / f"{run}.db")
        return ArmSearch(tables, study_file, "none", active_parameters(study_file, "none"), 0)

    return build


def curve(level: float, number: int) -> list[list[float]]:
    """Members' objectives, epoch by epoch, around a level."""
    noise = np.random.default_rng(number).normal(scale=0.01, size=(EPOCHS, 5))
    return (level + noise).tolist()  # type: ignore[no-any-return]


def run_trial(search: ArmSearch, members: list[list[float]]) -> int | None:
    """The epoch after which the trial was stopped, if it was."""
    number, _ = search.ask()
    for epoch, values in enumerate(members, start=1):
        if search.report(number, epoch, float(np.mean(values)), values):
            search.tell(number, "pruned", None)
            return epoch
    search.tell(number, "complete", float(np.mean(members[-1])))
    return None


def test_the_table_has_the_pruners_of_the_schema() -> None:
    kinds = get_args(get_args(Pruner)[0])
    names = {word for kind in kinds for word in get_args(kind.model_fields["name"].annotation)}
    assert names == {*PRUNERS, "none"}
    assert len(PRUNERS) == 4


def test_without_a_pruner_every_trial_runs_to_its_end(open_search: OpenSearch) -> None:
    search = open_search("none")
    assert [run_trial(search, curve(level, 0)) for level in (0.1, 9.0, 99.0)] == [None] * 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_bad_trials_are_stopped_and_good_ones_never_nor_any_in_its_grace_epochs(
    open_search: OpenSearch, name: str, goal: str
) -> None:
    sign = 1 if goal == "minimize" else -1
    search = open_search(name, goal)
    good = [run_trial(search, curve(sign * 0.1 * (1 - 0.1 * number), number)) for number in range(6)]
    bad = [run_trial(search, curve(sign * 5.0, number)) for number in range(6)]
    assert good[0] is None
    # The last of the good ones is the best of all so far.
    assert good[-1] is None
    stopped = [epoch for epoch in [*good, *bad] if epoch is not None]
    assert min(stopped) >= GRACE
    # Hyperband's later brackets give a trial longer.
    assert sum(epoch is not None for epoch in bad) >= (3 if name == "hyperband" else 6)


@pytest.mark.parametrize("name", NAMES)
def test_a_search_that_is_told_again_what_was_decides_as_it_did(open_search: OpenSearch, name: str) -> None:
    levels = np.random.default_rng(3).uniform(0.1, 1.0, size=14)
    curves = [curve(level, number) for number, level in enumerate(levels)]
    at_once = open_search(name, run="at once")
    decided = [run_trial(at_once, members) for members in curves]
    assert any(decided)

    first = open_search(name)
    again = [run_trial(first, members) for members in curves[:9]]
    number, _ = first.ask()
    first.report(number, 1, float(np.mean(curves[9][0])), curves[9][0])
    resumed = open_search(name)
    for trial, ending in enumerate(again):
        for epoch, members in enumerate(curves[trial][:ending], start=1):
            resumed.report(trial, epoch, float(np.mean(members)), members)
        objective = None if ending else float(np.mean(curves[trial][-1]))
        resumed.tell(trial, "pruned" if ending else "complete", objective)
    for epoch, members in enumerate(curves[9], start=1):
        if resumed.report(number, epoch, float(np.mean(members)), members):
            resumed.tell(number, "pruned", None)
            again.append(epoch)
            break
    else:
        resumed.tell(number, "complete", float(np.mean(curves[9][-1])))
        again.append(None)
    again += [run_trial(resumed, members) for members in curves[10:]]
    assert again == decided
    assert [trial.state for trial in resumed.study.trials] == [trial.state for trial in at_once.study.trials]


def test_wilcoxon_compares_members_at_one_epoch_and_not_epochs_of_one_mean(open_search: OpenSearch) -> None:
    search = open_search("wilcoxon")
    assert run_trial(search, [[0.5] * 5] * EPOCHS) is None
    # Worse on average at every epoch, by one member alone: no evidence.
    assert run_trial(search, [[0.49, 0.49, 0.51, 0.49, 5.0]] * EPOCHS) is None
    # A little worse in every member is.
    assert run_trial(search, [[0.51] * 5] * EPOCHS) == GRACE


@pytest.mark.parametrize(("p", "least"), [(0.49, 2), (0.25, 3), (0.1, 4), (0.05, 5), (0.01, 7)])
def test_wilcoxon_knows_with_how_many_members_it_can_decide(p: float, least: int) -> None:
    assert Wilcoxon(name="wilcoxon", p_threshold=p).least_members == least
    assert 0.5**least < p <= 0.5 ** (least - 1)
