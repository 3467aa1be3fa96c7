"""Speaks to the application as a client would, without a socket. Knows nothing of what is said.

What is asked this way meets every middleware, so it gets what the same request from outside would
have got. A response streams, and whoever closes it early has hung up, as vLLM understands it:
cancelling its handlers from outside would leave requests running in the engine.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

import httpx
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Scope

logger = logging.getLogger("vllm.lethe")

CREDENTIALS = ("authorization", "x-api-key")
"""Headers by which a caller is known: they go along."""


def client_of(request: Request) -> httpx.AsyncClient:
    """A client of the application that handles `request`, with its caller's credentials."""
    known = {name: request.headers[name] for name in CREDENTIALS if name in request.headers}
    return httpx.AsyncClient(
        transport=Loopback(request.app), base_url="http://lethe", headers=known
    )


class Loopback(httpx.AsyncBaseTransport):
    """What httpx calls to send a request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Returns once the response has begun; 500 if the application failed before that."""
        call = _Call(await request.aread())
        call.task = asyncio.create_task(call.run(self._app, _scope(request)))
        try:
            status, headers = await call.begun
        except BaseException:
            await call.aclose()
            raise
        return httpx.Response(status, headers=headers, stream=call)


class _Call(httpx.AsyncByteStream):
    """One request in the application; iterated, the body of its response."""

    task: "asyncio.Task[None]"

    def __init__(self, body: bytes) -> None:
        self.begun: asyncio.Future[tuple[int, list[tuple[bytes, bytes]]]] = asyncio.Future()
        self._unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._left = asyncio.Event()
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception:
            # As uvicorn does; a response that has begun ends here, and its reader notices.
            logger.exception("%s failed, asked from within", scope["path"])
        finally:
            if not self.begun.done():
                self.begun.set_result((500, []))
            self._chunks.put_nowait(None)

    async def _receive(self) -> Message:
        if self._unread:
            return self._unread.pop()
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._left.is_set():
            return
        if message["type"] == "http.response.start":
            self.begun.set_result((message["status"], list(message["headers"])))
        elif message["type"] == "http.response.body":
            self._chunks.put_nowait(message.get("body", b""))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self._chunks.get()) is not None:
            yield chunk

    async def aclose(self) -> None:
        """Hangs up, and waits until the application has noticed."""
        self._left.set()
        await asyncio.wait([self.task])


def _scope(request: httpx.Request) -> Scope:
    return {
        "type": "http",
        # In later ones a response learns from `send` alone that its reader has left.
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.partition(b"?")[0],
        "query_string": request.url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": (request.url.host, request.url.port),
        "client": None,
    }
