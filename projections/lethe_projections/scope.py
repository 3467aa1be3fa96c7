"""Which tokens of a request an edit is for, told by position alone.

A request's tokens are of three kinds: those of its prompt but the last, the last of its prompt, and
those it generated. A token's kind depends on its position and on the prompt's length, and on
nothing else: not on how a prefill was cut into chunks, nor on what came from a cache.
"""

from typing import Any, TypeVar

from numpy.typing import NDArray
from torch import Tensor

SCOPES = {
    "all": (True, True, True),
    "prompt": (True, True, False),
    "generated": (False, False, True),
    "last_prompt_token": (False, True, False),
}
"""For each scope, whether it takes in (the prompt but its last token, that last token, what was
generated)."""

KINDS = 3

_Positions = TypeVar("_Positions", Tensor, NDArray[Any])


def kind(positions: _Positions, prompt_tokens: _Positions) -> _Positions:
    """0 in the prompt, 1 at its last token, 2 past it:  [p >= n - 1] + [p >= n].

    Args:
        positions: 0-based places in the request.
        prompt_tokens: n, tokens of the prompt; broadcast against `positions`.
    """
    # Times one, because adding truth values means something else to torch and to numpy.
    return 1 * (positions >= prompt_tokens - 1) + 1 * (positions >= prompt_tokens)
