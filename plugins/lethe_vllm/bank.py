"""The factors of every resident profile, as one worker holds them. Knows nothing of requests.

Factors are cut to this rank's shard and cast to the model's dtype once, when loaded.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from lethe_projections.projector import Gate, Projector, Site
from lethe_projections.scope import KINDS, SCOPES

STACKS_PER_SITE = 4
"""Stacked factors kept per site: a batch's set of variants changes only when requests come or
go, so the last few sets serve nearly every step."""


@dataclass(frozen=True)
class Shard:
    """The slice of a `down_proj` input that this tensor-parallel rank sees."""

    rank: int = 0
    size: int = 1


@dataclass(frozen=True)
class Placement:
    """Where and how a worker runs its part of the model."""

    dtype: torch.dtype
    device: torch.device
    shard: Shard = Shard()


@dataclass(frozen=True)
class Gates:
    """One gate for each row of a stack.

    In float32 whatever the model's dtype: the sign of a sum decides a hard threshold, and half
    precision would round it away.

    Attributes:
        w: [G, k, d_in].
        b: [G, k].
        hard: [G, k] bool; a row without a gate is hard with w = 0 and b = 1, always open.
    """

    w: Tensor
    b: Tensor
    hard: Tensor


@dataclass(frozen=True)
class Factors:
    """A stack of edits at one site, ranks padded with zeros to the largest.

    Attributes:
        A: [G, k, d_in].
        B: [G, k, d_out].
        a: [G, k], or None if no edit has a bias.
        gates: or None if no edit has one.
    """

    A: Tensor
    B: Tensor
    a: Tensor | None
    gates: Gates | None


class FactorBank:
    """Factors by key, and stacks of them by site and set of keys.

    A key is a profile's digest and a number. A profile that edits every token
    alike has one key; one with scopes has a key for each different set of its projectors.

    Attributes:
        placement: where the factors are.
    """

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self._keys: dict[str, tuple[str | None, ...]] = {}
        self._held: dict[str, dict[Site, Factors]] = {}
        self._stacks: dict[Site, OrderedDict[tuple[str, ...], Factors | None]] = {}

    def __contains__(self, digest: str) -> bool:
        return digest in self._keys

    @property
    def digests(self) -> tuple[str, ...]:
        """Resident profiles, in order of loading."""
        return tuple(self._keys)

    def keys(self, digest: str) -> tuple[str | None, ...]:
        """By `scope.kind`, the key of a profile's factors; None where it leaves tokens alone.

        Raises:
            KeyError: it is not resident. Raising stops the engine rather than serve the request
                unedited; admission in the engine core refuses it long before.
        """
        return self._keys[digest]

    def add(self, digest: str, projectors: Iterable[Projector]) -> None:
        """Makes a profile's edits resident. `projectors` are those of this rank's layers."""
        keys: dict[tuple[Projector, ...], str | None] = {(): None}
        for active in active_by_kind(projectors):
            if active not in keys:
                keys[active] = f"{digest}:{len(keys)}"
                self._held[f"{digest}:{len(keys) - 1}"] = self._factors(active)
        self._keys[digest] = tuple(keys[active] for active in active_by_kind(projectors))

    def remove(self, digest: str) -> None:
        """Forgets a profile. The caller knows that no running request uses it."""
        for key in {key for key in self._keys.pop(digest, ()) if key is not None}:
            del self._held[key]
            for stacks in self._stacks.values():
                for keys in [keys for keys in stacks if key in keys]:
                    del stacks[keys]

    def stacked(self, site: Site, keys: tuple[str, ...]) -> Factors | None:
        """The factors under these keys at this site; None if none of them edits it.

        A key without an edit here gets zero factors, which add exactly nothing.
        """
        stacks = self._stacks.setdefault(site, OrderedDict())
        if keys not in stacks:
            stacks[keys] = _stack([self._held[key].get(site) for key in keys])
            if len(stacks) > STACKS_PER_SITE:
                stacks.popitem(last=False)
        stacks.move_to_end(keys)
        return stacks[keys]

    def _factors(self, projectors: Sequence[Projector]) -> dict[Site, Factors]:
        by_site: dict[Site, list[Factors]] = {}
        for projector in projectors:
            by_site.setdefault(projector.site, []).append(self._own(projector))
        return {site: _joined(edits) for site, edits in by_site.items()}

    def _own(self, edit: Projector) -> Factors:
        """A stack of one, with what this rank reads and adds.

        Under tensor parallelism a `down_proj` reads a shard of columns, and partial products add
        up in vLLM's all-reduce; so the bias before it is rank 0's alone to add.
        """
        A, a, shard = edit.A, edit.a, self.placement.shard
        if edit.reads_input:
            A = A.chunk(shard.size, dim=1)[shard.rank]
            a = a if shard.rank == 0 else None
        return Factors(
            self._cast(A),
            self._cast(edit.B),
            None if a is None else self._cast(a),
            None if edit.gate is None else self._gates(edit.gate, edit.rank),
        )

    def _cast(self, factor: Tensor) -> Tensor:
        return factor.to(self.placement.device, self.placement.dtype).contiguous()[None]

    def _gates(self, gate: Gate, rank: int) -> Gates:
        w = gate.w.to(self.placement.device).expand(1, rank, -1).contiguous()
        b = w.new_full((1, rank), gate.b)
        return Gates(w, b, torch.full_like(b, gate.hard, dtype=torch.bool))


def active_by_kind(projectors: Iterable[Projector]) -> tuple[tuple[Projector, ...], ...]:
    """For each `scope.kind` of token, the projectors that edit it."""
    listed = tuple(projectors)
    return tuple(tuple(p for p in listed if SCOPES[p.scope][kind]) for kind in range(KINDS))


def _joined(edits: Sequence[Factors]) -> Factors:
    """Several edits of one site as one: their rows together."""
    if len(edits) == 1:
        return edits[0]
    gates = None
    if any(edit.gates is not None for edit in edits):
        gates = _cat_gates([edit.gates or _open(edit) for edit in edits], dim=1)
    biases = [edit.A.new_zeros(edit.A.shape[:2]) if edit.a is None else edit.a for edit in edits]
    return Factors(
        torch.cat([edit.A for edit in edits], dim=1),
        torch.cat([edit.B for edit in edits], dim=1),
        torch.cat(biases, dim=1) if any(edit.a is not None for edit in edits) else None,
        gates,
    )


def _open(edit: Factors) -> Gates:
    """Gates that are always open, for edits without any."""
    w = torch.zeros_like(edit.A, dtype=torch.float32)
    b = w.new_ones(w.shape[:2])
    return Gates(w, b, torch.ones_like(b, dtype=torch.bool))


def _cat_gates(gates: Sequence[Gates], dim: int) -> Gates:
    return Gates(
        torch.cat([gate.w for gate in gates], dim),
        torch.cat([gate.b for gate in gates], dim),
        torch.cat([gate.hard for gate in gates], dim),
    )


def _stack(edits: Sequence[Factors | None]) -> Factors | None:
    present = [edit for edit in edits if edit is not None]
    if len(present) == len(edits) == 1:
        return present[0]
    if not present:
        return None
    rank = max(edit.A.shape[1] for edit in present)
    none = Factors(present[0].A[:, :0], present[0].B[:, :0], None, None)
    padded = [_padded(edit or none, rank) for edit in edits]
    biased = any(edit.a is not None for edit in present)
    gated = any(edit.gates is not None for edit in present)
    return Factors(
        torch.cat([edit.A for edit in padded]),
        torch.cat([edit.B for edit in padded]),
        torch.cat([edit.A[..., 0] * 0 if edit.a is None else edit.a for edit in padded])
        if biased
        else None,
        _cat_gates([edit.gates or _open(edit) for edit in padded], dim=0) if gated else None,
    )


def _padded(edit: Factors, rank: int) -> Factors:
    """The same edit with rows of zeros up to `rank`."""
    missing = rank - edit.A.shape[1]
    gates = edit.gates
    if gates is not None:
        rows = (0, 0, 0, missing)
        gates = Gates(pad(gates.w, rows), pad(gates.b, rows[2:]), pad(gates.hard, rows[2:]))
    return Factors(
        pad(edit.A, (0, 0, 0, missing)),
        pad(edit.B, (0, 0, 0, missing)),
        None if edit.a is None else pad(edit.a, (0, missing)),
        gates,
    )
