"""The outermost middleware: makes the exchange of a request, and hands it on when that is done.

Gives every request an id. Knows nothing of who observes, nor of what a request is for.
"""

import re
import time
import uuid

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lethe_server import bodies, errors
from lethe_server.errors import RequestIdError
from lethe_server.exchange import Exchange, current, exchange_of
from lethe_server.serving import Serving

HEADER = "X-Request-Id"

_KEY = HEADER.lower()
_ID = re.compile(r"[!-~]{1,128}")


class Observe:
    """The middleware. `app.state.lethe` must be a `Serving`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = exchange_of(scope)
        exchange.method, exchange.route = scope["method"], scope["path"]
        token = current.set(exchange)
        try:
            await self._handle(exchange, scope, receive, _noted(exchange, send))
        except Exception:
            # The application answers it further out, unless it has begun to answer.
            exchange.status = exchange.status or 500
            raise
        finally:
            current.reset(token)
            exchange.ended = time.perf_counter()
            serving: Serving = scope["app"].state.lethe
            for observe in serving.watching.observers:
                observe(exchange)

    async def _handle(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            given = request_id(bodies.header_values(scope, _KEY))
        except RequestIdError as error:
            exchange.request_id, exchange.refused = uuid.uuid4().hex, type(error).__name__
            await errors.response(error)(scope, receive, send)
            return
        exchange.request_id = given or uuid.uuid4().hex
        if given is None:
            # vLLM's own id of the request is made of this header.
            scope["headers"] = [*scope["headers"], (_KEY.encode(), exchange.request_id.encode())]
        await self.app(scope, receive, send)


def request_id(values: list[str]) -> str | None:
    """The id that a client gives its request; None if it gives none.

    Raises:
        RequestIdError: it could not stand in a log, or there are several.
    """
    different = set(values)
    if not different:
        return None
    found = different.pop()
    if different or _ID.fullmatch(found) is None:
        raise RequestIdError(
            f"{HEADER}: expected one of 1 to 128 printable ASCII characters without spaces, found "
            f"{', '.join(repr(value[:80]) for value in sorted({found, *different})[:3])}; send "
            "another, or none"
        )
    return found


def _noted(exchange: Exchange, send: Send) -> Send:
    """A channel that writes the status down, and the id into the response."""

    async def send_noted(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            MutableHeaders(raw=message["headers"])[HEADER] = exchange.request_id
        await send(message)

    return send_noted
