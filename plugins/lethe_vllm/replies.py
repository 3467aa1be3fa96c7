"""How a rank says that it failed. Knows nothing of what was asked.

As a reply like any other: vLLM's executor stops reading at the first rank that raises, and would
take what the ranks after it had to say for their answers to later calls, steps of the model among
them.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from lethe_projections.errors import LetheError
from lethe_vllm.errors import UnavailableError

_FAILED = "lethe_failed"


def replying(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a worker that replies with its failure in place of raising it."""

    @functools.wraps(method)
    def reply(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except LetheError as error:
            return {_FAILED: str(error)}
        except Exception as error:  # noqa: BLE001, whatever it is, the other ranks reply
            return {_FAILED: f"{type(error).__name__}: {error}"}

    return reply


def checked(replies: Sequence[Any]) -> Sequence[Any]:
    """The replies of every rank.

    Raises:
        UnavailableError: one says that it failed.
    """
    for rank, reply in enumerate(replies):
        if isinstance(reply, dict) and _FAILED in reply:
            where = f" (rank {rank})" if len(replies) > 1 else ""
            raise UnavailableError(f"{reply[_FAILED]}{where}")
    return replies
