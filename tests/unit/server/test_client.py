"""The client: what it sends, what it returns, and what it makes of errors."""

import json
from collections.abc import Callable

import httpx
import pytest

from lethe_server.client import Client, ServerError

Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler, key: str | None = None) -> Client:
    return Client("http://server/", key, httpx.MockTransport(handler))


def answering(status: int, **response: object) -> Client:
    return client(lambda _: httpx.Response(status, **response))  # type: ignore[arg-type]


def test_each_method_sends_its_body_and_the_key_and_returns_json() -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        body = request.read().decode()
        return httpx.Response(200, json=[request.method, str(request.url), body])

    asked = client(echo)
    assert asked.get("/a?b=c") == ["GET", "http://server/a?b=c", ""]
    assert asked.post("/a", {"b": 1}) == ["POST", "http://server/a", '{"b":1}']
    assert asked.put("/a", b"\x00bytes") == ["PUT", "http://server/a", "\x00bytes"]
    assert asked.delete("/a") == ["DELETE", "http://server/a", ""]
    headers: list[httpx.Headers] = []

    def note(request: httpx.Request) -> httpx.Response:
        headers.append(request.headers)
        return httpx.Response(204)

    assert client(note, "secret").delete("/a") is None
    client(note).delete("/a")
    assert [found.get("authorization") for found in headers] == ["Bearer secret", None]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"json": {"error": {"message": "expected a, found b", "code": 404}}}, "expected a, fo"),
        ({"json": {"error": "Unauthorized"}}, "Unauthorized"),
        ({"json": {"detail": "Not Found"}}, "Not Found"),
        ({"text": "upstream is gone"}, "upstream is gone"),
        ({}, "Not Found"),
    ],
)
def test_an_error_says_what_the_server_says(body: dict[str, object], says: str) -> None:
    for ask in (lambda one: one.get("/a"), lambda one: list(one.stream("/a", {}))):
        with pytest.raises(ServerError, match=says) as raised:
            ask(answering(404, **body))
        assert raised.value.status == 404
        assert "status 404" in str(raised.value)


def test_what_is_no_lethe_server_is_an_error() -> None:
    with pytest.raises(ServerError, match="expected JSON, found"):
        answering(200, text="<html>").get("/a")

    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused")

    with pytest.raises(ServerError, match="at http://server, found Connection refused") as raised:
        client(refuse).get("/a")
    assert raised.value.status is None
    with pytest.raises(ServerError, match="name another address"):
        Client("not an address").get("/a")


def test_a_stream_is_its_documents_up_to_the_end() -> None:
    lines = [": a comment", "event: x", *(f"data: {json.dumps({'n': n})}" for n in range(3))]
    whole = "\n\n".join([*lines, "data: [DONE]", 'data: {"n": 9}', ""])
    assert list(answering(200, text=whole).stream("/a", {})) == [{"n": 0}, {"n": 1}, {"n": 2}]
    with pytest.raises(ServerError, match="found it broken off"):
        list(answering(200, text="\n\n".join([*lines, ""])).stream("/a", {}))
