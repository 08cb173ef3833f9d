"""deploy/kubernetes/ against the schemas that Kubernetes publishes, and in Ray's own fields a transcript of KubeRay's.

No cluster has run it.
"""

import math
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import ray
import yaml

from tests.documents import ROOT

MANIFESTS = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
RAY = jsonschema.Draft202012Validator(yaml.safe_load(Path(__file__).with_name("ray.io_v1.schema.yaml").read_text()))
# Of Kubernetes: an old one, and the newest that is known.
VERSIONS = ("1.31", kubernetes_validate.latest_version())

Manifest = dict[str, Any]


def manifests() -> Iterator[Manifest]:
    for file in MANIFESTS:
        yield from yaml.safe_load_all(file.read_text())


def pods(manifest: Manifest) -> Iterator[Manifest]:
    """The pods that the operator makes of a cluster's templates."""
    if manifest["kind"] == "RayCluster":
        spec = manifest["spec"]
        for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
            name = group.get("groupName", "head")
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, **group["template"]}


def check(described: Iterable[Manifest]) -> None:
    """
    Raises:
        jsonschema.ValidationError: a field is not of the schema, or none that it knows.
    """
    for manifest in described:
        if manifest["apiVersion"] == "ray.io/v1":
            RAY.validate(manifest)
        for release in VERSIONS:
            for core in [*pods(manifest), *([manifest] if manifest["apiVersion"] == "v1" else [])]:
                kubernetes_validate.validate(core, release, strict=True)


def cluster() -> Manifest:
    return next(manifest for manifest in manifests() if manifest["kind"] == "RayCluster")


def job() -> Manifest:
    return next(manifest for manifest in manifests() if manifest["kind"] == "RayJob")


@pytest.mark.parametrize("manifest", list(manifests()), ids=lambda manifest: manifest["kind"])
def test_a_manifest_fits_the_schemas_of_kubernetes_and_the_transcript_of_kuberays(manifest: Manifest) -> None:
    check([manifest])


@pytest.mark.parametrize(
    ("written", "slip"),
    [
        ("authOptions:", "authOption:"),
        ("mode: token", "mode: tokens"),
        ("headGroupSpec:", "headGroup:"),
        ("num-cpus: '0'", "num-cpus: 0"),
        ("maxReplicas: 64", "replicasMax: 64"),
        ("replicas: 4", 'replicas: "4"'),
        ("volumeMounts:", "volumeMount:"),
        ("drop: [ALL]", "drop: ALL"),
        ("limits:", "limit:"),
        ("accessModes: [ReadWriteMany]", "accessModes: ReadWriteMany"),
        ("submissionMode: HTTPMode", "submissionMode: HttpMode"),
        ("entrypoint:", "entryPoint:"),
        ("clusterSelector:", "shutdownAfterJobFinishes: true, clusterSelector:"),
    ],
)
def test_a_slip_is_found(written: str, slip: str) -> None:
    text = "\n---\n".join(yaml.safe_dump(manifest, default_flow_style=True, width=math.inf) for manifest in manifests())
    wrong = text.replace(written, slip)
    assert wrong != text
    with pytest.raises(jsonschema.ValidationError):
        check(yaml.safe_load_all(wrong))


def test_the_job_selects_the_cluster_that_is_described() -> None:
    assert job()["spec"]["clusterSelector"] == {"ray.io/cluster": cluster()["metadata"]["name"]}


def test_versions_are_those_of_the_image() -> None:
    assert cluster()["spec"]["rayVersion"] == ray.__version__
    release = version("hpgan-study")
    images = {container["image"] for pod in pods(cluster()) for container in pod["spec"]["containers"]}
    assert images == {f"hpgan-study:{release}", f"hpgan-study:{release}-cuda"}


def test_volumes_are_there_that_are_mounted() -> None:
    for pod in pods(cluster()):
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        for container in pod["spec"]["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes


def test_no_pod_is_privileged() -> None:
    for pod in pods(cluster()):
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        assert not pod["spec"]["automountServiceAccountToken"]
        for container in pod["spec"]["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
