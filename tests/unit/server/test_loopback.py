"""The application as seen from within: what a client sees, and what a server would do to it."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lethe_server.loopback import Loopback, client_of


def client(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=Loopback(app), base_url="http://lethe")


def test_a_request_arrives_as_it_was_sent() -> None:
    app = FastAPI()

    @app.post("/echo")
    async def echo(request: Request) -> dict[str, Any]:
        return {
            "body": await request.json(),
            "query": dict(request.query_params),
            "header": request.headers["x-mine"],
        }

    async def run() -> Any:
        async with client(app) as asking:
            sent = {"params": {"a": "b"}, "headers": {"X-Mine": "yes"}}
            reply = await asking.post("/echo", json={"c": 1}, **sent)
            return reply.status_code, reply.json()

    assert asyncio.run(run()) == (
        200, {"body": {"c": 1}, "query": {"a": "b"}, "header": "yes"}
    )  # fmt: skip


def test_a_response_is_read_while_it_is_made() -> None:
    read = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def chunks() -> Any:
            yield "first"
            await asyncio.wait_for(read.wait(), 5)
            yield "second"

        await StreamingResponse(chunks())(scope, receive, send)

    async def run() -> list[str]:
        found = []
        async with client(app) as asking, asking.stream("GET", "/") as reply:
            async for text in reply.aiter_text():
                found.append(text)
                read.set()
        return found

    assert asyncio.run(run()) == ["first", "second"]


@pytest.mark.parametrize("begun", [True, False])
def test_who_stops_reading_has_hung_up(begun: bool) -> None:
    noticed: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        noticed.append((await receive())["type"])
        # Nobody listens to this any more.
        await send({"type": "http.response.body", "body": b"late"})

    async def run() -> None:
        async with client(app) as asking:
            if begun:
                async with asking.stream("GET", "/"):
                    assert not noticed
            else:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(asking.get("/"), 0.05)

    asyncio.run(run())
    assert noticed == ["http.disconnect"]


def test_an_application_that_fails_has_status_500_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("broken")

    async def run() -> httpx.Response:
        async with client(app) as asking:
            return await asking.get("/here")

    assert asyncio.run(run()).status_code == 500
    assert "/here failed" in caplog.text
    assert "ValueError: broken" in caplog.text


def test_credentials_go_along_and_nothing_else() -> None:
    app = FastAPI()
    seen: list[dict[str, str]] = []

    @app.get("/inner")
    async def inner(request: Request) -> None:
        seen.append(dict(request.headers))

    @app.get("/outer")
    async def outer(request: Request) -> None:
        async with client_of(request) as asking:
            await asking.get("/inner")

    async def run() -> None:
        headers = {"Authorization": "Bearer a", "X-Api-Key": "b", "X-Request-Id": "c"}
        async with client(app) as asking:
            await asking.get("/outer", headers=headers)

    asyncio.run(run())
    assert (seen[0]["authorization"], seen[0]["x-api-key"]) == ("Bearer a", "b")
    # vLLM names its requests by it, and two of one name are one too many.
    assert "x-request-id" not in seen[0]
