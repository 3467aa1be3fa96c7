"""What the engines say is recent when `/metrics` is read by somebody who may read it."""

from starlette.types import ASGIApp, Receive, Scope, Send

from lethe_server.middleware import path
from lethe_server.serving import Serving

METRICS = ("/metrics", "/metrics/")


class RefreshMetrics:
    """The middleware, inside of what judges requests. `app.state.lethe` must be a `Serving`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and path(scope) in METRICS:
            serving: Serving = scope["app"].state.lethe
            await serving.watching.refresh()
        await self.app(scope, receive, send)
