"""Turns vLLM's green answer to a health probe red while a declared site is not installed.

A probe that vLLM itself answers with an error is left alone: then nothing serves.
"""

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lethe_server import errors
from lethe_server.health import Missing, message
from lethe_server.middleware import path
from lethe_server.policy.guard import admitted
from lethe_server.serving import Serving
from lethe_vllm.errors import UnavailableError

PROBES = ("/health", "/ping")
"""vLLM's probe, and the same under SageMaker's name."""

UNHEALTHY = (
    "health: expected a server that can serve every variant, found one that cannot; its log, and "
    "a key with 'admin: true', tell what is missing"
)


class RedWhileSitesAreMissing:
    """The middleware. `app.state.lethe` must be a `Serving`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or path(scope) not in PROBES:
            await self.app(scope, receive, send)
            return
        serving: Serving = scope["app"].state.lethe
        red = False

        async def send_unless_red(sent: Message) -> None:
            nonlocal red
            if sent["type"] == "http.response.start" and sent["status"] < 400:
                missing = await serving.health.missing()
                if missing:
                    red = True
                    with admitted(scope, path(scope), serving.policy) as permit:
                        answer = response(missing if permit.caller.admin else None)
                    await answer(scope, receive, send)
            if not red:
                await send(sent)

        await self.app(scope, receive, send_unless_red)


def response(missing: Missing | None) -> JSONResponse:
    """The red answer: OpenAI's error body, and what is missing by rank.

    Args:
        missing: None for who may not know it.
    """
    status = UnavailableError.http_status
    kind = errors.TYPES[status]
    if missing is None:
        return JSONResponse(errors.body(UNHEALTHY, kind, status), status_code=status)
    body = {**errors.body(message(missing), kind, status), "missing": missing}
    return JSONResponse(body, status_code=status)
