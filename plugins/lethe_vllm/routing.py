"""Which token of a batch belongs to which variant. Host work only, once per step.

Assumes: a batch is the concatenation of its requests' tokens, in the runner's order.
Guarantees: tokens of the base, and tokens outside a variant's scopes, have no slot. The cost is
O(requests + tokens), whatever the number of layers or of profiles; nothing when all is base.

A variant with scopes has a slot of its own for each kind of token (`lethe_projections.scope`), so
that a scope is a matter of routing and costs the edit nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lethe_projections.scope import KINDS, kind

NO_SLOT = -1
Slots = tuple[int, ...]
"""By `scope.kind`, the slot of a profile's factors in the bank; NO_SLOT where it leaves tokens
alone."""

BASE: Slots = (NO_SLOT,) * KINDS


@dataclass(frozen=True)
class Batch:
    """One step's requests, in the runner's order.

    Attributes:
        request_ids: R of them.
        counts: [R] tokens of each in this step.
        starts: [R] position of the first of them in its request.
        prompt_tokens: [R] length of each request's prompt.
    """

    request_ids: Sequence[str]
    counts: NDArray[np.int32]
    starts: NDArray[np.int32]
    prompt_tokens: NDArray[np.int32]


class Router:
    """Remembers each running request's variant and says each token's slot."""

    def __init__(self) -> None:
        self._requests: dict[str, Slots] = {}

    def start(self, request_id: str, slots: Slots = BASE) -> None:
        """A request enters the worker (again, if its id was used before).

        Args:
            request_id: its id.
            slots: its profile's.
        """
        self._requests.pop(request_id, None)
        if slots != BASE:
            self._requests[request_id] = slots

    def finish(self, request_id: str) -> None:
        """A request left the engine."""
        self._requests.pop(request_id, None)

    def route(self, batch: Batch) -> NDArray[np.int64] | None:
        """[tokens] slot of each, or None when every token is the base's."""
        if not self._requests:
            return None
        found = [self._requests.get(request_id, BASE) for request_id in batch.request_ids]
        slots = np.array(found, dtype=np.int64).reshape(-1, KINDS)
        per_token = _per_token(slots, batch)
        return per_token if (per_token >= 0).any() else None


def _per_token(slots: NDArray[np.int64], batch: Batch) -> NDArray[np.int64]:
    """[tokens] slot of each, from [R, kinds] slots of each request."""
    if (slots == slots[:, :1]).all():
        return np.repeat(slots[:, 0], batch.counts)
    owner = np.repeat(np.arange(len(slots)), batch.counts)
    firsts = np.cumsum(batch.counts) - batch.counts
    positions = np.arange(len(owner)) + (batch.starts - firsts)[owner]
    of_kind: NDArray[np.int64] = slots[owner, kind(positions, batch.prompt_tokens[owner])]
    return of_kind
