"""docker/compose.yaml is one, and what it names is there."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import Understood
from .places import DOCKER, KUBERNETES, PROGRAMS

COMPOSE = DOCKER / "compose.yaml"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return document


def test_it_has_the_schema_of_compose_files(tmp_path: Path) -> None:
    def checked(file: Path) -> int:
        command = [PROGRAMS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", file]
        return subprocess.run(command, check=False, capture_output=True).returncode

    assert checked(COMPOSE) == 0
    broken = tmp_path / "compose.yaml"
    broken.write_text(COMPOSE.read_text().replace("    command:", "    comand:"))
    assert checked(broken) != 0


def test_every_file_that_it_mounts_or_builds_from_is_there(compose: dict[str, Any]) -> None:
    mounted = [
        volume.partition(":")[0]
        for service in compose["services"].values()
        for volume in service.get("volumes", [])
    ]
    files = [DOCKER / one for one in mounted if one.startswith(".")]
    builds = [one["build"] for one in compose["services"].values() if "build" in one]
    files += [DOCKER / build["context"] / build["dockerfile"] for build in builds]
    assert len(files) > 4
    assert all(file.exists() for file in files), files
    assert {one for one in mounted if not one.startswith(".")} == compose["volumes"].keys()


def test_no_secret_has_a_value_and_each_one_missing_stops_it() -> None:
    asked = re.findall(r"(\w*(?:PASSWORD|KEY)\w*): (.*)", COMPOSE.read_text())
    assert len(asked) == 3
    for name, value in asked:
        assert value.startswith("/run/secrets/") or ":?" in value, name
    taken = re.findall(r"^    environment: (\w+)$", COMPOSE.read_text(), re.MULTILINE)
    assert {"LETHE_METRICS_KEY", "LETHE_GRAFANA_PASSWORD"} < set(taken)
    example = (DOCKER / ".env.example").read_text()
    required = re.findall(r"\$\{(\w+):\?", COMPOSE.read_text())
    assert set(taken) <= set(required)
    assert {f"{name}=" for name in required} <= set(example.splitlines())


def test_every_image_of_others_has_an_exact_tag(compose: dict[str, Any]) -> None:
    images = [one["image"] for one in compose["services"].values() if "build" not in one]
    assert len(images) == 3
    assert all(re.search(r":v?\d+\.\d+(\.\d+)?(-\w+)?$", image) for image in images), images


def test_lethe_and_vllm_know_every_option_of_the_servers(
    compose: dict[str, Any], understood: Understood
) -> None:
    servers = [one for one in compose["services"].values() if "build" in one]
    assert len(servers) == 2
    for server in servers:
        words = re.sub(r"\$\{\w+:-(.*?)\}", r"\1", server["command"]).split()
        own, passed = understood(words)
        assert own["store"] == "postgresql+psycopg://lethe@postgresql/lethe"
        assert passed.port == 8000
        assert own["server"]["policy"] == "/etc/lethe/policy.yaml"
        assert passed.api_key is None
        assert "./policy:/etc/lethe:ro" in server["volumes"]
        assert "VLLM_API_KEY" not in server["environment"]
        stop = int(server["stop_grace_period"].removesuffix("s"))
        assert stop > passed.shutdown_timeout > 0


def test_prometheus_asks_where_the_server_answers(compose: dict[str, Any]) -> None:
    (job,) = yaml.safe_load((DOCKER / "prometheus.yml").read_text())["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    host, port = target.split(":")
    assert job["metrics_path"] == "/metrics"
    for server in (one for one in compose["services"].values() if "build" in one):
        assert host in server["networks"]["default"]["aliases"]
        assert any(entry.endswith(f":{port}") for entry in server["ports"])
        assert f"--port {port} " in server["command"]


def test_prometheus_sends_a_key_that_it_has(compose: dict[str, Any]) -> None:
    (job,) = yaml.safe_load((DOCKER / "prometheus.yml").read_text())["scrape_configs"]
    folder, _, name = job["authorization"]["credentials_file"].rpartition("/")
    assert folder == "/run/secrets"
    assert compose["services"]["prometheus"]["secrets"] == [name]
    assert name in compose["secrets"]


def test_the_policy_is_the_one_of_kubernetes_and_not_to_commit() -> None:
    policy = DOCKER / "policy" / "policy.example.yaml"
    assert policy.read_text() == (KUBERNETES / "policy.example.yaml").read_text()
    ignored = (DOCKER.parent / ".gitignore").read_text().splitlines()
    assert {"/docker/policy/policy.yaml", "/docker/.env"} <= set(ignored)


def test_grafana_finds_prometheus_and_the_dashboard(compose: dict[str, Any]) -> None:
    provisioning = DOCKER / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "lethe.yml").read_text())[
        "providers"
    ]
    mounts = [one.split(":") for one in compose["services"]["grafana"]["volumes"]]
    assert f"{provider['options']['path']}/lethe.json" in [place for _, place, *_ in mounts]
