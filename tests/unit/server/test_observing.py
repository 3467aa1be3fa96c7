"""What becomes known of a request: its id, its line of log, its metrics."""

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from lethe_projections import artifact
from lethe_server import access_log, recent
from lethe_server.exchange import Exchange
from lethe_server.metrics import MAX_COMPOSITIONS, OTHERS, Metrics
from lethe_server.settings import Settings
from lethe_server.watching import Watching, watching
from lethe_vllm.errors import UnsupportedError
from lethe_vllm.generation import Generation
from lethe_vllm.selection import Variant

from .fakes import Server, make

CHAT = "/v1/chat/completions"
FRANCE = make(1)
DIGEST = artifact.digest(FRANCE)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry)


@pytest.fixture
def seen() -> list[Exchange]:
    return []


@pytest.fixture
def server(
    server: Server, seen: list[Exchange], metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> Server:
    server.serving.catalogue.put("france", FRANCE)
    monkeypatch.setattr(recent, "FRESH", 0.0)
    front_end = server.serving.front_end
    found = watching(Settings(), metrics, front_end, server.serving.everyone)
    all_of_them = Watching((*found.observers, seen.append), found.audit, found.refresh)
    object.__setattr__(server.serving, "watching", all_of_them)

    @server.app.get("/metrics")
    async def scrape() -> dict[str, str]:
        return {}

    return server


def test_a_request_keeps_its_id(server: Server, seen: list[Exchange]) -> None:
    reply = server.post(CHAT, json={}, headers={"X-Request-Id": "mine"})
    assert reply.headers["x-request-id"] == "mine"
    assert [one.request_id for one in seen] == ["mine"]


def test_a_request_without_an_id_gets_one_of_its_own(server: Server, seen: list[Exchange]) -> None:
    ids = [server.post(CHAT, json={}).headers["x-request-id"] for _ in range(2)]
    assert len(set(ids)) == 2
    assert [one.request_id for one in seen] == ids


@pytest.mark.parametrize(
    "given",
    [["two words"], ["x" * 129], [""], ["caf\u00e9"], ["a", "b"]],
)
def test_an_id_that_could_not_stand_in_a_log_is_refused(
    server: Server, seen: list[Exchange], given: list[str]
) -> None:
    headers = [(b"x-request-id", value.encode("latin-1")) for value in given]
    reply = server.post(CHAT, json={}, headers=headers)
    assert reply.status_code == 400
    assert "printable ASCII" in reply.json()["error"]["message"]
    assert reply.headers["x-request-id"] not in given
    assert [one.refused for one in seen] == ["RequestIdError"]


@pytest.mark.parametrize(
    ("path", "model", "expected"),
    [
        (CHAT, "smollm2", (200, "base", None)),
        (CHAT, "smollm2:france", (200, "france", None)),
        (CHAT, "smollm2:spain", (404, None, "UnknownProfileError")),
        ("/nowhere", "smollm2:france", (404, "france", None)),
    ],
)
def test_the_end_of_a_request_is_told_once(
    server: Server, seen: list[Exchange], path: str, model: str, expected: tuple[Any, ...]
) -> None:
    assert server.post(path, json={"model": model}).status_code == expected[0]
    [one] = seen
    assert (one.status, one.variant.name if one.variant else None, one.refused) == expected
    assert 0 < one.seconds < 5


def test_a_refusal_of_a_route_is_noted(server: Server, seen: list[Exchange]) -> None:
    assert server.request("DELETE", "/v1/unlearning/profiles/spain").status_code == 404
    assert [one.refused for one in seen] == ["UnknownProfileError"]


def test_an_application_that_fails_is_a_500(server: Server, seen: list[Exchange]) -> None:
    @server.app.post("/v1/broken")
    async def broken() -> None:
        raise OSError

    with pytest.raises(OSError):
        server.post("/v1/broken", json={})
    assert [one.status for one in seen] == [500]


def test_a_stream_is_told_of_when_it_ends(server: Server, seen: list[Exchange]) -> None:
    async def use(client: httpx.AsyncClient) -> None:
        server.gate.set()
        await client.post("/v1/stream", json={"model": "smollm2:france"})

    server.run(use)
    assert [(one.status, one.route) for one in seen] == [(200, "/v1/stream")]


def test_a_line_of_log_says_who_what_and_how(caplog: pytest.LogCaptureFixture) -> None:
    exchange = Exchange("r", "alice", Variant("france", DIGEST), None, "POST", CHAT, 200, 1.0, 1.5)
    expected = {
        "request": "r", "key": "alice", "profile": "france", "digest": DIGEST[:12],
        "method": "POST", "route": CHAT, "status": 200, "ms": 500.0, "refused": None,
    }  # fmt: skip
    found = access_log.document(exchange)
    assert found.pop("time")
    assert found == expected
    log = access_log.observer("text")
    assert log is not None
    with caplog.at_level(logging.INFO, access_log.logger.name):
        log(exchange)
    assert f'profile="france" digest="{DIGEST[:12]}"' in caplog.text
    assert access_log.observer("off") is None


@pytest.fixture
def own_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("handlers", "propagate", "level"):
        monkeypatch.setattr(access_log.logger, name, getattr(access_log.logger, name))


def written() -> None:
    [handler] = access_log.logger.handlers
    assert isinstance(handler, access_log.StandardOutput)
    handler.thread.submit(lambda: None).result(30)


@pytest.mark.usefixtures("own_logger")
def test_a_reader_of_the_log_who_is_slow_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    read = threading.Event()
    monkeypatch.setattr(os, "write", lambda *_: read.wait(30))
    log = access_log.observer("json")
    assert log is not None
    for _ in range(3):
        log(Exchange("r"))
    assert not read.is_set()
    read.set()
    written()


@pytest.mark.usefixtures("own_logger")
def test_lines_beyond_those_that_may_wait_are_lost_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(access_log, "MAX_WAITING", 0)
    log = access_log.observer("json")
    assert log is not None
    log(Exchange("r"))
    assert "Full" in capsys.readouterr().err


def test_a_process_that_ends_writes_the_lines_that_wait() -> None:
    code = (
        "import multiprocessing; from lethe_server import access_log\n"
        "from lethe_server.exchange import Exchange\n"
        "def run():\n"
        "    log = access_log.observer('json')\n"
        "    for n in range(2000): log(Exchange(str(n)))\n"
        "child = multiprocessing.get_context('fork').Process(target=run)\n"
        "child.start(); child.join(); run()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=60, stdout=subprocess.PIPE
    )
    found = [json.loads(line)["request"] for line in done.stdout.splitlines()]
    assert found == [str(n) for n in range(2000)] * 2


@pytest.mark.usefixtures("own_logger")
def test_a_line_of_json_is_a_document_alone(capfd: pytest.CaptureFixture[str]) -> None:
    log = access_log.observer("json")
    assert log is not None
    log(Exchange("line\nbreak", route="/" + "x" * 999))
    written()
    [line] = capfd.readouterr().out.splitlines()
    found = json.loads(line)
    assert found["request"] == "line\nbreak"
    assert len(found["route"]) == access_log.MAX_ROUTE


@pytest.mark.parametrize(
    "wrong",
    [{"log": "xml"}, {"audit_requests": "some"}, {"audit_requests": "1.5"}, {"sampled": 1}],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match="expected"):
        Settings.parse(wrong)


def test_requests_are_counted_by_profile_and_refusals_by_reason(
    server: Server, registry: CollectorRegistry
) -> None:
    for model in ("smollm2", "smollm2:france", "smollm2:france", "smollm2:spain"):
        server.post(CHAT, json={"model": model})
    value = registry.get_sample_value
    count = "lethe:requests_total"
    assert value(count, {"profile": "france", "status": "2xx"}) == 2
    assert value(count, {"profile": "base", "status": "2xx"}) == 1
    assert value("lethe:refusals_total", {"reason": "UnknownProfileError"}) == 1
    assert value("lethe:request_seconds_count", {"profile": "france"}) == 2
    assert "spain" not in str([*registry.collect()])


def rank(**edited: int) -> dict[str, Any]:
    sites = {
        digest: {"layers.0.mlp": tokens, "layers.1.mlp": 1} for digest, tokens in edited.items()
    }
    sizes = {"registered_bytes": 40, "held_bytes": 20}
    return {"registered": 2, "held": 1, **sizes, "evictions": 3, "waiting": 4, "edited": sites}


def test_what_the_engines_say_is_asked_when_metrics_are_read(
    server: Server, registry: CollectorRegistry
) -> None:
    unnamed = "f" * 64
    server.engine.figures = [[rank(**{DIGEST: 9, unnamed: 5})] * 2, [rank(**{DIGEST: 7})] * 2]
    assert server.request("GET", "/metrics").status_code == 200
    expected = {
        "profiles_registered": 2, "profiles_held": 1, "profile_bytes_registered": 160,
        "profile_bytes_held": 80, "profile_evictions": 6, "requests_waiting_for_room": 8,
    }  # fmt: skip
    for name, value in expected.items():
        assert registry.get_sample_value(f"lethe:{name}") == value, name
    edited = [
        (sample.labels, sample.value)
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "lethe:edited_tokens"
    ]
    assert edited == [({"profile": "france"}, 16)]


def test_an_engine_that_does_not_say_leaves_the_metrics_as_they_were(
    server: Server, registry: CollectorRegistry
) -> None:
    server.engine.figures = [[rank()]]
    server.request("GET", "/metrics")
    server.engine.figures = [[{}]]
    assert server.request("GET", "/metrics").status_code == 200
    assert registry.get_sample_value("lethe:profiles_registered") == 2


def test_the_series_of_a_deleted_profile_end(server: Server, registry: CollectorRegistry) -> None:
    server.engine.figures = [[rank(**{DIGEST: 9})]]
    server.post(CHAT, json={"model": "smollm2:france"})
    server.request("GET", "/metrics")
    assert "france" in str([*registry.collect()])
    server.request("DELETE", "/v1/unlearning/profiles/france")
    server.request("GET", "/metrics")
    assert "france" not in str([*registry.collect()])
    server.post(CHAT, json={"model": "smollm2"})
    assert "'base'" in str([*registry.collect()])


def test_names_of_compositions_are_bounded(metrics: Metrics, registry: CollectorRegistry) -> None:
    for number in range(MAX_COMPOSITIONS + 5):
        metrics.generated_by(Generation(Variant(f"a+b{number}", DIGEST), 2, 3, 0.1))
    metrics.generated_by(Generation(Variant("a+b0", DIGEST), 2, 3, None))
    tokens = "lethe:generation_tokens_total"
    assert registry.get_sample_value(tokens, {"profile": OTHERS}) == 15
    assert registry.get_sample_value(tokens, {"profile": "a+b0"}) == 6
    first = "lethe:time_to_first_token_seconds_count"
    assert registry.get_sample_value(first, {"profile": "a+b0"}) == 1


def test_loads_and_their_failures_are_counted(
    metrics: Metrics, registry: CollectorRegistry, server: Server
) -> None:
    rpc = metrics.loading(server.engine.collective_rpc)
    asyncio.run(rpc("lethe_load", args=("a", b"")))
    asyncio.run(rpc("lethe_unload", args=("a",)))
    server.engine.refused.add("b")
    with pytest.raises(RuntimeError):
        asyncio.run(rpc("lethe_load", args=("b", b"")))
    value = registry.get_sample_value
    assert value("lethe:profile_loads_total") == 1
    assert value("lethe:profile_load_failures_total") == 1
    assert value("lethe:profile_load_seconds_count") == 1
