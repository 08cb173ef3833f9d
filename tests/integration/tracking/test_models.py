"""The winners of a study as models of a real MLflow: registered, loaded and served where this project is not."""

import json
import logging
import os
import subprocess
import sys
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from hpgan_core.predictor import Predictor
from study.errors import StudyError
from study.record import Record
from study.tracking import Tracker
from tests.integration.tracking.conftest import EndStudy
from tests.processes import MLFLOW, Server, free_port, kill_session, wait_for_answer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from study.tracking.models import representative

LOAD = """
import sys
sys.modules["hpgan_core"] = sys.modules["study"] = None
import mlflow, numpy
model = mlflow.pyfunc.load_model(sys.argv[1])
inputs = numpy.load("inputs.npz")
numpy.save("futures.npy", model.predict({"past": inputs["past"], "z": inputs["z"]}))
example = model.input_example
assert model.predict(example).shape[1:] == (20, 25, 3), example
"""


@pytest.fixture(scope="module")
def record(end_study: EndStudy, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A finished study whose MLflow is a server, which has been told everything."""
    server.start()
    made = end_study(tmp_path_factory.mktemp("models"), tracking={"uri": server.uri, "models": True})
    assert Tracker(made, made.study_file).publish().models == 2
    return made


@pytest.fixture
def tracker(record: Record) -> Tracker:
    return Tracker(record, record.study_file)


@pytest.fixture
def elsewhere(server: Server, tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who has MLflow and not this project."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTHON"))}
    return kept | {"MLFLOW_TRACKING_URI": server.uri, "HOME": str(tmp_path)}


def predictor_of(record: Record) -> Predictor:
    """What the registered model of `gt` is made of."""
    chosen = representative(record, "gt")
    assert chosen is not None
    return Predictor.read(chosen.trial.paths.checkpoints, chosen.member)


def test_each_arm_has_one_confirmed_version_made_of_its_median_member(tracker: Tracker, record: Record) -> None:
    for arm in record.study_file.arms:
        version = tracker.client.get_model_version_by_alias(f"small.{arm}", "confirmed")
        chosen = representative(record, arm)
        assert chosen is not None
        values = chosen.trial.epochs()[-1]["members"]["val/score"]
        assert values[chosen.member] == sorted(values)[1], "of three, the one in the middle"
        run = tracker.client.get_run(version.run_id)
        assert run.data.tags["study.key"] == chosen.trial.key
        assert [output.model_id for output in run.outputs.model_outputs] == [version.tags["study.model"]]
        model = tracker.client.get_logged_model(version.tags["study.model"])
        assert model.tags["study.seed"] == str(chosen.trial.request.seeds[chosen.member])
        assert model.tags["study.weights"] == version.tags["study.weights"] == chosen.weights
        assert model.params["hidden_size"] == str(chosen.trial.request.settings["hidden_size"])


def test_a_second_publication_makes_no_second_version(tracker: Tracker) -> None:
    assert tracker.publish().models == 0
    assert [len(tracker.client.search_model_versions(f"name = 'small.{arm}'")) for arm in ("none", "gt")] == [1, 1]


def test_an_alias_that_was_lost_comes_back(tracker: Tracker) -> None:
    before = tracker.client.get_model_version_by_alias("small.gt", "confirmed").version
    tracker.client.delete_registered_model_alias("small.gt", "confirmed")
    assert tracker.publish().models == 0
    assert tracker.client.get_model_version_by_alias("small.gt", "confirmed").version == before


def test_it_answers_where_this_project_is_not(record: Record, elsewhere: dict[str, str], tmp_path: Path) -> None:
    predictor = predictor_of(record)
    past, z = record.references().past.astype(np.float32), predictor.sample_z(3, seed=7)
    np.savez(tmp_path / "inputs.npz", past=past, z=z)
    command = [sys.executable, "-I", "-c", LOAD, "models:/small.gt@confirmed"]
    subprocess.run(command, cwd=tmp_path, env=elsewhere, check=True, timeout=400)
    expected = predictor(torch.tensor(past), z).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "futures.npy"), expected, rtol=0, atol=1e-5)


@pytest.fixture
def served(record: Record, elsewhere: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """The address of a model of the study that `mlflow models serve` answers for."""
    port = free_port()
    command = [MLFLOW, "models", "serve", "-m", "models:/small.gt@confirmed", "--env-manager", "local"]
    command += ["--port", str(port)]
    with (tmp_path / "serve.log").open("wb") as log:
        # Its workers are started by name.
        path = f"{Path(sys.executable).parent}:{elsewhere['PATH']}"
        process = subprocess.Popen(
            command, cwd=tmp_path, env=elsewhere | {"PATH": path}, stdout=log, stderr=log, start_new_session=True
        )
        wait_for_answer(f"http://127.0.0.1:{port}/ping", process, tmp_path / "serve.log")
        yield f"http://127.0.0.1:{port}"
        kill_session(process)


def test_it_is_served(record: Record, served: str) -> None:
    predictor = predictor_of(record)
    past, z = record.references().past[:1].astype(np.float32), predictor.sample_z(1)
    body = json.dumps({"inputs": {"past": past.tolist(), "z": z.tolist()}}).encode()
    request = urllib.request.Request(f"{served}/invocations", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        futures = np.array(json.load(answer)["predictions"])
    np.testing.assert_allclose(futures, predictor(torch.tensor(past), z).numpy(), rtol=0, atol=1e-5)


def test_a_database_without_a_server_holds_them_too(
    end_study: EndStudy,
    database: Path,
    elsewhere: dict[str, str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    uri = f"sqlite:///{database}"
    made = end_study(tmp_path / "studies", tracking={"uri": uri, "models": True})
    assert Tracker(made, made.study_file).publish().models == 2
    assert Tracker(made, made.study_file).publish().models == 0
    # Not MLflow's bars of progress either, which would stand in the middle of a study's own.
    assert capfd.readouterr() == ("", "")
    past = made.references().past.astype(np.float32)
    np.savez(tmp_path / "inputs.npz", past=past, z=np.zeros((len(past), 4), np.float32))
    command = [sys.executable, "-I", "-c", LOAD, "models:/small.gt@confirmed"]
    settings = elsewhere | {"MLFLOW_TRACKING_URI": uri}
    subprocess.run(command, cwd=tmp_path, env=settings, check=True, timeout=400)


def test_mlflow_says_nothing_of_its_own_where_it_was_imported_first(elsewhere: dict[str, str], tmp_path: Path) -> None:
    script = "import logging, mlflow, study.tracking; print(logging.getLogger('mlflow').getEffectiveLevel())"
    settings = elsewhere | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout == f"{logging.CRITICAL}\n"


def test_damaged_weights_make_no_model_and_stop_nothing_else(
    end_study: EndStudy, server: Server, record: Record, tmp_path: Path
) -> None:
    made = end_study(tmp_path, tracking={"uri": server.uri, "models": True, "experiment": "damaged"}, name="damaged")
    chosen = representative(made, "gt")
    assert chosen is not None
    newest = max(chosen.trial.paths.checkpoints.iterdir())
    content = newest.read_bytes()
    newest.write_bytes(content[:-1])
    tracker = Tracker(made, made.study_file)
    with pytest.raises(StudyError, match=r"the model of gt cannot be published to MLflow: .* no whole checkpoint"):
        tracker.publish()
    assert tracker.client.get_model_version_by_alias("damaged.none", "confirmed").version == "1"
    assert not tracker.client.search_model_versions("name = 'damaged.gt'")
    newest.write_bytes(content)
    assert tracker.publish().models == 2, "counted since this tracker was made"


def test_without_weights_or_where_none_are_wanted_there_is_no_model(
    end_study: EndStudy, server: Server, record: Record, tmp_path: Path
) -> None:
    made = end_study(tmp_path, tracking={"uri": server.uri, "models": False, "experiment": "none"}, name="unwanted")
    assert Tracker(made, made.study_file).publish().models == 0
    assert not Tracker(made, made.study_file).client.search_model_versions("name = 'unwanted.gt'")
    for trial in made.trials(phase="confirm"):
        for checkpoint in trial.paths.checkpoints.iterdir():
            checkpoint.unlink()
    assert representative(made, "gt") is None
