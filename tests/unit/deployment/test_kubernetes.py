"""The manifests are valid, fit each other, and fit the server."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from lethe_projections.errors import LetheError
from lethe_server.policy import following

from .conftest import Understood
from .places import DOCKER, KUBERNETES, PROGRAMS


def manifest(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((KUBERNETES / name).read_text())
    return document


@pytest.fixture(scope="module")
def pod() -> dict[str, Any]:
    found: dict[str, Any] = manifest("deployment.yaml")["spec"]["template"]
    return found


def valid(*files: Path) -> bool:
    command = [PROGRAMS / "kubernetes-validate", "--strict", "--quiet", *files]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_kubernetes_knows_every_field(tmp_path: Path) -> None:
    files = [KUBERNETES / name for name in manifest("kustomization.yaml")["resources"]]
    # The other optional one is of the Prometheus operator, whose schema is not at hand.
    assert valid(*files, KUBERNETES / "optional" / "autoscaler.yaml")
    broken = tmp_path / "deployment.yaml"
    broken.write_text((KUBERNETES / "deployment.yaml").read_text().replace("replicas:", "copies:"))
    assert not valid(broken)


def test_the_kustomization_takes_in_every_manifest() -> None:
    listed = set(manifest("kustomization.yaml")["resources"])
    others = {"kustomization.yaml", "policy.example.yaml"}
    assert listed | others == {file.name for file in KUBERNETES.glob("*.yaml")} - {"policy.yaml"}


def test_what_the_kustomization_wants_is_left_to_copy_and_not_to_commit() -> None:
    ignored = (DOCKER.parent / ".gitignore").read_text().splitlines()
    secrets = manifest("kustomization.yaml")["secretGenerator"]
    files = [file for one in secrets for file in (*one.get("files", ()), *one.get("envs", ()))]
    assert sorted(files) == ["database.env", "policy.yaml"]
    for file in files:
        stem, _, ending = file.partition(".")
        assert (KUBERNETES / f"{stem}.example.{ending}").is_file()
        assert f"/docker/kubernetes/{file}" in ignored


def test_a_policy_that_was_not_filled_in_starts_no_server(tmp_path: Path) -> None:
    example = KUBERNETES / "policy.example.yaml"
    with pytest.raises(LetheError):
        following.read(example)
    filled = tmp_path / "policy.yaml"
    first = example.read_text().replace("REPLACE", "0f" * 32, 1)
    filled.write_text(first.replace("REPLACE", "1e" * 32))
    following.read(filled)
    keys = {key["name"]: key for key in yaml.safe_load(filled.read_text())["keys"]}
    assert keys["prometheus"]["admin"] is True  # as /metrics wants


def test_the_server_knows_its_options_and_finds_what_is_mounted(
    pod: dict[str, Any], understood: Understood
) -> None:
    (container,) = pod["spec"]["containers"]
    own, passed = understood(container["args"])
    (port,) = container["ports"]
    assert (passed.host, passed.port) == ("0.0.0.0", port["containerPort"])
    mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
    assert set(mounts.values()) == {volume["name"] for volume in pod["spec"]["volumes"]}
    assert own["objects"] == "file:///objects"
    assert mounts["/objects"] == "objects"
    assert own["server"]["policy"] == "/etc/lethe/policy.yaml"
    assert mounts["/etc/lethe"] == "policy"
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["spec"]["terminationGracePeriodSeconds"] > pause + passed.shutdown_timeout


def test_its_user_is_the_images_and_may_write_nothing_but_its_volumes(pod: dict[str, Any]) -> None:
    (user,) = re.findall(r"^USER (\d+):\d+$", (DOCKER / "Dockerfile.cpu").read_text(), re.MULTILINE)
    assert pod["spec"]["securityContext"]["runAsUser"] == int(user)
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["spec"]["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_what_is_to_be_uncommented_in_the_network_policy_is_valid(tmp_path: Path) -> None:
    text = (KUBERNETES / "network.yaml").read_text()
    more = tmp_path / "network.yaml"
    more.write_text(re.sub(r"^( +)# (?=- | +- )", r"\1", text, flags=re.MULTILINE))
    assert valid(more)
    rules = yaml.safe_load(more.read_text())["spec"]
    assert rules["egress"][-1]["ports"] == [{"port": 443}]
    assert sum("namespaceSelector" in one for one in rules["ingress"][0]["from"]) == 2


def test_everything_selects_the_servers(pod: dict[str, Any]) -> None:
    labels = pod["metadata"]["labels"]
    selectors = [
        manifest("deployment.yaml")["spec"]["selector"]["matchLabels"],
        manifest("service.yaml")["spec"]["selector"],
        manifest("disruption.yaml")["spec"]["selector"]["matchLabels"],
        manifest("network.yaml")["spec"]["podSelector"]["matchLabels"],
        manifest("optional/monitor.yaml")["spec"]["selector"]["matchLabels"],
    ]
    assert all(selector == labels for selector in selectors)
