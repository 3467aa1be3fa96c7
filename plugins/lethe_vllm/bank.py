"""The profiles that a worker can serve, and those of them on its device. Knows nothing of requests.

Registered: its edits are in this process's memory, cut to this rank's shard. Held: its factors are
in slots of the backend. The engine core says what is held (`admission.py`), so that all ranks hold
the same.
"""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from lethe_projections.projector import Projector, Site
from lethe_projections.scope import KINDS, SCOPES
from lethe_vllm.backend import Amounts, Backend, Edits
from lethe_vllm.free_list import FreeList
from lethe_vllm.placement import Placement, cut
from lethe_vllm.routing import NO_SLOT, Slots

SLOTS = 512
"""Most that are held at once. A profile takes one, or with scopes one for each different set of its
edits."""


class FactorBank:
    """Profiles by digest, their factors by slot.

    Attributes:
        placement: where the factors are.
        backend: what edits with them.
    """

    def __init__(self, placement: Placement, backend: Backend) -> None:
        self.placement = placement
        self.backend = backend
        self._registered: dict[str, tuple[Projector, ...]] = {}
        self._held: dict[str, Slots] = {}
        self._edits: dict[int, Edits] = {}
        self._free = FreeList("slots", SLOTS)
        self._tokens = np.zeros(SLOTS, dtype=np.int64)
        self._edited: Counter[tuple[str, Site]] = Counter()

    def __contains__(self, digest: str) -> bool:
        return digest in self._registered

    @property
    def registered(self) -> tuple[str, ...]:
        """Profiles that can be held, in the order in which they came."""
        return tuple(self._registered)

    @property
    def held(self) -> tuple[str, ...]:
        """Profiles on the device, in the order in which they came there."""
        return tuple(self._held)

    @property
    def limits(self) -> Amounts:
        """How much all held profiles may take."""
        return {"slots": SLOTS, **self.backend.limits()}

    def needs(self, digest: str) -> Amounts:
        """How much of the limits a registered profile takes.

        Raises:
            UnavailableError: it alone is more than the device can hold at some site.
        """
        active = _distinct(self._registered[digest])
        return {"slots": len(active), **self.backend.needs(map(_by_site, active))}

    @property
    def registered_bytes(self) -> int:
        """Of all registered edits, in this process's memory."""
        return sum(_nbytes(projectors) for projectors in self._registered.values())

    @property
    def held_bytes(self) -> int:
        """Of those on the device, without what the backend keeps beside them."""
        size = self.placement.dtype.itemsize / torch.float32.itemsize
        return int(size * sum(_nbytes(self._registered[digest]) for digest in self._held))

    def register(self, digest: str, projectors: Iterable[Projector]) -> None:
        """Keeps a profile's edits. `projectors` are those of this rank's layers."""
        shard = self.placement.shard
        self._registered[digest] = tuple(cut(projector, shard) for projector in projectors)

    def unregister(self, digest: str) -> None:
        """Forgets a profile. The caller knows that no running request uses it. Idempotent."""
        self.drop(digest)
        self._registered.pop(digest, None)
        for key in [key for key in self._edited if key[0] == digest]:
            del self._edited[key]

    def positional(self, digest: str) -> bool:
        """Whether a registered profile tells kinds of tokens apart."""
        return len(set(active_by_kind(self._registered[digest]))) > 1

    def edits(self, digest: str) -> dict[int, Edits]:
        """By slot, what a held profile does."""
        return {slot: self._edits[slot] for slot in _taken(self._held[digest])}

    def slots(self, digest: str) -> Slots:
        """What tokens of a variant are routed to.

        Raises:
            KeyError: it is not held. Raising stops the engine rather than serve the request
                unedited; admission in the engine core sees to it long before.
        """
        return self._held[digest]

    def hold(self, digest: str) -> None:
        """Puts a registered profile's factors on the device; all of them, or none. Idempotent.

        Raises:
            KeyError: it is not registered.
            UnavailableError: it has no room.
        """
        if digest in self._held:
            return
        projectors = self._registered[digest]
        active = _distinct(projectors)
        slots = dict(zip(active, self._free.take(len(active)), strict=True))
        self._held[digest] = tuple(slots.get(one, NO_SLOT) for one in active_by_kind(projectors))
        try:
            for edits, slot in slots.items():
                self._edits[slot] = _by_site(edits)
                self.backend.put(slot, self._edits[slot])
        except BaseException:
            self.drop(digest)
            raise

    def drop(self, digest: str) -> None:
        """Takes a profile's factors off the device; it stays registered. Idempotent."""
        self._count()
        for slot in _taken(self._held.pop(digest, ())):
            self.backend.drop(slot)
            self._edits.pop(slot, None)
            self._free.give_back([slot])

    def begin(self, per_token: NDArray[np.int64] | None) -> None:
        """Lays out the next step, as `Backend.begin`."""
        self.backend.begin(per_token)
        if per_token is not None:
            # Base tokens count in a place of their own.
            self._tokens += np.bincount(per_token + 1, minlength=SLOTS + 1)[1:]

    @property
    def edited(self) -> Counter[tuple[str, Site]]:
        """Tokens handed to the op so far, by digest and site, of what is registered."""
        self._count()
        return self._edited

    def _count(self) -> None:
        for digest, slots in self._held.items():
            for slot in _taken(slots):
                for site in self._edits.get(slot, ()):
                    self._edited[digest, site] += int(self._tokens[slot])
        self._tokens[:] = 0


def active_by_kind(projectors: Iterable[Projector]) -> tuple[tuple[Projector, ...], ...]:
    """For each `scope.kind` of token, the projectors that edit it."""
    listed = tuple(projectors)
    return tuple(tuple(p for p in listed if SCOPES[p.scope][kind]) for kind in range(KINDS))


def _nbytes(projectors: Iterable[Projector]) -> int:
    return sum(projector.nbytes for projector in projectors)


def _taken(slots: Slots) -> list[int]:
    """The slots among them, each once."""
    return sorted({*slots} - {NO_SLOT})


def _distinct(projectors: Iterable[Projector]) -> list[tuple[Projector, ...]]:
    """The different sets among them, without the empty one."""
    return [active for active in dict.fromkeys(active_by_kind(projectors)) if active]


def _by_site(projectors: Iterable[Projector]) -> Edits:
    found: dict[Site, list[Projector]] = {}
    for projector in projectors:
        found.setdefault(projector.site, []).append(projector)
    return found
