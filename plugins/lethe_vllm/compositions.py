"""The compositions that requests asked for, made once and kept while they are used.

Knows nothing of the engine; whoever adds one is told what it displaced, and sees to the engine.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lethe_projections import artifact
from lethe_projections.compose import compose
from lethe_projections.profile import Profile
from lethe_vllm.errors import UnavailableError
from lethe_vllm.selection import Variant

if TYPE_CHECKING:
    from lethe_vllm.catalogue import Entry

MAX_COMPOSITIONS = 64
MAX_BYTES = 2**30
"""Of all factors kept, in float32. The engine holds no more of them, in the model's dtype."""


@dataclass(frozen=True)
class Composition:
    """Profiles made one.

    Attributes:
        digest: sha256 of its artifact.
        of: digests of its parts.
        profile: its contents.
    """

    digest: str
    of: frozenset[str]
    profile: Profile

    def variant(self, parts: "Sequence[Entry]") -> Variant:
        """What serves a request for these parts, sorted by name, whose digests are `of`."""
        names = "+".join(part.name for part in parts)
        return Variant(names, self.digest, tuple(part.variant for part in parts))


def composed(parts: "Sequence[Entry]") -> Composition:
    """Composes profiles; takes milliseconds at small ranks, seconds at the largest.

    Raises:
        CompositionError: they cannot be composed.
        ArtifactError: the composition would be too large.
    """
    profile = compose([part.profile for part in parts])
    return Composition(artifact.digest(artifact.to_bytes(profile)), digests(parts), profile)


def digests(parts: "Iterable[Entry | Variant]") -> frozenset[str]:
    """By which a composition is known: neither order nor names matter."""
    return frozenset(part.digest for part in parts)


class Compositions:
    """The compositions used last, by the digests of their parts.

    Changed by one thread only; `profile` may be called from any.

    Attributes:
        limit: how many.
        max_bytes: of all their factors; the one used last is kept however large it is.
    """

    def __init__(self, limit: int = MAX_COMPOSITIONS, max_bytes: int = MAX_BYTES) -> None:
        self.limit, self.max_bytes = limit, max_bytes
        self._kept: OrderedDict[frozenset[str], Composition] = OrderedDict()

    def __contains__(self, digest: object) -> bool:
        return any(composition.digest == digest for composition in self._kept.values())

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def made(self) -> dict[str, frozenset[str]]:
        """By digest, the digests of its parts."""
        return {composition.digest: of for of, composition in self._kept.items()}

    def use(self, parts: "Sequence[Entry]") -> Composition | None:
        """The composition of these parts, used now; None if it has to be made."""
        found = self._kept.get(digests(parts))
        if found is not None:
            self._kept.move_to_end(found.of)
        return found

    def add(self, composition: Composition) -> list[str]:
        """Keeps a composition, used now; returns the digests of those displaced."""
        self._kept[composition.of] = composition
        self._kept.move_to_end(composition.of)
        displaced = []
        while len(self._kept) > 1 and self._is_full():
            displaced.append(self._kept.popitem(last=False)[1].digest)
        return displaced

    def without(self, part: str) -> list[str]:
        """Forgets every composition of a digest; returns theirs, and that one: what may go."""
        gone = [composition for composition in self._kept.values() if part in composition.of]
        for composition in gone:
            del self._kept[composition.of]
        return [*(composition.digest for composition in gone), part]

    def profile(self, variant: Variant) -> Profile:
        """The contents of a composition.

        Raises:
            UnavailableError: it is not kept any more.
        """
        found = self._kept.get(digests(variant.parts))
        if found is None:
            raise UnavailableError(
                f"profile {variant.name}: expected its composition {variant.digest[:12]} kept, "
                "found it displaced or a part of it replaced meanwhile; send the request again"
            )
        return found.profile

    def _is_full(self) -> bool:
        size = sum(composition.profile.nbytes for composition in self._kept.values())
        return len(self._kept) > self.limit or size > self.max_bytes
