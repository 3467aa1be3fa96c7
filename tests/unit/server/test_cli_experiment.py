"""`lethe experiment`: against a real HTTP server, in front of the fake engine."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from typer.testing import CliRunner

from lethe_projections.errors import LetheError
from lethe_server import cli
from lethe_server.experiments import showing

from .fakes import Server, make

CREATE = ["create", "trial", "--arm", "plain=base", "--arm", "treated=france:3"]


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    server.serving.catalogue.put("france", make(1))
    running = uvicorn.Server(uvicorn.Config(server.app, port=0, log_level="warning"))
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    running.should_exit = True
    thread.join()


def run(url: str, *arguments: str) -> str:
    result = CliRunner(env={"COLUMNS": "200", "LETHE_URL": url}).invoke(
        cli.app, ["experiment", *arguments], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return result.output


def take_part(url: str, count: int) -> None:
    with httpx.Client(base_url=url, headers={"X-Unlearning-Experiment": "trial"}) as client:
        for number in range(count):
            sent = client.post("/v1/chat/completions", json={"user": f"user-{number}"})
            assert sent.status_code == 200, sent.text
    told = [
        {"unit": f"user-{number}", "metric": "stars", "value": number % 5}
        for number in range(count)
    ]
    posted = httpx.post(f"{url}/v1/unlearning/experiments/trial/outcomes", json=told)
    assert posted.json()["recorded"] == count


def test_an_experiment_from_its_creation_to_its_export(url: str, tmp_path: Path) -> None:
    created = json.loads(run(url, *CREATE, "--json"))
    assert [arm["weight"] for arm in created["arms"]] == [1.0, 3.0]
    assert json.loads(run(url, "show", "trial", "--json")) == created
    assert json.loads(run(url, "list", "--json"))["data"] == [created]
    assert "plain (control)" in run(url, "list") and "75.0%" in run(url, "show", "trial")
    take_part(url, 40)
    found = json.loads(run(url, "report", "trial", "--json"))
    assert sum(arm["units"] for arm in found["arms"]) == 40
    said = run(url, "report", "trial")
    for arm in found["arms"]:
        assert f"{arm['metrics']['stars']['value']:.4g}" in said
    assert json.loads(run(url, "stop", "trial", "--json"))["status"] == "stopped"
    out = tmp_path / "records.csv"
    run(url, "export", "trial", "--csv", "--out", str(out))
    lines = run(url, "export", "trial").splitlines()
    assert len(out.read_text().splitlines()) == len(lines) + 1 == 81
    assert [file.name for file in tmp_path.iterdir() if "records" in file.name] == [out.name]


def test_a_servers_error_is_an_error(url: str) -> None:
    with pytest.raises(LetheError, match=r"expected one that exists, found 'nobody'.*404"):
        run(url, "report", "nobody")


@pytest.mark.parametrize("arm", ["plain", "=base", "plain=", "plain=base:", "plain=base:1.2.3"])
def test_an_arm_in_another_form_is_wrong_usage(arm: str) -> None:
    result = CliRunner().invoke(cli.app, ["experiment", "create", "trial", "--arm", arm])
    assert result.exit_code == 2
    assert "expected" in result.output


def test_a_report_says_what_to_be_careful_about() -> None:
    quiet = {
        "sample_ratio": {"p_value": 0.5, "mismatch": False},
        "lost_exposures": 0,
        "unexposed_outcomes": 0,
        "arms": [{"name": "one", "served": [{"digest": "a"}, {"digest": ""}]}],
    }
    assert showing.warnings(quiet) == []
    loud = {
        "sample_ratio": {"p_value": 1e-6, "mismatch": True},
        "lost_exposures": 3,
        "unexposed_outcomes": 4,
        "arms": [{"name": "one", "served": [{"digest": "a"}, {"digest": "b"}]}],
    }
    said = " ".join(showing.warnings(loud))
    assert all(text in said for text in ("1e-06", "3 exposures", "4 outcomes", "arm one"))
