"""Which LoRA adapters a request may be served by. Knows nothing of vLLM or of HTTP.

vLLM picks an adapter by more than the model's name (a message part's `type`, for one), so the last
word is said where a request enters the engine.
"""

from collections.abc import Callable
from contextvars import ContextVar

Check = Callable[[str], None]
"""Given an adapter's name, raises what refuses it."""


def _any(name: str) -> None:
    pass


check: ContextVar[Check] = ContextVar("lethe_adapter_check", default=_any)
"""Of the request being handled; without one, every adapter may serve."""
