"""What a generation was, told when it ends. Knows nothing of vLLM or of who wants to know.

One sequence of tokens is one generation: a request with `n` of 2 is two of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lethe_vllm.selection import Variant


@dataclass(frozen=True)
class Generation:
    """A sequence that the engine finished, or that was aborted.

    Attributes:
        variant: what generated it; of a composition without its parts.
        prompt_tokens: of its prompt, cached ones included. 0 if none was computed, and for all
            but the first of several sequences of one prompt, so that a prompt counts once.
        generated_tokens: that the client got, or would have got.
        seconds_to_first: from the request's arrival at vLLM to its first token; None if there was
            none, or vLLM measures nothing (`--disable-log-stats`).
    """

    variant: Variant
    prompt_tokens: int
    generated_tokens: int
    seconds_to_first: float | None


Ended = Callable[[Generation], None]
"""Told of each generation once."""
