"""A policy in front of the application: who is let in, what serves them, what is written down."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from lethe_projections import artifact
from lethe_server.exchange import exchange_of
from lethe_server.middleware import SelectVariant
from lethe_server.policy import keys
from lethe_server.policy.following import PolicyFile
from lethe_server.watching import Watching

from . import fakes
from .fakes import Server, make

CHAT = "/v1/chat/completions"
PROFILES = "/v1/unlearning/profiles"
EXPERIMENTS = "/v1/unlearning/experiments"
RELOAD = "/v1/unlearning/policy/reload"
OPEN, RESTRICTED, ADMIN = "lethe-open", "lethe-restricted", "lethe-admin"
FRANCE, SPAIN = make(1), make(2)
POLICY = f"""
version: 1
keys:
  - {{name: open, sha256: {keys.hashed(OPEN)}, profiles: "*", base: true, adapters: "*"}}
  - {{name: restricted, sha256: {keys.hashed(RESTRICTED)}, profiles: [france]}}
  - {{name: admin, sha256: {keys.hashed(ADMIN)}, profiles: [france], admin: true}}
"""


@pytest.fixture
def server(server: Server, tmp_path: Path) -> Server:
    server.serving.catalogue.put("france", FRANCE)
    server.serving.catalogue.put("spain", SPAIN)
    (tmp_path / "policy.yaml").write_text(POLICY)
    # As `serving.start` makes it.
    object.__setattr__(server.serving, "policy", PolicyFile(tmp_path / "policy.yaml"))
    return server


def ask(server: Server, key: str | None, path: str = CHAT, **more: Any) -> httpx.Response:
    headers = {**more.pop("headers", {}), **({} if key is None else {"x-api-key": key})}
    method = more.pop("method", "POST")
    if method == "POST":
        more.setdefault("json", {"model": "smollm2"})
    return server.request(method, path, headers=headers, **more)


def test_each_key_gets_its_default(server: Server) -> None:
    assert ask(server, RESTRICTED).json()["served_by"] == "france"
    assert ask(server, OPEN).json()["served_by"] == "base"
    assert ask(server, ADMIN).json()["served_by"] == "france"
    digest = artifact.digest(FRANCE)[:12]
    assert ask(server, RESTRICTED).headers["x-unlearning-profile"] == f"france@{digest}"


@pytest.mark.parametrize("name", ["base", "spain", "france+spain", "portugal"])
def test_a_restricted_key_gets_nothing_else(server: Server, name: str) -> None:
    for more in (
        {"headers": {"X-Unlearning-Profile": name}},
        {"json": {"model": f"smollm2:{name}"}},
    ):
        reply = ask(server, RESTRICTED, **more)
        assert reply.status_code == 403
        assert reply.json()["error"]["type"] == "PermissionDeniedError"
    assert not server.serving.answered
    assert not server.engine.calls


def test_a_profile_that_spares_tokens_is_refused_once_its_name_means_it(server: Server) -> None:
    server.serving.catalogue.put("france", make(3, scope="generated"))
    refused = ask(server, RESTRICTED)
    assert refused.status_code == 403
    assert "generated" in refused.json()["error"]["message"]
    assert ask(server, OPEN, headers={"X-Unlearning-Profile": "france"}).status_code == 200


def test_an_experiment_tells_and_records_nothing_of_an_arm_that_a_key_may_not_use(
    server: Server,
) -> None:
    arms = [{"name": "arm-1", "profile": "base"}, {"name": "arm-2", "profile": "spain"}]
    registry, records = server.serving.laboratory.registry, server.serving.laboratory.records
    policy = server.serving.policy
    object.__setattr__(server.serving, "policy", None)
    assert server.post(EXPERIMENTS, json={"name": "trial", "arms": arms}).status_code == 201
    object.__setattr__(server.serving, "policy", policy)
    headers = {"X-Unlearning-Experiment": "trial", "X-Unlearning-Unit": "u"}
    for more in ({}, {"X-Unlearning-Profile": "france"}):
        reply = ask(server, RESTRICTED, headers={**headers, **more})
        assert reply.status_code == 403
        assert "arm-" not in f"{reply.text} {reply.headers}"
        assert "spain" not in reply.text
    assert server.serving.laboratory.writer.flush()
    assert not list(records.export(registry.get("trial")))
    assert ask(server, OPEN, headers=headers).status_code == 200
    assert server.serving.laboratory.writer.flush()
    assert len(list(records.export(registry.get("trial")))) == 1


def test_who_is_unknown_learns_nothing_and_has_nothing_read(server: Server) -> None:
    async def body() -> Any:
        raise AssertionError("the body was read")
        yield b""

    async def use(client: httpx.AsyncClient) -> httpx.Response:
        headers = {"x-api-key": "lethe-unknown", "X-Unlearning-Profile": "portugal"}
        return await client.post(CHAT, content=body(), headers=headers)

    reply = server.run(use)
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert "france" not in reply.text
    assert "lethe-unknown" not in reply.text


def test_a_restricted_key_is_not_told_what_other_names_there_are(server: Server) -> None:
    server.request("DELETE", f"{PROFILES}/france", headers={"x-api-key": ADMIN})
    for reply in (
        ask(server, RESTRICTED),
        ask(server, RESTRICTED, headers={"X-Unlearning-Profile": "france"}),
        ask(server, RESTRICTED, f"{PROFILES}/france", method="GET"),
    ):
        assert reply.status_code == 404
        assert "spain" not in reply.text
    assert "spain" in ask(server, OPEN, headers={"X-Unlearning-Profile": "france"}).text


def test_a_probe_takes_part_in_nothing_and_none_of_it_is_read(server: Server) -> None:
    async def body() -> Any:
        raise AssertionError("the body was read")
        yield b""

    async def use(client: httpx.AsyncClient) -> httpx.Response:
        headers = {"X-Unlearning-Experiment": "trial", "X-Unlearning-Unit": "u"}
        return await client.post("/ping", content=body(), headers=headers)

    reply = server.run(use)
    assert (reply.status_code, "x-unlearning-profile" in reply.headers) == (200, False)
    assert not server.serving.answered


def test_a_probe_needs_no_key_and_may_have_any(server: Server) -> None:
    for key in (None, OPEN, RESTRICTED, "lethe-unknown"):
        assert ask(server, key, "/health", method="GET").status_code == 200
    headers = {"X-Unlearning-Profile": "spain"}
    assert ask(server, None, "/health", method="GET", headers=headers).status_code == 200


def test_what_a_red_probe_misses_is_told_to_those_who_administer(server: Server) -> None:
    server.engine.ranks = [[fakes.rank(1, **{"layers.0.mlp": "has no edit"})]]
    replies = {
        key: ask(server, key, "/health", method="GET")
        for key in (None, "lethe-unknown", RESTRICTED, OPEN, ADMIN)
    }
    assert {reply.status_code for reply in replies.values()} == {503}
    told = {key for key, reply in replies.items() if "layers.0.mlp" in reply.text}
    assert told == {ADMIN}
    assert "found one that cannot" in replies[None].json()["error"]["message"]


@pytest.mark.parametrize(
    ("key", "path", "asked"),
    [
        (None, "/metrics", 0),
        (RESTRICTED, "/metrics", 0),
        (ADMIN, "/metrics", 1),
        (ADMIN, f"{PROFILES}/metrics", 0),
    ],
)
def test_engines_are_asked_for_figures_by_who_may_read_them(
    server: Server, key: str | None, path: str, asked: int
) -> None:
    refreshed: list[bool] = []

    async def refresh() -> None:
        refreshed.append(True)

    object.__setattr__(server.serving, "watching", Watching(refresh=refresh))
    ask(server, key, path, method="GET")
    assert len(refreshed) == asked


def test_a_route_that_the_table_does_not_know_is_refused_to_restricted_keys(server: Server) -> None:
    server.gate.set()
    for key in (RESTRICTED, OPEN, ADMIN):
        assert ask(server, key, "/v1/stream").status_code == 403
    policy = server.serving.policy
    assert policy is not None
    policy.path.write_text(POLICY.replace('adapters: "*"', 'adapters: "*", admin: true'))
    assert ask(server, OPEN, "/v1/stream").status_code == 200


def test_lists_show_what_the_caller_may_see(server: Server) -> None:
    def names(key: str) -> list[str]:
        return [entry["id"] for entry in ask(server, key, PROFILES, method="GET").json()["data"]]

    assert names(RESTRICTED) == ["france"]
    assert names(OPEN) == names(ADMIN) == ["france", "spain"]
    statuses = {
        name: ask(server, RESTRICTED, f"{PROFILES}/{name}", method="GET").status_code
        for name in ("france", "spain", "portugal")
    }
    assert statuses == {"france": 200, "spain": 403, "portugal": 403}


def test_only_an_admin_changes_profiles(server: Server) -> None:
    for key, status in ((RESTRICTED, 403), (OPEN, 403), (None, 401), (ADMIN, 200)):
        assert ask(server, key, f"{PROFILES}/spain", method="DELETE").status_code == status


@pytest.mark.parametrize("condition", [{"If-None-Match": "*"}, {"If-Match": f'"{"0" * 64}"'}])
def test_a_precondition_tells_nobody_but_an_admin_what_a_name_means(
    server: Server, condition: dict[str, str]
) -> None:
    for key, status in ((RESTRICTED, 403), (OPEN, 403), (None, 401), (ADMIN, 412)):
        reply = ask(
            server, key, f"{PROFILES}/spain", method="PUT", content=FRANCE, headers=condition
        )
        assert reply.status_code == status
        assert (artifact.digest(SPAIN)[:12] in reply.text) == (key == ADMIN)


def test_a_comparison_is_asked_with_the_callers_key(server: Server) -> None:
    def compare(key: str, *names: str) -> httpx.Response:
        body = {"messages": [{"role": "user", "content": "Hi"}], "profiles": names}
        return ask(server, key, "/v1/unlearning/compare", json=body)

    assert [r["text"] for r in compare(OPEN, "base", "spain").json()["results"]] == [
        "as base",
        "as spain",
    ]
    assert compare(RESTRICTED, "france").json()["results"][0]["text"] == "as france"
    for names in (["base"], ["france", "spain"], ["portugal"]):
        assert compare(RESTRICTED, *names).status_code == 403


def test_an_admin_has_the_file_read_again(server: Server) -> None:
    policy = server.serving.policy
    assert policy is not None
    assert ask(server, RESTRICTED, RELOAD).status_code == 403
    found = ask(server, ADMIN, RELOAD).json()
    assert found == {
        "object": "unlearning.policy",
        "keys": ["open", "restricted", "admin"],
        "anonymous": False,
    }
    policy.path.write_text("version: 2")
    reply = ask(server, ADMIN, RELOAD)
    assert reply.status_code == 409
    assert "line 1, version: expected 1" in reply.json()["error"]["message"]
    assert str(policy.path.parent) not in reply.text
    assert ask(server, RESTRICTED).json()["served_by"] == "france"


def test_without_a_policy_there_is_nothing_to_reload(server: Server) -> None:
    object.__setattr__(server.serving, "policy", None)
    assert server.post(RELOAD).status_code == 409
    assert server.post(CHAT, json={"model": "smollm2:spain"}).json()["served_by"] == "spain"


def test_the_exchange_has_the_keys_name_and_nothing_more_of_it(server: Server) -> None:
    seen: list[str | None] = []

    class Watch:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.app(scope, receive, send)
            if scope["type"] == "http":
                seen.append(exchange_of(scope).key)

    server.app.add_middleware(Watch)
    for key in (OPEN, RESTRICTED, "lethe-unknown", None):
        ask(server, key)
    ask(server, RESTRICTED, RELOAD)
    assert seen == ["open", "restricted", None, None, "restricted"]


@pytest.mark.parametrize(
    ("key", "path", "accepted"),
    [
        (OPEN, "/v1/realtime", True),
        (RESTRICTED, "/v1/realtime", False),
        (ADMIN, "/v1/realtime", False),
        (None, "/v1/realtime", False),
        (OPEN, "/v1/other", False),
    ],
)
def test_a_websocket_needs_a_key_that_may_use_everything(
    server: Server, key: str | None, path: str, accepted: bool
) -> None:
    reached, sent = [], []

    async def app(*_: Any) -> None:
        reached.append(True)

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [] if key is None else [(b"authorization", f"Bearer {key}".encode())]
    scope = {"type": "websocket", "path": path, "headers": headers, "app": server.app}
    asyncio.run(SelectVariant(app)(scope, receive, send))  # type: ignore[arg-type]
    assert bool(reached) is accepted
    assert [message["code"] for message in sent] == ([] if accepted else [1008])
    assert all(len(message["reason"].encode()) <= 123 for message in sent)


def test_a_path_is_judged_below_where_the_application_is_mounted(server: Server) -> None:
    server.app.root_path = "/api"
    assert ask(server, RESTRICTED, f"/api{CHAT}").json()["served_by"] == "france"
    assert ask(server, RESTRICTED, CHAT).json()["served_by"] == "france"
    assert ask(server, RESTRICTED, f"/api{RELOAD}").status_code == 403
    assert ask(server, RESTRICTED, f"/api/api{CHAT}").status_code == 403
