"""Which token of a batch belongs to which variant. Host work only, once per step.

Assumes: a batch is the concatenation of its requests' tokens, in the runner's order.
Guarantees: tokens of the base are in no group; each other token is in exactly one. The cost is
O(requests + tokens), whatever the number of layers or of loaded profiles; nothing when all is base.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lethe_vllm.bank import Factors

PADDING_LIMIT = 2.0
"""Groups share one batched product while padding them to one length costs less than this times
their tokens. Measured on 4 cores: a batched product over 64 one-token groups takes 0.1 ms, a loop
over them 1.4 ms; padding a long prefill's group beside short ones would cost more than it saves."""

_BASE = -1


@dataclass(frozen=True)
class Group:
    """Tokens of some variants, to be edited by one batched product.

    Attributes:
        digests: G variants.
        rows: the tokens' positions in the batch, int64 [G * width]; or a slice, when G is 1 and
            they are contiguous, which saves the gather.
        width: tokens per variant, padding included (padding repeats a token of the variant).
        valid: int64 positions in `rows` that are not padding, or None if none is.
        stacks: by site index, the factors of `digests` once looked up, so that a layout that
            lasts over many steps looks them up once.
    """

    digests: tuple[str, ...]
    rows: Tensor | slice
    width: int
    valid: Tensor | None = None
    stacks: dict[int, Factors | None] = field(default_factory=dict, compare=False, repr=False)


class Router:
    """Remembers each running request's variant and lays out each step's batch."""

    def __init__(self) -> None:
        self._slots: dict[str, int] = {}
        self._digests: list[str] = []
        self._requests: dict[str, int] = {}
        self._last: tuple[tuple[bytes, bytes], tuple[Group, ...]] = ((b"", b""), ())

    def start(self, request_id: str, digest: str | None) -> None:
        """A request enters the worker (again, if its id was used before)."""
        self._requests.pop(request_id, None)
        if digest is not None:
            self._requests[request_id] = self._slot(digest)

    def finish(self, request_id: str) -> None:
        """A request left the engine."""
        self._requests.pop(request_id, None)

    def route(self, request_ids: Sequence[str], counts: NDArray[np.int32]) -> tuple[Group, ...]:
        """Lays out one step.

        Args:
            request_ids: the batch's requests, in order.
            counts: [requests] tokens of each in this step.

        Returns:
            The groups to edit, () when every token is the base's.
        """
        if not self._requests:
            return ()
        slots = np.fromiter(
            (self._requests.get(request_id, _BASE) for request_id in request_ids),
            dtype=np.int64,
            count=len(request_ids),
        )
        # While requests decode, step follows step with the same layout.
        key = (slots.tobytes(), counts.tobytes())
        if key != self._last[0]:
            self._last = (key, layout(slots, counts, self._digests))
        return self._last[1]

    def _slot(self, digest: str) -> int:
        slot = self._slots.setdefault(digest, len(self._digests))
        if slot == len(self._digests):
            self._digests.append(digest)
        return slot


def layout(
    slots: NDArray[np.int64], counts: NDArray[np.int32], digests: Sequence[str]
) -> tuple[Group, ...]:
    """Groups a batch's tokens by variant.

    Args:
        slots: [requests] index into `digests`, negative for the base.
        counts: [requests] tokens of each.
        digests: by slot.

    Returns:
        Groups, the largest variants first; variants of similar length share one.
    """
    per_token = np.repeat(slots, counts)
    order = np.argsort(per_token, kind="stable")
    present, starts, sizes = np.unique(per_token[order], return_index=True, return_counts=True)
    ranking = np.lexsort((present, -sizes))
    ranking = ranking[present[ranking] >= 0]
    present, starts, sizes = present[ranking], starts[ranking], sizes[ranking]
    groups: list[Group] = []
    for part in _parts(sizes):
        names = tuple(digests[slot] for slot in present[part])
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
    digests: tuple[str, ...],
    order: NDArray[np.int64],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int64],
) -> Group:
    """One group of variants whose tokens are `order[start : start + size]` each."""
    width = int(sizes[0])
    column = np.arange(width)
    rows = order[starts[:, None] + np.minimum(column, sizes[:, None] - 1)].ravel()
    if len(digests) == 1 and rows[-1] - rows[0] + 1 == width:
        return Group(digests, slice(int(rows[0]), int(rows[-1]) + 1), width)
    real = (column < sizes[:, None]).ravel()
    valid = None if real.all() else torch.from_numpy(np.flatnonzero(real))
    return Group(digests, torch.from_numpy(rows), width, valid)
