"""docker-compose.yml as it ships, on a real engine: one story, told in the order of this file."""

import itertools
import json
import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.cluster.engine import NAMESPACE, run
from tests.cluster.stack import Drive, Stack, documented

pytestmark = pytest.mark.timeout(1500)

ANSWER = """\
import sys, urllib.error, urllib.request
url, body, *headers = sys.argv[1:]
request = urllib.request.Request(url, body.encode() or None, dict(pair.split("=", 1) for pair in headers))
try:
    print(urllib.request.urlopen(request, timeout=10).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""
OUTAGE_S = 20
# libpq reads its password there.
SERVER_HAS_ITS_PASSWORD = ("mlflow_db_password", "/tmp/pgpass in mlflow")
STUDY_HAS_ITS_PASSWORD = ("optuna_db_password", "/tmp/pgpass in study")


def answer(stack: Stack, url: str, *headers: str, body: str = "") -> int:
    """The status that a worker of the cluster gets; it posts the body, if there is one."""
    return int(stack.execute("ray-worker", "python3", "-c", ANSWER, url, body, *headers))


@pytest.fixture(scope="module")
def drive(stack: Stack) -> Iterator[Drive]:
    """One study through all faults that it survives; the tests after these stop it, and go on with it to its end."""
    drive = stack.study("launch", "search_spaces/faults.yaml")
    drive.wait_until(lambda: stack.training("faults"))
    yield drive
    drive.process.kill()


def test_the_stack_is_healthy_within_two_minutes(stack: Stack) -> None:
    seconds = stack.up()
    print(f"up in {seconds:.0f} s")
    assert seconds < 120


def test_a_study_runs_on_two_workers_and_the_three_ledgers_agree(stack: Stack) -> None:
    text = stack.study("launch", "search_spaces/small.yaml").end()
    assert "search gt/t03: complete" in text
    # A worker whose first process has not started yet gets nothing of a study so short.
    if len({attempt["place"] for attempt in stack.attempts("small")}) < 2:
        stack.study("resume", "small", "--add-trials", "4").end()
    assert len({attempt["place"] for attempt in stack.attempts("small")}) == 2
    stack.check_ledgers("small")


def test_artifacts_go_through_the_server(stack: Stack) -> None:
    script = """\
import mlflow
mlflow.set_tracking_uri("http://mlflow:5000")
experiment = mlflow.get_experiment_by_name("small").experiment_id
(run,) = mlflow.search_runs([experiment], "tags.`study.key` = 'gt/confirm'", output_format="list")
assert run.info.artifact_uri.startswith("mlflow-artifacts:"), run.info.artifact_uri
print(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/record/outcome.json"))
"""
    outcome = json.loads(stack.python("ray-worker", script))
    assert outcome == stack.outcomes("small")["gt/confirm"]


def test_mlflow_answers_to_its_own_names_alone(stack: Stack) -> None:
    api = "http://mlflow:5000/api/2.0/mlflow/experiments/search?max_results=1"
    assert answer(stack, api) == 200
    assert answer(stack, api, "Host=evil.example") == 403


def test_mlflow_lets_its_own_pages_write_and_no_other(stack: Stack) -> None:
    """With the settings that docs/cluster.md gives for a proxy."""

    def write(host: str, origin: str) -> int:
        page = "http://mlflow:5000/ajax-api/2.0/mlflow/runs/search"
        headers = (f"Host={host}", f"Origin={origin}", "Content-Type=application/json")
        return answer(stack, page, *headers, body='{"experiment_ids": ["0"]}')

    assert write("mlflow.example.org", "https://mlflow.example.org") == 200
    assert write("localhost:5000", "http://localhost:5000") == 200
    assert write("mlflow.example.org", "https://evil.example") == 403
    assert write("mlflow.example.org", "http://mlflow.example.org") == 403


def test_ray_refuses_whoever_has_no_token(stack: Stack) -> None:
    api = "http://ray-head:8265/api/jobs/"
    assert answer(stack, api) == 401
    assert answer(stack, api, "Authorization=Bearer wrong") == 403
    assert answer(stack, api, f"Authorization=Bearer {stack.secrets['ray_auth_token']}") == 200
    for token in ([], ["RAY_AUTH_MODE=token", "RAY_AUTH_TOKEN=wrong"]):
        plain = ["env", "-u", "RAY_AUTH_MODE", "-u", "RAY_AUTH_TOKEN_PATH", *token]
        with pytest.raises(AssertionError, match=r"(?i)token|auth"):
            stack.execute("ray-worker", *plain, "ray", "status", "--address", "ray-head:6379")
    assert "Active" in stack.execute("ray-worker", "ray", "status", "--address", "ray-head:6379")


def test_workers_cannot_reach_the_database(stack: Stack) -> None:
    (postgres,) = stack.containers("postgres")
    template = '{{(index .NetworkSettings.Networks "hpgan_db").IPAddress}}'
    address = stack.engine.docker("inspect", "--format", template, postgres).strip()
    for host in ("postgres", address):
        connect = f"import socket; socket.create_connection(('{host}', 5432), timeout=3)"
        with pytest.raises(AssertionError, match=r"gaierror|TimeoutError|OSError"):
            stack.python("ray-worker", connect)
        # The way there exists: a server on both networks takes it.
        stack.python("mlflow", connect)


def test_ports_are_open_to_this_machine_alone(stack: Stack) -> None:
    listening = [line.split()[3] for line in stack.engine.run_inside("ss", "-Hltn").splitlines()]
    assert sorted(place for place in listening if place.rpartition(":")[2] in ("5000", "8265")) == [
        "127.0.0.1:5000",
        "127.0.0.1:8265",
    ]
    assert not {"5432", "6379", "10001"} & {place.rpartition(":")[2] for place in listening}


def test_a_second_launch_is_refused_and_names_the_holder(stack: Stack, drive: Drive) -> None:
    holder = stack.engine.docker("inspect", "--format", "{{.Config.Hostname}}", "driver").strip()
    text = stack.study("launch", "search_spaces/faults.yaml", name="second").end(1)
    assert "is being run by process" in text
    assert holder in text


def test_a_worker_that_joins_is_used(stack: Stack, drive: Drive) -> None:
    stack.up("--scale", "ray-worker=3")
    drive.wait_until(lambda: len({attempt["place"] for attempt in stack.attempts("faults")}) == 3)


def test_a_killed_worker_costs_no_trial(stack: Stack, drive: Drive) -> None:
    (trial,) = stack.training("faults")[:1]
    place = json.loads((trial / "attempts.jsonl").read_text().splitlines()[-1])["place"]
    (container,) = [found for found in stack.containers("ray-worker") if found.startswith(place)]
    process = int(stack.engine.docker("inspect", "--format", "{{.State.Pid}}", container))
    os.kill(process, signal.SIGKILL)
    # Its processes may be missed before the node is.
    kinds = {"lost_node", "crashed"}
    drive.wait_until(lambda: any(attempt["kind"] in kinds for attempt in stack.attempts("faults")))
    drive.wait_until(lambda: stack.engine.docker("inspect", "--format", "{{.RestartCount}}", container).strip() == "1")


def test_a_database_that_restarts_is_waited_for(stack: Stack, drive: Drive) -> None:
    query = "SELECT count(*) FROM trials WHERE state <> 'RUNNING'"

    def told() -> int:
        return int(stack.compose("exec", "-T", "-u", "postgres", "postgres", "psql", "-Atd", "optuna", "-c", query))

    before = told()
    stack.compose("restart", "postgres")
    stack.up("--scale", "ray-worker=3")
    drive.wait_until(lambda: told() > before)


def test_mlflow_off_the_network_delays_nothing(stack: Stack, drive: Drive) -> None:
    def epochs() -> int:
        return sum(
            len(file.read_bytes().splitlines()) for file in stack.record("faults").glob("trials/*/*/epochs.jsonl")
        )

    with stack.cut_off("mlflow"):
        counts = [epochs()]
        for _ in range(4):
            time.sleep(OUTAGE_S / 4)
            counts.append(epochs())
    print(f"{counts[-1] - counts[0]} epochs in {OUTAGE_S} s without MLflow")
    assert all(earlier < later for earlier, later in itertools.pairwise(counts))
    assert drive.process.poll() is None


def test_no_secret_is_anywhere_but_in_its_file_while_a_study_runs(stack: Stack, drive: Drive) -> None:
    drive.wait_until(lambda: stack.training("faults"))
    assert stack.secrets_found() == {SERVER_HAS_ITS_PASSWORD, STUDY_HAS_ITS_PASSWORD}
    assert drive.process.poll() is None


def test_a_stopped_study_says_how_to_go_on_and_leaves_no_run_open(stack: Stack, drive: Drive) -> None:
    drive.wait_until(lambda: stack.training("faults") and "RUNNING" in stack.mlflow_states("faults"))
    stack.engine.docker("stop", "driver")
    assert "study resume faults" in drive.end(75)
    for trial in stack.training("faults"):
        assert json.loads((trial / "attempts.jsonl").read_text().splitlines()[-1])["kind"] == "stopped", trial
    assert stack.mlflow_states("faults") == {"FINISHED", "KILLED"}


def test_a_killed_driver_can_be_followed_by_another(stack: Stack) -> None:
    drive, ended = stack.study("resume", "faults"), len(stack.outcomes("faults"))
    drive.wait_until(lambda: len(stack.outcomes("faults")) > ended and stack.training("faults"))
    stack.engine.docker("kill", "driver")
    drive.end(128 + signal.SIGKILL)


def test_after_all_these_faults_nothing_is_lost_or_doubled(stack: Stack) -> None:
    begun = {"/".join(path.parts[-3:-1]) for path in stack.record("faults").glob("trials/*/*/trial.json")}
    # What has begun is finished; of the rest there would be more than anybody waits for. Models are made of others.
    less = ("--set", "budget.wall_time_s=1", "--set", "tracking.models=false")
    stack.study("launch", "search_spaces/faults.yaml", *less).end(5)
    outcomes = stack.outcomes("faults")
    assert begun < outcomes.keys()
    assert {outcome["state"] for outcome in outcomes.values()} == {"complete"}
    stack.check_ledgers("faults")


def test_a_killed_head_costs_the_driver_and_no_result(stack: Stack) -> None:
    drive = stack.study("launch", "search_spaces/head.yaml")
    drive.wait_until(lambda: stack.training("head"))
    (container,) = stack.containers("ray-head")
    os.kill(int(stack.engine.docker("inspect", "--format", "{{.State.Pid}}", container)), signal.SIGKILL)
    # Whether the driver comes to say so or Ray ends it first, with a trace of its own, is a matter of moments.
    drive.end(1)
    assert "failed" not in {outcome["state"] for outcome in stack.outcomes("head").values()}
    stack.up("--scale", "ray-worker=3")
    # Workers have not all noticed yet that their head is another one.
    stack.study("resume", "head").end()
    stack.check_ledgers("head")


def test_a_trial_that_takes_too_much_memory_fails_and_its_machine_lives(stack: Stack) -> None:
    # Those that the head before this one had are started anew.
    stack.wait_for_workers(3)
    before = {
        name: stack.engine.docker("inspect", "--format", "{{.State.Pid}}", name)
        for name in stack.containers("ray-worker")
    }
    # One of two is more than its budget.failed_fraction.
    assert "study resume hog --retry-failed" in stack.study("launch", "search_spaces/hog.yaml").end(4)
    outcomes = stack.outcomes("hog")
    assert {key: outcome["state"] for key, outcome in outcomes.items()} == {
        "none/t00": "complete",
        "none/t01": "failed",
    }
    assert outcomes["none/t01"]["kind"] == "out_of_memory"
    after = {
        name: stack.engine.docker("inspect", "--format", "{{.State.Pid}}", name)
        for name in stack.containers("ray-worker")
    }
    assert after == before


def test_a_bad_study_file_ends_with_its_exit_code(stack: Stack) -> None:
    stack.study("launch", "search_spaces/none.yaml").end(2)


def test_the_dashboard_reads_and_cannot_write(stack: Stack) -> None:
    stack.up("optuna-dashboard")
    api = "http://127.0.0.1:8080/api/studies"
    names = json.loads(stack.engine.run_inside("curl", "-sf", "--retry", "5", "--retry-all-errors", api))[
        "study_summaries"
    ]
    assert any(study["study_name"].endswith("/gt") for study in names)
    text = stack.engine.run_inside(
        "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", "-H", "Content-Type: application/json",
        "-d", '{"study_name": "mine", "directions": ["minimize"]}', api,
    )  # fmt: skip
    assert text == "500"
    assert len(json.loads(stack.engine.run_inside("curl", "-sf", api))["study_summaries"]) == len(names)


def test_no_secret_is_anywhere_but_in_its_file_with_every_service_up(stack: Stack) -> None:
    assert len(stack.engine.docker("ps", "--quiet").split()) == 7
    assert stack.secrets_found() == {
        SERVER_HAS_ITS_PASSWORD,
        ("reader_db_password", "/tmp/pgpass in optuna-dashboard"),
    }


def test_what_was_backed_up_can_be_restored(stack: Stack) -> None:
    """By the very commands of docs/cluster.md."""
    backup, restore = documented("backup"), documented("restore")
    assert "pg_dump" in backup
    assert "pg_restore" in restore
    run("bash", "-euc", backup, environment=stack.environment, cwd=stack.folder)
    stack.compose("--profile", "dashboard", "down", "--volumes")
    assert not stack.record("small").exists()
    run("bash", "-euc", restore, environment=stack.environment, cwd=stack.folder)
    for name in ("small", "head"):
        stack.check_ledgers(name)


def test_down_and_up_keeps_everything(stack: Stack) -> None:
    stack.compose("down")
    stack.up()
    stack.check_ledgers("small")


def test_with_passwords_mlflow_serves_those_who_have_one(stack: Stack) -> None:
    stack.environment["COMPOSE_FILE"] = "docker-compose.yml:deploy/mlflow-passwords.yml"
    stack.up()
    assert answer(stack, "http://mlflow:5000/api/2.0/mlflow/experiments/search?max_results=1") == 401
    drive = stack.study("resume", "small", "--add-trials", "1")
    drive.wait_until(lambda: "Going on with" in drive.said.read_text())
    of_server = {
        SERVER_HAS_ITS_PASSWORD,
        ("mlflow_admin_password", "/tmp/.mlflow/credentials in mlflow"),
        ("mlflow_admin_password", "/tmp/basic-auth.ini in mlflow"),
        # The key of its sessions MLflow takes from its environment alone.
        ("mlflow_server_key", "environ in mlflow"),
    }
    of_study = {STUDY_HAS_ITS_PASSWORD, ("mlflow_admin_password", "/tmp/.mlflow/credentials in study")}
    assert stack.secrets_found() == of_server | of_study
    assert drive.process.poll() is None
    drive.end()
    assert stack.secrets_found() == of_server
    stack.check_ledgers("small")


def test_nothing_is_left_behind(stack: Stack) -> None:
    stack.compose("--profile", "*", "down", "--volumes")
    assert stack.engine.docker("ps", "--quiet", "--all") == ""
    assert stack.engine.docker("volume", "ls", "--quiet") == ""
    assert stack.engine.processes()
    stack.engine.stop()
    assert stack.engine.processes() == []
    assert NAMESPACE not in run("ip", "netns", "list")
    assert "docker" not in run("iptables-save").lower()
