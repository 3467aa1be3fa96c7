"""A health probe is red while a rank misses a site, and otherwise vLLM's own."""

import asyncio
import time

import httpx
import pytest

from lethe_server import health, recent
from lethe_server.health import Health

from .fakes import Server, rank

BROKEN = [[rank(0), rank(1, **{"layers.0.mlp": "LlamaMLP.forward has no edit"})], [rank(0)]]
PROBES = [("GET", "/health"), ("GET", "/ping"), ("POST", "/ping")]


@pytest.mark.parametrize(("method", "path"), PROBES)
def test_a_probe_is_vllms_while_nothing_is_missing(server: Server, method: str, path: str) -> None:
    reply = server.request(method, path)
    assert (reply.status_code, reply.content) == (200, b"")


@pytest.mark.parametrize(("method", "path"), PROBES)
def test_a_probe_is_red_and_says_what_is_missing_where(
    server: Server, method: str, path: str
) -> None:
    server.engine.ranks = BROKEN
    reply = server.request(method, path)
    assert reply.status_code == 503
    body = reply.json()
    assert body["missing"] == {"engine 0, rank 1": {"layers.0.mlp": "LlamaMLP.forward has no edit"}}
    for word in ("engine 0, rank 1: layers.0.mlp", "no edit", "expected", "found"):
        assert word in body["error"]["message"]
    assert (body["error"]["type"], body["error"]["code"]) == ("ServiceUnavailableError", 503)


def test_vllms_own_failure_is_left_alone(server: Server) -> None:
    server.engine.health, server.engine.ranks = 503, BROKEN
    reply = server.request("GET", "/health")
    assert (reply.status_code, reply.content) == (503, b"")
    assert server.engine.checks == 0


def test_other_paths_are_not_touched(server: Server) -> None:
    server.engine.ranks = BROKEN
    assert server.request("GET", "/v1/unlearning/profiles").status_code == 200
    assert server.engine.checks == 0


def test_many_probes_ask_the_engine_once(server: Server) -> None:
    async def use(client: httpx.AsyncClient) -> list[int]:
        together = await asyncio.gather(*(client.get("/health") for _ in range(20)))
        return [reply.status_code for reply in (*together, await client.get("/health"))]

    assert server.run(use) == [200] * 21
    assert server.engine.checks == 1


def test_an_old_answer_is_asked_again_and_goes_red_and_green(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "FRESH", 0.0)
    healthy = server.engine.ranks
    seen = []
    for ranks in (healthy, BROKEN, healthy):
        server.engine.ranks = ranks
        seen.append(server.request("GET", "/health").status_code)
    assert seen == [200, 503, 200]


def test_a_busy_engine_keeps_its_last_answer(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "FRESH", 0.0)
    monkeypatch.setattr(recent, "PATIENCE", 0.05)
    server.engine.ranks = BROKEN

    async def use(client: httpx.AsyncClient) -> list[int]:
        seen = [(await client.get("/health")).status_code]
        server.engine.busy, server.engine.ranks = True, [[rank(0)]]
        seen.append((await client.get("/health")).status_code)
        seen.append((await client.get("/health")).status_code)
        server.engine.busy = False
        seen.append((await client.get("/health")).status_code)
        return seen

    began = time.monotonic()
    assert server.run(use) == [503, 503, 503, 200]
    assert time.monotonic() - began < 5
    assert server.engine.checks == 2


def test_an_engine_that_fails_to_answer_is_red() -> None:
    async def ask() -> list[list[dict[str, object]]]:
        raise RuntimeError("no such method")

    missing = asyncio.run(Health(ask).missing())
    assert missing == {"every rank": {"every site": "no answer: no such method"}}


def test_what_changes_is_logged_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(recent, "FRESH", 0.0)
    monkeypatch.setattr(health.logger, "log", lambda level, form, text: said.append(text))
    server.engine.ranks = BROKEN
    for _ in range(3):
        server.request("GET", "/health")
    assert sum("layers.0.mlp" in text for text in said) == 1
