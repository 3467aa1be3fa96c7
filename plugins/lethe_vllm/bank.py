"""The factors of every resident profile, as one worker holds them. Knows nothing of requests.

Factors are cut to this rank's shard and cast to the model's dtype once, when loaded.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lethe_projections.projector import Projector, Site

STACKS_PER_SITE = 4
"""Stacked factors kept per site: a batch's set of variants changes only when requests come or
go, so the last few sets serve nearly every step."""


@dataclass(frozen=True)
class Shard:
    """The slice of a `down_proj` input that this tensor-parallel rank sees."""

    rank: int = 0
    size: int = 1


@dataclass(frozen=True)
class Factors:
    """A stack of edits at one site, ranks padded with zeros to the largest.

    Attributes:
        A: [G, k, d_in].
        B: [G, k, d_out].
        a: [G, k], or None if no edit has a bias.
    """

    A: Tensor
    B: Tensor
    a: Tensor | None


class FactorBank:
    """Factors by digest, and stacks of them by site and set of digests."""

    def __init__(self, dtype: torch.dtype, device: torch.device, shard: Shard) -> None:
        self._dtype, self._device, self._shard = dtype, device, shard
        self._held: dict[str, dict[Site, Factors]] = {}
        self._stacks: dict[Site, OrderedDict[tuple[str, ...], Factors | None]] = {}

    def __contains__(self, digest: str) -> bool:
        return digest in self._held

    @property
    def digests(self) -> tuple[str, ...]:
        """Resident profiles, in order of loading."""
        return tuple(self._held)

    def add(self, digest: str, projectors: Iterable[Projector]) -> None:
        """Makes a profile's edits resident. `projectors` are those of this rank's layers."""
        self._held[digest] = {projector.site: self._own(projector) for projector in projectors}

    def remove(self, digest: str) -> None:
        """Forgets a profile. The caller knows that no running request uses it."""
        self._held.pop(digest, None)
        for stacks in self._stacks.values():
            for digests in [key for key in stacks if digest in key]:
                del stacks[digests]

    def stacked(self, site: Site, digests: tuple[str, ...]) -> Factors | None:
        """The factors of these profiles at this site; None if none of them edits it.

        A profile without an edit here gets zero factors, which add exactly nothing.

        Raises:
            KeyError: a profile is not resident. Raising stops the engine rather than serve
                the request unedited; admission in the engine core refuses it long before.
        """
        stacks = self._stacks.setdefault(site, OrderedDict())
        if digests not in stacks:
            stacks[digests] = _stack([self._held[digest].get(site) for digest in digests])
            if len(stacks) > STACKS_PER_SITE:
                stacks.popitem(last=False)
        stacks.move_to_end(digests)
        return stacks[digests]

    def _own(self, edit: Projector) -> Factors:
        """A stack of one, with what this rank reads and adds.

        Under tensor parallelism a `down_proj` reads a shard of columns, and partial products add
        up in vLLM's all-reduce; so the bias before it is rank 0's alone to add.
        """
        A, a = edit.A, edit.a
        if edit.site.hook == "down_proj":
            A = A.chunk(self._shard.size, dim=1)[self._shard.rank]
            a = a if self._shard.rank == 0 else None
        return Factors(self._cast(A), self._cast(edit.B), None if a is None else self._cast(a))

    def _cast(self, factor: Tensor) -> Tensor:
        return factor.to(self._device, self._dtype).contiguous()[None]


def _stack(edits: Sequence[Factors | None]) -> Factors | None:
    present = [edit for edit in edits if edit is not None]
    if len(present) == len(edits) == 1:
        return present[0]
    if not present:
        return None
    like = present[0]
    rank = max(edit.A.shape[1] for edit in present)
    A = like.A.new_zeros(len(edits), rank, like.A.shape[2])
    B = like.B.new_zeros(len(edits), rank, like.B.shape[2])
    a = like.A.new_zeros(len(edits), rank)
    for index, edit in enumerate(edits):
        if edit is not None:
            own = slice(edit.A.shape[1])
            A[index, own], B[index, own] = edit.A[0], edit.B[0]
            if edit.a is not None:
                a[index, own] = edit.a[0]
    return Factors(A, B, a if any(edit.a is not None for edit in present) else None)
