"""Which token of a batch belongs to which variant. Host work only, once per step.

Assumes: a batch is the concatenation of its requests' tokens, in the runner's order.
Guarantees: tokens of the base are in no group; each other token is in exactly one. The cost is
O(requests + tokens), whatever the number of layers or of loaded profiles; nothing when all is base.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
    """

    digests: tuple[str, ...]
    rows: Tensor | slice
    width: int
    valid: Tensor | None = None


class Router:
    """Remembers each running request's variant and lays out each step's batch."""

    def __init__(self) -> None:
        self._slots: dict[str, int] = {}
        self._digests: list[str] = []
        self._requests: dict[str, int] = {}

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
        return layout(slots, counts, self._digests)

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
    runs = [
        (digests[slot], order[start : start + size])
        for slot, start, size in zip(present, starts, sizes, strict=True)
        if slot >= 0
    ]
    runs.sort(key=lambda run: (-len(run[1]), run[0]))
    groups: list[Group] = []
    total = sum(len(rows) for _, rows in runs)
    while len(runs) > 1 and len(runs) * len(runs[0][1]) > PADDING_LIMIT * total:
        total -= len(runs[0][1])
        groups.append(_group(runs[:1]))
        runs = runs[1:]
    return (*groups, _group(runs)) if runs else tuple(groups)


def _group(runs: list[tuple[str, NDArray[np.int64]]]) -> Group:
    digests = tuple(digest for digest, _ in runs)
    width = len(runs[0][1])
    first = runs[0][1]
    if len(runs) == 1 and first[-1] - first[0] + 1 == width:
        return Group(digests, slice(int(first[0]), int(first[-1]) + 1), width)
    rows = np.concatenate([np.pad(rows, (0, width - len(rows)), mode="edge") for _, rows in runs])
    lengths = np.array([len(rows) for _, rows in runs])
    real = (np.arange(width) < lengths[:, None]).ravel()
    valid = None if real.all() else torch.from_numpy(np.flatnonzero(real))
    return Group(digests, torch.from_numpy(rows), width, valid)
