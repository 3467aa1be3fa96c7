"""What the engines say of the profiles they have, in numbers. Knows nothing of metrics."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figures:
    """Of all engines together.

    Attributes:
        registered: profiles that ranks have, on the engine with most.
        held: those on devices.
        registered_bytes: of host memory, over all ranks.
        held_bytes: of device memory, over all ranks.
        evictions: how often a held profile made room for another.
        waiting: requests whose profile has no room.
        edited: tokens edited by what; digests, until they are given names.
    """

    registered: int = 0
    held: int = 0
    registered_bytes: int = 0
    held_bytes: int = 0
    evictions: int = 0
    waiting: int = 0
    edited: Mapping[str, int] = field(default_factory=dict)


def combined(engines: Sequence[Sequence[Mapping[str, Any]]]) -> Figures:
    """Of what every rank of every engine replies to `lethe_figures`."""

    def over_ranks(name: str) -> int:
        return sum(int(reply[name]) for ranks in engines for reply in ranks)

    def by_engine(name: str) -> list[int]:
        return [max(int(reply[name]) for reply in ranks) for ranks in engines]

    edited: Counter[str] = Counter()
    for ranks in engines:
        edited.update(_edited(ranks))
    return Figures(
        max(by_engine("registered"), default=0),
        max(by_engine("held"), default=0),
        over_ranks("registered_bytes"),
        over_ranks("held_bytes"),
        sum(by_engine("evictions")),
        sum(by_engine("waiting")),
        edited,
    )


def named(figures: Figures, names: Mapping[str, str]) -> dict[str, int]:
    """The edited tokens by name, as far as their digests have one."""
    found: Counter[str] = Counter()
    for digest, tokens in figures.edited.items():
        if digest in names:
            found[names[digest]] += tokens
    return dict(found)


def _edited(ranks: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Of one engine, whose ranks see every token: at the site that saw most of a profile's."""
    found: dict[str, int] = {}
    for reply in ranks:
        for digest, sites in reply["edited"].items():
            found[digest] = max(found.get(digest, 0), *sites.values())
    return found
