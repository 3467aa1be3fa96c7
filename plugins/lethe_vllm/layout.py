"""How the tokens of a batch are grouped by variant, so that few products edit them all.

Guarantees: a token with a slot is in exactly one group, others are in none.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lethe_vllm.factors import Factors

PADDING_LIMIT = 2.0
"""Groups share one batched product while padding them to one length costs less than this times
their tokens. Measured on 4 cores: a batched product over 64 one-token groups takes 0.1 ms, a loop
over them 1.4 ms; padding a long prefill's group beside short ones would cost more than it saves."""


@dataclass(frozen=True)
class Group:
    """Tokens of some variants, to be edited by one batched product.

    Attributes:
        slots: G slots of the bank.
        rows: the tokens' positions in the batch, int64 [G * width]; or a slice, when G is 1 and
            they are contiguous, which saves the gather.
        sizes: [G] tokens of each.
        width: tokens per variant, padding included (padding repeats a token of the variant).
        valid: int64 positions in `rows` that are not padding, or None if none is.
        stacks: by site index, the factors of `slots` once looked up, so that a layout that
            lasts over many steps looks them up once.
        runs: by site index, how often the op has edited these tokens there, not counted yet.
    """

    slots: tuple[int, ...]
    rows: Tensor | slice
    sizes: tuple[int, ...]
    width: int
    valid: Tensor | None = None
    stacks: dict[int, Factors | None] = field(default_factory=dict, compare=False, repr=False)
    runs: dict[int, int] = field(default_factory=dict, compare=False, repr=False)


def layout(per_token: NDArray[np.int64]) -> tuple[Group, ...]:
    """Groups a batch's tokens by variant.

    Args:
        per_token: [tokens] slot of each, negative for the base.

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
        groups.append(_group(tuple(present[part].tolist()), order, starts[part], sizes[part]))
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
    slots: tuple[int, ...],
    order: NDArray[np.int64],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int64],
) -> Group:
    """One group of variants whose tokens are `order[start : start + size]` each."""
    width, listed = int(sizes[0]), tuple(sizes.tolist())
    column = np.arange(width)
    rows = order[starts[:, None] + np.minimum(column, sizes[:, None] - 1)].ravel()
    if len(slots) == 1 and rows[-1] - rows[0] + 1 == width:
        return Group(slots, slice(int(rows[0]), int(rows[-1]) + 1), listed, width)
    real = (column < sizes[:, None]).ravel()
    valid = None if real.all() else torch.from_numpy(np.flatnonzero(real))
    return Group(slots, torch.from_numpy(rows), listed, width, valid)
