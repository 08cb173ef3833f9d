"""docker-compose.yml and Dockerfile as text: what holds before anything runs."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.engine import ROOT

COMPOSE, HADOLINT = (str(Path(sys.executable).with_name(name)) for name in ("docker-compose", "hadolint"))
PROFILES = ("gpu", "study", "dashboard")
WITH_USERS, SEVERAL_HOSTS, WORKER_HOST = (
    f"deploy/{name}.yml" for name in ("mlflow-passwords", "several-hosts", "worker-host")
)


def config(
    *arguments: str, text: str | None = None, overlays: Sequence[str] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    """Resolve the shipped file, or ``text`` in its place, with ``overlays`` on top."""
    files = ["docker-compose.yml" if text is None else "-", *overlays]
    named = [word for file in files for word in ("-f", file)]
    options = [*named, "--project-directory", ".", *(f"--profile={profile}" for profile in PROFILES)]
    return subprocess.run(
        [COMPOSE, *options, "config", *arguments],
        cwd=ROOT, input=text, capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"]} | variables,
    )  # fmt: skip


def resolved(*overlays: str, **variables: str) -> dict[str, Any]:
    done = config("--format", "json", overlays=overlays, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = resolved()["services"]
    assert len(found) == 7
    return found


def test_every_set_of_profiles_resolves() -> None:
    for profiles in ([], ["gpu"], ["study"], ["dashboard"], list(PROFILES)):
        options = [f"--profile={profile}" for profile in profiles]
        done = subprocess.run(
            [COMPOSE, *options, "config", "--quiet"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("    restart: unless-stopped", "    restrat: unless-stopped"),
        ("condition: service_healthy", "condition: service_helthy"),
        ("networks: [cluster]", "networks: [clutser]"),
        ("secrets: [ray_auth_token]", "secrets: [ray_token]"),
        ("interval: 5s", "interval: 5 seconds"),
        ('}:5000"]', '}:500000"]'),
        ("- postgres:/var", "- postgers:/var"),
        ("depends_on: {postgres:", "depends_on: {postgers:"),
    ],
)
def test_a_slip_does_not_resolve(right: str, wrong: str) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert right in text
    assert config("--quiet", text=text).returncode == 0
    assert config("--quiet", text=text.replace(right, wrong, 1)).returncode != 0


def test_every_service_is_locked_in(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert not service.get("privileged"), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert int(service["mem_limit"]) <= 16 * 2**30, name
        assert service["pids_limit"] <= 2048, name
        assert "network_mode" not in service, name


def test_no_service_runs_as_root(services: dict[str, Any]) -> None:
    stages = (ROOT / "Dockerfile").read_text().partition("\nFROM ${PYTHON_IMAGE}\n")[2]
    assert re.findall(r"^USER (\d+)", stages, re.MULTILINE) == ["10001"]
    assert {name for name, service in services.items() if "build" not in service} == {"postgres"}
    assert {service.get("user") for service in services.values()} == {None, "postgres"}


def test_ports_are_published_to_this_machine_alone(services: dict[str, Any]) -> None:
    ports = [
        (name, port["target"], port["host_ip"])
        for name, service in services.items()
        for port in service.get("ports", [])
    ]
    assert sorted(ports) == [
        ("mlflow", 5000, "127.0.0.1"),
        ("optuna-dashboard", 8080, "127.0.0.1"),
        ("ray-head", 8265, "127.0.0.1"),
    ]


def test_the_database_is_on_a_network_of_those_that_need_it(services: dict[str, Any]) -> None:
    with_database = {name for name, service in services.items() if "db" in service["networks"]}
    assert with_database == {"postgres", "mlflow", "study", "optuna-dashboard"}
    assert resolved()["networks"]["db"]["internal"]


def test_whoever_is_waited_for_says_when_it_is_healthy(services: dict[str, Any]) -> None:
    waited = {
        name
        for service in services.values()
        for name, wait in service.get("depends_on", {}).items()
        if wait["condition"] == "service_healthy"
    }
    assert waited == {"postgres", "mlflow", "ray-head"}
    assert all("healthcheck" in services[name] for name in waited)


def test_every_image_has_a_version(services: dict[str, Any]) -> None:
    for name, service in services.items():
        tag = service["image"].partition(":")[2]
        assert re.search(r"\d", tag), name
        assert tag != "latest", name


def test_secrets_are_files_and_their_values_stand_nowhere(services: dict[str, Any]) -> None:
    with_users = resolved(WITH_USERS)
    made = set(re.findall(r"\w+_(?:password|token|key)\b", (ROOT / "Makefile").read_text()))
    assert set(with_users["secrets"]) == made
    assert all(secret["file"].endswith(f"/secrets/{name}") for name, secret in with_users["secrets"].items())
    for name, service in (*services.items(), *with_users["services"].items()):
        for variable, value in service["environment"].items():
            if re.search(r"PASSWORD|TOKEN|SECRET|KEY", variable):
                assert variable.endswith(("_FILE", "_PATH")), name
                assert value.startswith("/run/secrets/"), name
        assert not re.search(r"//[^/@\s]*:[^/@\s]*@", " ".join(service.get("command") or [])), name


def test_one_container_has_every_gpu_of_a_machine_and_not_every_processor() -> None:
    services = resolved(RAY_WORKERS="0", RAY_GPU_WORKER_CPUS="32")["services"]
    worker = services["ray-worker-gpu"]
    assert worker["deploy"]["resources"]["reservations"]["devices"] == [
        {"driver": "nvidia", "count": -1, "capabilities": ["gpu"]}
    ]
    assert worker["deploy"]["replicas"] == 1
    assert not any(word.startswith("--num-gpus") for word in worker["command"])
    assert "--num-cpus=32" in worker["command"]
    assert services["ray-worker"]["deploy"]["replicas"] == 0


def test_a_machine_with_many_processors_may_have_more_threads() -> None:
    services = resolved(PIDS_LIMIT="16384")["services"]
    assert {service["pids_limit"] for service in services.values()} == {16384}


def test_several_hosts_share_a_network_and_a_volume() -> None:
    one, several = resolved(), resolved(SEVERAL_HOSTS, NFS_SERVER="10.0.0.1")
    network = several["networks"]["cluster"]
    assert (network["name"], network["external"]) == ("hpgan_hosts", True)
    assert several["networks"]["db"] == one["networks"]["db"]
    assert several["volumes"]["studies"]["driver_opts"] == {
        "type": "nfs", "o": "addr=10.0.0.1,nfsvers=4.2,hard", "device": ":/export/studies"
    }  # fmt: skip
    assert several["volumes"]["studies"]["name"] != one["volumes"]["studies"]["name"]
    assert (
        several["services"]["mlflow"]["networks"].keys() - {"page"} == one["services"]["mlflow"].pop("networks").keys()
    )
    # A port is published on a network of this host alone.
    assert not several["networks"]["page"].get("internal")
    assert several["services"]["mlflow"].pop("networks").keys() >= {"page"}
    for name, service in several["services"].items():
        mounts = {mount["target"]: mount for mount in service.pop("volumes", [])}
        before = {mount["target"]: mount for mount in one["services"][name].pop("volumes", [])}
        if "/app/studies" in before:
            assert mounts["/app/studies"]["volume"] == {"nocopy": True}, name
            before["/app/studies"] = mounts["/app/studies"]
        assert mounts == before, name
        assert service == one["services"][name], name


def test_a_further_host_has_workers_alone() -> None:
    first = resolved(SEVERAL_HOSTS, NFS_SERVER="10.0.0.1")
    further = resolved(SEVERAL_HOSTS, WORKER_HOST, NFS_SERVER="10.0.0.1")
    assert further["services"].keys() == {"ray-worker", "ray-worker-gpu"}
    assert further["networks"] == {"cluster": first["networks"]["cluster"]}
    assert further["volumes"] == {"studies": first["volumes"]["studies"]}
    for name, service in further["services"].items():
        del first["services"][name]["depends_on"]
        assert service == first["services"][name], name
        assert [secret["source"] for secret in service["secrets"]] == ["ray_auth_token"], name


def test_without_its_nfs_server_a_cluster_of_several_hosts_does_not_resolve() -> None:
    done = config("--quiet", overlays=[SEVERAL_HOSTS])
    assert done.returncode != 0
    assert "NFS_SERVER is missing a value: give the address of the NFS server" in done.stderr


def test_the_image_is_built_from_what_is_named(services: dict[str, Any]) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {word for words in copied for word in words.split()} == {
        line.removeprefix("!") for line in ignored if line.startswith("!")
    }


def test_the_dockerfile_has_no_lint() -> None:
    done = subprocess.run(
        [HADOLINT, "--failure-threshold", "warning", "Dockerfile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
