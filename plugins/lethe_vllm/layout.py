"""How the tokens of a batch are grouped by variant, so that few products edit them all.

Guarantees: a token with a slot is in exactly one group, others are in none.
"""

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lethe_vllm.factors import Factors

PADDING_LIMIT = 2.0
"""Variants share one product while padding them to one length, or to one rank, makes less than this
times their tokens, or rows. Measured on 4 cores: a batched product over 64 one-token variants takes
0.3 ms, a loop over them 3.9 ms; padding a long prefill beside short ones would cost more than it
saves."""

BLOCK = 4
"""Variants of one token each that are multiplied together. Measured on 4 cores in bfloat16, factors
read from memory, 64 variants of rank 1 and of rank 16, 256 of rank 16: 187, 260 and 839 us without,
94, 264 and 716 us with blocks of 4; larger ones compute more than they save."""

FEW_ROWS = 64
FEW_PRODUCTS = 1 << 13
"""All variants are multiplied together while their factors have at most so many rows, or rows times
tokens. Measured as above, 64 tokens in turns of 2, 8 and 32 variants of rank 1: 82, 91 and 115 us
together, 170, 163 and 235 us apart; 8 variants of rank 16: 147 and 198; of rank 64: 271 and 210;
512 tokens of 2 variants of rank 16: 178 and 309 us."""


@dataclass(frozen=True, eq=False)
class Group:
    """Tokens of some variants.

    Attributes:
        slots: G slots of the bank.
        rows: the tokens' positions in the batch, int64; or a slice, when they follow each other,
            which saves gathering and scattering them.
        stacks: by site index, the factors of `slots` as `products.py` wants them, once looked up,
            so that a layout that lasts over many steps looks them up once.
    """

    slots: tuple[int, ...]
    rows: Tensor | slice
    stacks: dict[int, Factors | None] = field(default_factory=dict, repr=False, kw_only=True)


@dataclass(frozen=True, eq=False)
class Together(Group):
    """Every token is multiplied by every variant's rows, and a mask leaves each its own.

    Attributes:
        owners: [tokens] int64 place in `slots` of each.
    """

    owners: Tensor
    _others: dict[int, Tensor] = field(default_factory=dict, repr=False)

    def others(self, rank: int) -> Tensor:
        """[tokens, G * rank] bool: the rows that are not those of the token's own variant."""
        if rank not in self._others:
            column = torch.arange(len(self.slots)).repeat_interleave(rank)
            self._others[rank] = self.owners[:, None] != column
        return self._others[rank]


@dataclass(frozen=True, eq=False)
class Apart(Group):
    """Each variant's tokens are multiplied by its own rows; `rows` has them variant by variant.

    Attributes:
        width: tokens per variant, padding included (padding repeats a token of the variant).
        valid: int64 positions in `rows` that are not padding, or None if none is.
    """

    width: int
    valid: Tensor | None = None

    @functools.cached_property
    def block(self) -> int:
        """How many variants' tokens are multiplied together all the same (`products.py`)."""
        return math.gcd(len(self.slots), BLOCK) if self.width == 1 else 1


@dataclass(frozen=True)
class Variants:
    """Those of a batch.

    Attributes:
        order: [tokens] positions in the batch, variant by variant.
        slots: [G] slots of the bank.
        starts: [G] where in `order` each one's tokens start.
        sizes: [G] how many they are.
    """

    order: NDArray[np.int64]
    slots: NDArray[np.int64]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def take(self, places: Any) -> "Variants":
        """Some of them, in this order."""
        return Variants(self.order, self.slots[places], self.starts[places], self.sizes[places])

    def tokens(self, place: int) -> NDArray[np.int64]:
        """Positions of one's tokens."""
        return self.order[self.starts[place] :][: self.sizes[place]]


def layout(per_token: NDArray[np.int64], ranks: Mapping[int, int]) -> tuple[Group, ...]:
    """Groups a batch's tokens by variant.

    Args:
        per_token: [tokens] slot of each, negative for the base.
        ranks: by slot, the largest of its edits'.

    Returns:
        Groups, the largest ranks first, among them the largest variants first; variants of similar
        rank and length share one.
    """
    order = np.argsort(per_token, kind="stable")
    present, starts, sizes = np.unique(per_token[order], return_index=True, return_counts=True)
    edited = present >= 0
    found = Variants(order, present[edited], starts[edited], sizes[edited])
    rank = np.array([ranks[slot] for slot in found.slots.tolist()], dtype=np.int64)
    ranking = np.argsort(-rank, kind="stable")
    parts = [ranking[part] for part in _parts(rank[ranking], within=2)]
    return tuple(group for part in parts for group in _of_one_rank(found, part, rank[part[0]]))


def _of_one_rank(found: Variants, part: NDArray[np.int64], rank: int) -> Iterator[Group]:
    """The groups of those variants whose ranks are padded to `rank`."""
    variants = found.take(np.sort(part))
    if len(variants.slots) * rank <= max(FEW_ROWS, FEW_PRODUCTS // variants.sizes.sum()):
        yield _together(variants)
        return
    # Among equals in the order of the batch, so that one token each is a slice of it.
    ranked = variants.take(np.lexsort((variants.order[variants.starts], -variants.sizes)))
    for cut in _parts(ranked.sizes):
        yield _apart(ranked.take(cut))


def _together(variants: Variants) -> Together:
    tokens = np.concatenate([variants.tokens(place) for place in range(len(variants.slots))])
    owners = np.repeat(np.arange(len(variants.slots)), variants.sizes)
    by_row = np.argsort(tokens, kind="stable")
    slots = tuple(variants.slots.tolist())
    return Together(slots, _as_slice(tokens[by_row]), torch.from_numpy(owners[by_row]))


def _parts(sizes: NDArray[np.int64], within: int = 1) -> Iterator[slice]:
    """Cuts sizes, largest first, so that padding each part to its first stays within the limit.

    Where it would not, those go together that are within this factor of the first.
    """
    first = 0
    while first < len(sizes):
        rest = sizes[first:]
        too_uneven = len(rest) * int(rest[0]) > PADDING_LIMIT * int(rest.sum())
        end = first + int((within * rest >= rest[0]).sum()) if too_uneven else len(sizes)
        yield slice(first, end)
        first = end


def _apart(variants: Variants) -> Group:
    """One group of these variants, the first of which has the most tokens."""
    if len(variants.slots) == 1:
        return _together(variants)
    slots, width = tuple(variants.slots.tolist()), int(variants.sizes[0])
    column, sizes = np.arange(width), variants.sizes[:, None]
    rows = variants.order[variants.starts[:, None] + np.minimum(column, sizes - 1)].ravel()
    real = (column < sizes).ravel()
    if not real.all():
        valid = torch.from_numpy(np.flatnonzero(real))
        return Apart(slots, torch.from_numpy(rows), width, valid)
    return Apart(slots, _as_slice(rows), width)


def _as_slice(rows: NDArray[np.int64]) -> Tensor | slice:
    """Positions as a slice if they follow each other."""
    if (np.diff(rows) == 1).all():
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return torch.from_numpy(rows)
