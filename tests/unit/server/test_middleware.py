"""Selection through the application: what reaches the routes, and what comes back."""

import asyncio
import json
from contextlib import nullcontext
from typing import Any

import httpx
import pytest
from fastapi.responses import Response, StreamingResponse

from lethe_projections import artifact
from lethe_server import bodies
from lethe_server.middleware import SelectVariant
from lethe_vllm.selection import current

from .fakes import Server, make

CHAT = "/v1/chat/completions"
FRANCE = make(1)
DIGEST = artifact.digest(FRANCE)
NAMED = f"france@{DIGEST[:12]}"


@pytest.fixture
def server(server: Server) -> Server:
    server.serving.catalogue.put("france", FRANCE)
    return server


@pytest.mark.parametrize(
    ("headers", "model", "served_by", "named"),
    [
        ({}, "smollm2", "base", "base"),
        ({}, "unknown", "base", "base"),
        ({"X-Unlearning-Profile": "base"}, "smollm2", "base", "base"),
        ({"X-Unlearning-Profile": "france"}, "smollm2", "france", NAMED),
        (
            {"x-unlearning-profile": f"france@{DIGEST}"},
            "smollm2",
            "france",
            f"france@{DIGEST[:12]}",
        ),
        ({}, "smollm2:france", "france", NAMED),
        ({}, "org/model:8b:france", "france", NAMED),
    ],
)
def test_the_route_runs_as_the_selected_variant(
    server: Server, headers: dict[str, str], model: str, served_by: str, named: str
) -> None:
    reply = server.post(CHAT, json={"model": model}, headers=headers)
    assert reply.json()["served_by"] == served_by
    assert reply.headers["x-unlearning-profile"] == named


@pytest.mark.parametrize(
    ("headers", "model", "status"),
    [
        ({"X-Unlearning-Profile": "spain"}, "smollm2", 404),
        ({}, "smollm2:spain", 404),
        ({"X-Unlearning-Profile": "france@99999999"}, "smollm2", 404),
        ({"X-Unlearning-Profile": "FRANCE"}, "smollm2", 400),
        ({"X-Unlearning-Profile": "base"}, "smollm2:france", 400),
    ],
)
def test_a_refusal_has_openais_error_body(
    server: Server, headers: dict[str, str], model: str, status: int
) -> None:
    reply = server.post(CHAT, json={"model": model}, headers=headers)
    assert reply.status_code == status
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == status
    assert "expected" in error["message"]


def test_two_different_headers_are_refused(server: Server) -> None:
    headers = [("X-Unlearning-Profile", "base"), ("X-Unlearning-Profile", "france")]
    assert server.post(CHAT, json={}, headers=headers).status_code == 400


def test_the_body_reaches_the_route_byte_for_byte(server: Server) -> None:
    content = b'{ "model" :"smollm2:france",\n "x": 1.0, "y": "\\u00e9\xc3\xa9", "x": 2 }'
    headers = {"content-type": "application/json"}
    reply = server.post(CHAT, content=content, headers=headers)
    assert reply.json()["served_by"] == "france"
    assert reply.json()["body"].encode("latin-1") == content


def test_a_body_in_pieces_is_put_together(server: Server) -> None:
    content = json.dumps({"model": "smollm2:france", "pad": "x" * 1000}).encode()

    async def use(client: httpx.AsyncClient) -> httpx.Response:
        async def pieces() -> Any:
            for start in range(0, len(content), 100):
                yield content[start : start + 100]

        return await client.post(CHAT, content=pieces())

    assert server.run(use).json()["body"].encode() == content


def test_a_form_is_not_read_as_json(server: Server) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    reply = server.post(CHAT, content=b'{"model": "smollm2:france"}', headers=headers)
    assert reply.json()["served_by"] == "base"


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", CHAT),
        ("POST", "/v1/unlearning/compare"),
        ("POST", "/v1/unlearning/experiments"),
        ("PATCH", "/v1/unlearning/profiles/france"),
        ("DELETE", "/v1/unlearning/profiles/france"),
    ],
)
def test_a_body_over_the_limit_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch, method: str, path: str, announced: bool
) -> None:
    monkeypatch.setattr(bodies.read, "__defaults__", (100,))
    monkeypatch.setattr(bodies.check_declared_size, "__defaults__", (100,))

    async def use(client: httpx.AsyncClient) -> httpx.Response:
        async def pieces() -> Any:
            yield b"x" * 60
            yield b"x" * 60

        return await client.request(method, path, content=b"x" * 120 if announced else pieces())

    reply = server.run(use)
    assert reply.status_code == 413
    assert reply.json()["error"]["type"] == "ContentTooLargeError"
    assert "at most 100 bytes" in reply.json()["error"]["message"]


def test_a_stream_keeps_its_variant_to_the_end(server: Server) -> None:
    server.gate.set()
    reply = server.post("/v1/stream", json={"model": "smollm2:france"})
    assert reply.text.split() == ["france"] * 3 + ["end"]


def test_the_variant_is_forgotten_after_the_request(server: Server) -> None:
    async def use(client: httpx.AsyncClient) -> None:
        await client.post(CHAT, json={"model": "smollm2:france"})
        assert current.get() is None
        assert (await client.post(CHAT, json={"model": "smollm2"})).json()["served_by"] == "base"

    server.run(use)


def test_a_thousand_first_requests_read_and_load_a_profile_once(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue, read = server.serving.catalogue, list[str]()
    # As in another server process, which has not seen it yet.
    catalogue._profiles.clear()
    check = catalogue.check
    monkeypatch.setattr(catalogue, "check", lambda data: (read.append(DIGEST), check(data))[1])

    async def use(client: httpx.AsyncClient) -> list[str]:
        replies = await asyncio.gather(
            *(client.post(CHAT, json={"model": "smollm2:france"}) for _ in range(1000))
        )
        return [reply.json()["served_by"] for reply in replies]

    assert server.run(use) == ["france"] * 1000
    assert server.engine.calls == [("lethe_load", DIGEST)]
    assert read == [DIGEST]


@pytest.mark.parametrize(
    "fails",
    [
        "before it answers",
        b'data: {"error": {"code": 500}}',
        b'data: {"error": "cut',
        b"event: error",
        "badly",
    ],
)
def test_what_the_engine_failed_is_loaded_again(server: Server, fails: str | bytes) -> None:
    """Another server process may have had it unloaded."""

    @server.app.post("/v1/completions")
    async def complete() -> Response:
        if server.engine.calls.count(("lethe_load", DIGEST)) > 1:
            return Response("fine")
        if isinstance(fails, bytes):
            return StreamingResponse(iter([b"data: {}\n\n", fails + b"\n\n"]))
        if fails == "badly":
            raise OSError
        return Response(status_code=500)

    named = {"model": "smollm2:france"}
    with pytest.raises(OSError) if fails == "badly" else nullcontext():
        assert server.post("/v1/completions", json=named).text != "fine"
    assert [server.post("/v1/completions", json=named).text for _ in "ab"] == ["fine"] * 2
    assert server.engine.calls == [("lethe_load", DIGEST)] * 2


def test_a_stream_that_a_clients_own_mistake_ends_leaves_its_profile_loaded(
    server: Server,
) -> None:
    @server.app.post("/v1/completions")
    async def complete() -> Response:
        return StreamingResponse(iter([b'data: {"error": {"code": 400}}\n\n', b"data: [DONE]\n\n"]))

    for _ in range(2):
        server.post("/v1/completions", json={"model": "smollm2:france"})
    assert server.engine.calls == [("lethe_load", DIGEST)]


def test_a_profile_that_the_engine_refuses_is_unavailable(server: Server) -> None:
    server.engine.refused.add(DIGEST)
    reply = server.post(CHAT, json={"model": "smollm2:france"})
    assert reply.status_code == 503
    assert "canary" in reply.json()["error"]["message"]


def test_a_damaged_file_makes_its_profile_unavailable_and_no_other(server: Server) -> None:
    (server.serving.catalogue.folder / "broken.safetensors").write_bytes(FRANCE[:-1])
    assert server.post(CHAT, json={"model": "smollm2:broken"}).status_code == 503
    assert server.post(CHAT, json={"model": "smollm2:france"}).status_code == 200
    listed = server.request("GET", "/v1/unlearning/profiles").json()["data"]
    assert [profile["id"] for profile in listed] == ["france"]


def test_requests_are_counted_by_profile(server: Server) -> None:
    for model in ("smollm2", "smollm2:france", "smollm2:france", "smollm2:spain"):
        server.post(CHAT, json={"model": model})
    listed = server.request("GET", "/v1/unlearning/profiles").json()["data"]
    assert [profile["requests_served"] for profile in listed] == [2]


def test_a_selection_on_the_management_routes_is_refused(server: Server) -> None:
    headers = {"X-Unlearning-Profile": "france"}
    assert server.request("GET", "/v1/unlearning/profiles", headers=headers).status_code == 400


@pytest.mark.parametrize(("header", "accepted"), [([], True), ([b"france"], False)])
def test_a_websocket_that_names_a_profile_is_closed(
    server: Server, header: list[bytes], accepted: bool
) -> None:
    reached, sent = [], []

    async def app(*_: Any) -> None:
        reached.append(current.get())

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    headers = [(b"x-unlearning-profile", value) for value in header]
    scope = {"type": "websocket", "path": "/v1/realtime", "headers": headers, "app": server.app}
    asyncio.run(SelectVariant(app)(scope, receive, send))  # type: ignore[arg-type]
    assert bool(reached) is accepted
    assert sent == ([] if accepted else ["websocket.close"])


def test_a_request_without_room_is_refused_before_its_stream_begins(server: Server) -> None:
    server.serving.front_end.when_full = "refuse"
    server.gate.set()
    headers = {"X-Unlearning-Profile": "france"}
    statuses = []
    for room in ((True, False), (False, False), (False, True)):
        server.engine.room = room
        statuses.append(server.post("/v1/stream", json={}, headers=headers).status_code)
    assert statuses == [200, 503, 200]
    server.engine.room = (False, False)
    assert server.post("/v1/stream", json={}).status_code == 200
    server.serving.front_end.when_full = "wait"
    assert server.post("/v1/stream", json={}, headers=headers).status_code == 200
