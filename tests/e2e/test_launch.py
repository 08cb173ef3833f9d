"""From the study file to the answer, with the verbs that look at it."""

import json
import re
import shutil
import sqlite3
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.processes import answers, driver, free_port, wait_for

RunStudy = Callable[..., subprocess.CompletedProcess[str]]
ARMS = ["none", "gt", "paper"]

# The study that most of them look at is run before the first test.
pytestmark = pytest.mark.timeout(600)


def outcomes(study: Path) -> dict[str, Any]:
    files = sorted(study.glob("trials/*/*/outcome.json"))
    return {f"{file.parts[-3]}/{file.parts[-2]}": json.loads(file.read_text()) for file in files}


def test_launch_ends_with_a_table_of_arms_and_how_to_compare(launched: Any) -> None:
    assert launched.run.returncode == 0, launched.run.stderr
    out = launched.run.stdout
    assert "Search   3 trials an arm, 9 in all, 2 members, 12 epochs" in out
    assert len(re.findall(r"^search .*/t0\d: (?:complete|pruned) after ", out, re.MULTILINE)) == 9
    assert len(re.findall(r"^confirm .*/confirm: complete after 3 epochs", out, re.MULTILINE)) == 3
    for row in (*ARMS, "zero velocity", "constant velocity"):
        assert re.search(rf"^ *{row} ", out, re.MULTILINE), row
    assert "gt replaces both: " in out
    assert out.rstrip().endswith("Compare in MLflow: study ui small")


def test_launch_writes_nothing_to_standard_error(launched: Any) -> None:
    assert launched.run.stderr == ""


def test_every_arm_has_run_its_budget_and_something_was_pruned(launched: Any) -> None:
    states = {key: outcome["state"] for key, outcome in outcomes(launched.study).items()}
    assert sorted(states) == sorted(f"{arm}/{trial}" for arm in ARMS for trial in ("confirm", "t00", "t01", "t02"))
    assert set(states.values()) == {"complete", "pruned"}


def test_status_as_json_counts_every_trial(launched: Any, run_study: RunStudy) -> None:
    run = run_study(launched.folder, "status", "small", "--json")
    assert run.returncode == 0, run.stderr
    status = json.loads(run.stdout)
    assert {"study", "state", "arms"} <= status.keys()
    assert (status["study"], status["state"]) == ("small", "finished")
    assert list(status["arms"]) == ARMS
    for arm, counts in status["arms"].items():
        assert {"complete", "pruned", "failed", "running"} <= counts.keys(), arm
        assert counts["complete"] + counts["pruned"] == 3
        assert counts["failed"] == counts["running"] == 0


def test_compare_as_json_has_the_stable_keys_and_nothing_else_on_standard_output(
    launched: Any, run_study: RunStudy
) -> None:
    run = run_study(launched.folder, "compare", "small", "--json")
    assert run.returncode == 0, run.stderr
    comparison = json.loads(run.stdout)
    assert {"study", "arms", "claims"} <= comparison.keys()
    assert list(comparison["arms"]) == ARMS
    for arm in comparison["arms"].values():
        assert arm["n_members"] == 3
        assert {"test/ade", "test/fde", "test/apd", "test/bone_error", "test/jerk_ratio"} <= arm["metrics"].keys()
        ade = arm["metrics"]["test/ade"]
        assert ade.keys() == {"mean", "ci_low", "ci_high", "members"}
        assert len(ade["members"]) == 3
        assert ade["ci_low"] < ade["mean"] < ade["ci_high"]
        assert ade["mean"] == pytest.approx(sum(ade["members"]) / 3)
    (claim,) = comparison["claims"]
    assert claim["claim"] == "gt replaces both"
    assert claim["word"] in ("superior", "non-inferior", "inferior", "inconclusive", "gate failed")


@pytest.mark.parametrize("verb", ["status", "compare"])
def test_verbs_print_a_table_of_arms(launched: Any, run_study: RunStudy, verb: str) -> None:
    run = run_study(launched.folder, verb, "small")
    assert (run.returncode, run.stderr) == (0, "")
    assert all(re.search(rf"\b{arm}\b", run.stdout) for arm in ARMS)


def test_launch_as_json_keeps_standard_output_for_the_comparison(launched: Any, run_study: RunStudy) -> None:
    run = run_study(launched.folder, "launch", "small.yaml", "--json")
    assert run.returncode == 0, run.stderr
    compared = run_study(launched.folder, "compare", "small", "--json")
    assert json.loads(run.stdout) == json.loads(compared.stdout)
    assert "nothing is left to run" in run.stderr


def test_a_finished_study_is_not_run_again(launched: Any, run_study: RunStudy) -> None:
    before = {path: path.stat().st_mtime_ns for path in launched.study.glob("trials/*/*/*.json*")}
    run = run_study(launched.folder, "launch", "small.yaml")
    assert run.returncode == 0, run.stderr
    assert "nothing is left to run" in run.stdout
    assert {path: path.stat().st_mtime_ns for path in launched.study.glob("trials/*/*/*.json*")} == before
    assert len(before) == 12 * 4


@pytest.mark.parametrize("kind", ["best", "pruned", "confirm"])
def test_reproduce_is_bit_identical(launched: Any, run_study: RunStudy, kind: str) -> None:
    ended = outcomes(launched.study)
    pruned = next(key for key, outcome in ended.items() if outcome["state"] == "pruned")
    trial = {"best": [], "pruned": [pruned], "confirm": ["gt/confirm"]}[kind]
    run = run_study(launched.folder, "reproduce", "small", *trial)
    assert run.returncode == 0, run.stderr
    assert "bit-identical" in run.stdout
    if kind == "best":
        complete = {
            key: o["objective"] for key, o in ended.items() if o["state"] == "complete" and "confirm" not in key
        }
        assert min(complete, key=lambda key: complete[key]) in run.stdout


def test_reproduce_tells_a_changed_record_from_its_own_numbers(
    launched: Any, run_study: RunStudy, tmp_path: Path
) -> None:
    shutil.copytree(launched.study, tmp_path / "studies" / "small")
    epochs = tmp_path / "studies" / "small" / "trials" / "gt" / "confirm" / "epochs.jsonl"
    lines = [json.loads(line) for line in epochs.read_text().splitlines()]
    lines[1]["members"]["val/score"][2] += 1.0
    lines[-1]["members"]["val/score"] = [value + 9.0 for value in lines[-1]["members"]["val/score"]]
    epochs.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = run_study(tmp_path, "reproduce", "small", "gt/confirm")
    assert run.returncode == 1
    assert "epochs.jsonl is damaged: it has been changed since the trial ended" in run.stderr

    # Records that are older than this digest have none.
    outcome = epochs.with_name("outcome.json")
    outcome.write_text(json.dumps(json.loads(outcome.read_text()) | {"epochs_sha256": None}))
    run = run_study(tmp_path, "reproduce", "small", "gt/confirm")
    assert run.returncode == 3
    assert "gt/confirm: grade F, not reproduced; first difference: epoch 2, val/score, member 2: " in run.stderr
    assert run.stderr.rstrip().endswith("the environment is the recorded one")


def test_another_number_of_threads_is_named(launched: Any, run_study: RunStudy) -> None:
    run = run_study(launched.folder, "reproduce", "small", "--arm", "gt", "--threads", "2")
    assert run.returncode == 0, run.stderr
    assert "environment: threads: 1 when recorded, 2 now" in run.stdout
    assert re.search("gt/confirm: grade [AB], ", run.stdout)


def test_a_run_of_mlflow_suffices_to_reproduce_its_trial(launched: Any, run_study: RunStudy, tmp_path: Path) -> None:
    database = f"sqlite:///{launched.folder}/studies/mlflow.db"
    client = MlflowClient(database)
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    runs = {run.data.tags["study.key"]: run for run in client.search_runs([experiment.experiment_id])}
    elsewhere = {"MLFLOW_TRACKING_URI": database}
    run_id = runs["paper/confirm"].info.run_id
    run = run_study(tmp_path, "reproduce", "--from-mlflow", run_id, "--json", **elsewhere)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert (told["trial"], told["grade"], told["environment"]) == ("paper/confirm", "A", [])
    assert not list(tmp_path.iterdir()), "nothing is left behind"

    study_run = run_study(tmp_path, "reproduce", "--from-mlflow", runs["study"].info.run_id, **elsewhere)
    assert study_run.returncode == 2
    assert "is none of a trial that has ended" in study_run.stderr
    unknown = run_study(tmp_path, "reproduce", "--from-mlflow", "0" * 32, **elsewhere)
    assert unknown.returncode == 2
    assert f"no run {'0' * 32}" in unknown.stderr
    both = run_study(launched.folder, "reproduce", "small", "--from-mlflow", run_id)
    assert both.returncode == 2
    assert "and not both" in both.stderr


def test_mlflow_holds_what_the_record_holds(launched: Any) -> None:
    client = MlflowClient(f"sqlite:///{launched.folder}/studies/mlflow.db")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    runs = {run.data.tags["study.key"]: run for run in client.search_runs([experiment.experiment_id])}
    recorded = outcomes(launched.study)
    assert {key for key, run in runs.items() if run.data.tags["study.kind"] in ("trial", "arm")} == recorded.keys()
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    for key, outcome in recorded.items():
        history = client.get_metric_history(runs[key].info.run_id, "val/score")
        assert [point.step for point in history] == list(range(1, outcome["epochs"] + 1))


def test_optuna_holds_the_states_of_the_record(launched: Any) -> None:
    with sqlite3.connect(launched.study / "optuna.db") as database:
        query = "SELECT study_name, number, state FROM trials JOIN studies USING (study_id)"
        rows = database.execute(query).fetchall()
    database.close()
    words = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    states = {f"{name.removeprefix('small/')}/t{number:02d}": words[state] for name, number, state in rows}
    recorded = {key: o["state"] for key, o in outcomes(launched.study).items() if not key.endswith("/confirm")}
    assert states == recorded


def test_another_plan_under_the_same_name_is_refused_with_its_differences(launched: Any, run_study: RunStudy) -> None:
    run = run_study(launched.folder, "launch", "small.yaml", "--set", "search.epochs=9", "--set", "search.members=4")
    assert run.returncode == 2
    assert "search.epochs: 12 is locked, 9 is asked for" in run.stderr
    assert "search.members: 2 is locked, 4 is asked for" in run.stderr
    assert "--set name=small-2" in run.stderr
    assert "Traceback" not in run.stderr


def test_other_data_after_the_end_sets_the_old_study_aside(launched: Any, run_study: RunStudy, tmp_path: Path) -> None:
    folder = tmp_path / "moved"
    shutil.copytree(launched.folder, folder)
    tiny = ("search.trials_per_arm=1", "search.epochs=1", "confirm=null", "claims=[]", "data.seed=1")
    plan = json.loads((folder / "studies" / "small" / "plan.json").read_text())
    for key, value in (("trials_per_arm", 1), ("epochs", 1)):
        plan["file"]["search"][key] = value
    plan["file"] |= {"confirm": None, "claims": []}
    (folder / "studies" / "small" / "plan.json").write_text(json.dumps(plan))
    run = run_study(folder, "launch", "small.yaml", *(word for setting in tiny for word in ("--set", setting)))
    assert run.returncode == 0, run.stderr
    assert "The finished study of other data is kept as 'small.1'" in run.stdout
    assert outcomes(folder / "studies" / "small.1").keys() == outcomes(launched.study).keys()
    assert outcomes(folder / "studies" / "small").keys() == {f"{arm}/t00" for arm in ARMS}
    client = MlflowClient(f"sqlite:///{folder}/studies/mlflow.db")
    old, new = client.get_experiment_by_name("small.1"), client.get_experiment_by_name("small")
    assert old is not None
    assert new is not None
    keys = {run.data.tags["study.key"] for run in client.search_runs([new.experiment_id])}
    assert {f"{arm}/t00" for arm in ARMS} <= keys
    assert not any(key.endswith("/confirm") for key in keys)


def test_a_study_is_planned_from_a_few_steps(launched: Any, run_study: RunStudy) -> None:
    run = run_study(launched.folder, "plan", "small.yaml", "--workers", "1", "--workers", "4", "--json")
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert (told["search_trials"], told["search_member_epochs"], told["confirm_member_epochs"]) == (9, 216, 27)
    one, four = told["estimates"]
    assert (one["slots"], four["slots"]) == (1, 4)
    assert one["search_s"] == pytest.approx(216 * told["calibration"]["epoch_s"])
    assert four["search_s"] == pytest.approx(one["search_s"] / 4)
    studies = launched.folder / "studies"
    taken = sum(file.stat().st_size for file in studies.rglob("*") if file.is_file())
    assert 0.5 < one["disk_bytes"] / taken < 2


def test_people_are_told_a_plan_and_the_power_of_its_claims(launched: Any, run_study: RunStudy) -> None:
    by_ratio = run_study(launched.folder, "plan", "small.yaml")
    assert by_ratio.returncode == 0, by_ratio.stderr
    assert "9 trials of 3 arms, 2 members, 12 epochs: 216 epochs of one member" in by_ratio.stdout
    assert "margin / SD" in by_ratio.stdout
    absolute = "claims=[{name: gt is as good, candidate: gt, metrics: [ade], margin: 0.1}]"
    by_claim = run_study(launched.folder, "plan", "small.yaml", "--sd", "0.05", "--set", absolute)
    assert by_claim.returncode == 0, by_claim.stderr
    assert re.search(r"^gt is as good +ade +0\.1 +0\.05 +\d+% +\d+$", by_claim.stdout, re.MULTILINE)
    replayed = run_study(launched.folder, "plan", "small.yaml", "--simulate", "small", "--workers", "2")
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stdout.startswith("Replayed small, ")
    assert "A forecast of times." in replayed.stdout


def test_ui_serves_the_page_that_its_link_names(launched: Any) -> None:
    port = free_port()
    with driver(launched.folder, "ui", "small", "--port", str(port)) as process:
        assert process.stdout is not None
        link = process.stdout.readline().strip().rpartition(" ")[2]
        assert link.startswith(f"http://127.0.0.1:{port}/#/compare-runs?")
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/health"), process)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as page:
            assert b"MLflow" in page.read()


def test_a_finished_study_is_replayed_with_other_workers_and_pruners(launched: Any, run_study: RunStudy) -> None:
    before = sorted(launched.study.rglob("*"))
    asked = ("plan", "small.yaml", "--simulate", "small", "--workers", "1", "--workers", "3", "--json")
    run = run_study(launched.folder, *asked)
    assert run.returncode == 0, run.stderr
    alone, together = json.loads(run.stdout)["forecasts"]
    states = [outcome["state"] for key, outcome in outcomes(launched.study).items() if "confirm" not in key]
    assert alone["states"] == {state: states.count(state) for state in set(states)}
    assert together["makespan_s"] < alone["makespan_s"]
    unpruned = run_study(launched.folder, *asked, "--set", "search.pruner={name: none}")
    assert json.loads(unpruned.stdout)["forecasts"][0]["states"] == {"complete": 9}
    assert sorted(launched.study.rglob("*")) == before
    nobody = run_study(launched.folder, "plan", "small.yaml", "--simulate", "nobody")
    assert nobody.returncode == 2
    assert "no study 'nobody'" in nobody.stderr
