"""What becomes known of an HTTP request while it is handled. Knows nothing of the engine.

It travels in the ASGI scope, made by the outermost middleware: who handles the request writes down
what it finds out, and who counts, logs or audits reads it at the end.
"""

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from starlette.types import Scope

from lethe_vllm.selection import Variant

_KEY = "lethe.exchange"


@dataclass
class Exchange:
    """One HTTP request and its response.

    Attributes:
        request_id: its `X-Request-Id`, or one made up; vLLM's own id contains it.
        key: name of the policy's key that it came with; None without one.
        variant: what serves it, once that is decided; None for a request that generates nothing.
        refused: the name of the error's class, if Lethe refused it.
        method: of HTTP.
        route: its path, without the query.
        status: of the response; None if the client left before it began.
        began: `time.perf_counter` when it came.
        ended: and when it was done.
    """

    request_id: str = ""
    key: str | None = None
    variant: Variant | None = None
    refused: str | None = None
    method: str = ""
    route: str = ""
    status: int | None = None
    began: float = field(default_factory=time.perf_counter)
    ended: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it took, the whole of a streamed response included."""
        return self.ended - self.began


Observer = Callable[[Exchange], None]
"""Told of each exchange once, at its end. Takes microseconds and raises nothing."""

current: ContextVar[Exchange | None] = ContextVar("lethe_exchange", default=None)
"""The exchange being handled, for whoever has no scope at hand."""


def exchange_of(scope: Scope) -> Exchange:
    """The request's own; made at the first call."""
    exchange: Exchange = scope.setdefault(_KEY, Exchange())
    return exchange
