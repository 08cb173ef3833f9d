"""A study in Python: data frames that hold what the record holds, and figures that show it."""

import html
from collections.abc import Iterator

import numpy as np
import pytest
from matplotlib import pyplot as plt

import study
from study.errors import BadStudyInput
from study.notebook import Study
from tests.integration.conftest import Drive, MakeRecord

SECTIONS = {
    "arms": {"none": [], "gt": ["gt"], "paper": ["consistency", "bone"]},
    "reference": "paper",
    "search": {"trials_per_arm": 2, "members": 2, "epochs": 2, "pruner": {"name": "none"}},
    "claims": [{"name": "gt replaces both", "candidate": "gt", "metrics": ["ade", "bone_error"]}],
}


@pytest.fixture(scope="module")
def loaded(make_record: MakeRecord, drive: Drive, tmp_path_factory: pytest.TempPathFactory) -> Study:
    studies = tmp_path_factory.mktemp("studies")
    drive(make_record(studies, **SECTIONS))
    return study.load("small", studies)


@pytest.fixture(autouse=True)
def figures() -> Iterator[None]:
    plt.switch_backend("agg")
    yield
    plt.close("all")


def test_trials_are_one_row_each_with_their_parameters(loaded: Study) -> None:
    trials = loaded.trials
    assert list(zip(trials["arm"], trials["trial"], strict=True)) == [
        (trial.request.arm, trial.request.trial) for trial in loaded.record.trials()
    ]
    assert trials["gt_weight"].notna().equals(trials["arm"] == "gt")
    best = trials[(trials["arm"] == "gt") & (trials["phase"] == "search")].set_index("trial")["objective"].idxmin()
    winner = loaded.record.winner("gt")
    assert winner is not None
    assert best == winner.request.trial


def test_epochs_are_one_row_a_member(loaded: Study) -> None:
    epochs = loaded.epochs
    trial = loaded.record.find("gt/t00")
    own = epochs[(epochs["arm"] == "gt") & (epochs["trial"] == "t00")]
    assert len(own) == 2 * 2
    last = own[own["epoch"] == 2].set_index("seed")["val/score"]
    assert [last[seed] for seed in trial.request.seeds] == trial.epochs()[-1]["members"]["val/score"]


def test_tables_are_those_of_the_report(loaded: Study) -> None:
    forest = loaded.table("forest")
    assert list(forest["metric"]) == ["ade", "bone_error"]
    assert list(forest["difference"]) == [one.difference for one in loaded.compare().claims[0].metrics]
    with pytest.raises(BadStudyInput, match="did you mean 'forest'"):
        loaded.table("forst")


def test_verdicts_are_drawn_one_a_metric(loaded: Study) -> None:
    axes = loaded.plot_verdicts()
    claim = loaded.compare().claims[0]
    one, other = claim.metrics
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == [claim.claim, f"ADE: {one.word} (favoured)", f"bone error: {other.word} (conservative)"]
    assert axes.lines[1].get_xdata() == pytest.approx([one.lower, one.bound], nan_ok=True)


def test_learning_curves_are_drawn_one_an_arm(loaded: Study) -> None:
    axes = loaded.plot_learning()
    assert [line.get_label() for line in axes.lines] == ["none", "gt", "paper"]
    assert axes.get_ylabel() == "val/score"
    with pytest.raises(BadStudyInput, match="is unknown"):
        loaded.plot_learning("val/nothing")


def test_the_search_is_drawn_by_a_parameter_of_some_arms(loaded: Study) -> None:
    axes = loaded.plot_search("gt_weight")
    assert axes.get_xscale() == "log"
    points = np.asarray(axes.collections[0].get_offsets())
    searched = loaded.trials.query("arm == 'gt' and phase == 'search'")
    assert sorted(points[:, 0]) == sorted(searched["gt_weight"])
    with pytest.raises(BadStudyInput, match="did you mean 'gt_weight'"):
        loaded.plot_search("gt_wait")
    assert loaded.plot_search().get_xlabel() == next(iter(loaded.record.study_file.parameters))


def test_error_is_drawn_against_diversity(loaded: Study) -> None:
    axes = loaded.plot_pareto(plt.subplots()[1])
    assert {text.get_text() for text in axes.texts} == {"zero velocity", "constant velocity"}


def test_a_notebook_shows_verdict_and_table(loaded: Study) -> None:
    shown = loaded._repr_html_()
    assert loaded.compare().verdicts()[0] in html.unescape(shown)
    assert shown.count("<tr") == 1 + 3 + 2
    assert repr(loaded) == "<Study small: finished, 9 trials>"


def test_an_animation_that_is_missing_says_which_there_are(loaded: Study) -> None:
    with pytest.raises(BadStudyInput, match="none yet"):
        loaded.animation(7)


def test_an_unknown_study_says_which_there_are(loaded: Study) -> None:
    with pytest.raises(BadStudyInput, match="there are: small"):
        study.load("smal", loaded.record.paths.studies)
