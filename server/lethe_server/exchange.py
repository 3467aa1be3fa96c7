"""What becomes known of an HTTP request while it is handled. Knows nothing of the engine.

It travels in the ASGI scope, made by the outermost middleware: who handles the request writes down
what it finds out, and who counts, logs or audits reads it at the end.
"""

from dataclasses import dataclass

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
    """

    request_id: str = ""
    key: str | None = None
    variant: Variant | None = None
    refused: str | None = None


def exchange_of(scope: Scope) -> Exchange:
    """The request's own; made at the first call."""
    exchange: Exchange = scope.setdefault(_KEY, Exchange())
    return exchange
