"""Which token of a batch belongs to which variant. Host work only, once per step.

Assumes: a batch is the concatenation of its requests' tokens, in the runner's order.
Guarantees: tokens of the base, and tokens outside a variant's scopes, are in no group; each other
token is in exactly one. The cost is O(requests + tokens), whatever the number of layers or of
loaded profiles; nothing when all is base.

A variant with scopes has a key of its own for each kind of token (`lethe_projections.scope`), so
that a scope is a matter of routing and costs the edit nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lethe_projections.scope import KINDS, kind
from lethe_vllm.bank import Factors

PADDING_LIMIT = 2.0
"""Groups share one batched product while padding them to one length costs less than this times
their tokens. Measured on 4 cores: a batched product over 64 one-token groups takes 0.1 ms, a loop
over them 1.4 ms; padding a long prefill's group beside short ones would cost more than it saves."""

_BASE = (None,) * KINDS
_NO_SLOT = -1


@dataclass(frozen=True)
class Group:
    """Tokens of some variants, to be edited by one batched product.

    Attributes:
        keys: G keys of the factor bank.
        rows: the tokens' positions in the batch, int64 [G * width]; or a slice, when G is 1 and
            they are contiguous, which saves the gather.
        width: tokens per variant, padding included (padding repeats a token of the variant).
        valid: int64 positions in `rows` that are not padding, or None if none is.
        stacks: by site index, the factors of `keys` once looked up, so that a layout that
            lasts over many steps looks them up once.
    """

    keys: tuple[str, ...]
    rows: Tensor | slice
    width: int
    valid: Tensor | None = None
    stacks: dict[int, Factors | None] = field(default_factory=dict, compare=False, repr=False)


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
    """Remembers each running request's variant and lays out each step's batch."""

    def __init__(self) -> None:
        self._slots: dict[str | None, int] = {None: _NO_SLOT}
        self._rows: dict[tuple[str | None, ...], int] = {_BASE: 0}
        self._requests: dict[str, int] = {}
        self._table = np.full((1, KINDS), _NO_SLOT)
        self._last: tuple[tuple[bytes, ...], tuple[Group, ...]] = ((), ())

    def start(self, request_id: str, keys: tuple[str | None, ...] = _BASE) -> None:
        """A request enters the worker (again, if its id was used before).

        Args:
            request_id: its id.
            keys: by kind of token, its factors in the bank; None leaves tokens alone.
        """
        self._requests.pop(request_id, None)
        if keys != _BASE:
            self._requests[request_id] = self._row(keys)

    def finish(self, request_id: str) -> None:
        """A request left the engine."""
        self._requests.pop(request_id, None)

    def route(self, batch: Batch) -> tuple[Group, ...]:
        """The groups to edit in this step, () when every token is the base's."""
        if not self._requests:
            return ()
        rows = np.fromiter(
            (self._requests.get(request_id, 0) for request_id in batch.request_ids),
            dtype=np.int64,
            count=len(batch.request_ids),
        )
        slots = self._token_slots(self._table[rows], batch)
        # While requests decode, step follows step with the same layout.
        key = (slots.tobytes(), batch.counts.tobytes())
        if key != self._last[0]:
            self._last = (key, layout(slots, [*self._slots][1:]))
        return self._last[1]

    def _token_slots(self, slots: NDArray[np.int64], batch: Batch) -> NDArray[np.int64]:
        """[tokens] slot of each, from [R, kinds] slots of each request."""
        if (slots == slots[:, :1]).all():
            return np.repeat(slots[:, 0], batch.counts)
        owner = np.repeat(np.arange(len(slots)), batch.counts)
        firsts = np.cumsum(batch.counts) - batch.counts
        positions = np.arange(len(owner)) + (batch.starts - firsts)[owner]
        of_kind: NDArray[np.int64] = slots[owner, kind(positions, batch.prompt_tokens[owner])]
        return of_kind

    def _row(self, keys: tuple[str | None, ...]) -> int:
        if keys not in self._rows:
            slots = [self._slots.setdefault(key, len(self._slots) - 1) for key in keys]
            self._rows[keys] = len(self._table)
            self._table = np.vstack([self._table, slots])
        return self._rows[keys]


def layout(per_token: NDArray[np.int64], keys: Sequence[str | None]) -> tuple[Group, ...]:
    """Groups a batch's tokens by variant.

    Args:
        per_token: [tokens] index into `keys`, negative for the base.
        keys: by slot.

    Returns:
        Groups, the largest variants first; variants of similar length share one.
    """
    order = np.argsort(per_token, kind="stable")
    present, starts, sizes = np.unique(per_token[order], return_index=True, return_counts=True)
    ranking = np.lexsort((present, -sizes))
    ranking = ranking[present[ranking] >= 0]
    present, starts, sizes = present[ranking], starts[ranking], sizes[ranking]
    groups: list[Group] = []
    for part in _parts(sizes):
        names = tuple(str(keys[slot]) for slot in present[part])
        groups.append(_group(names, order, starts[part], sizes[part]))
    return tuple(groups)


def _parts(sizes: NDArray[np.int64]) -> Iterator[slice]:
    """Cuts variants, largest first, so that padding each part stays within the limit."""
    first, total = 0, int(sizes.sum())
    while first < len(sizes):
        too_uneven = (len(sizes) - first) * int(sizes[first]) > PADDING_LIMIT * total
        end = first + 1 if too_uneven else len(sizes)
        yield slice(first, end)
        total -= int(sizes[first])
        first = end


def _group(
    keys: tuple[str, ...],
    order: NDArray[np.int64],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int64],
) -> Group:
    """One group of variants whose tokens are `order[start : start + size]` each."""
    width = int(sizes[0])
    column = np.arange(width)
    rows = order[starts[:, None] + np.minimum(column, sizes[:, None] - 1)].ravel()
    if len(keys) == 1 and rows[-1] - rows[0] + 1 == width:
        return Group(keys, slice(int(rows[0]), int(rows[-1]) + 1), width)
    real = (column < sizes[:, None]).ravel()
    valid = None if real.all() else torch.from_numpy(np.flatnonzero(real))
    return Group(keys, torch.from_numpy(rows), width, valid)
