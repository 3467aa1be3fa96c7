"""Which profiles are tried: every method by its defaults, and by other settings. No models."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Settings = dict[str, Any]

GRID: dict[str, tuple[Settings, ...]] = {
    "rocr": ({}, {"ridge": 0.003}, {"ridge": 0.03}),
    "lunar": ({}, {"tokens": "subject"}),
    "rad": ({}, {"coefficient": 2.0}),
    "rab": ({}, {"coefficient": 50.0}),
    "ablate": ({}, {"tokens": "names"}),
    "leace": ({}, {"ridge": 1e-4}),
    "steer": (
        {},
        {"coefficient": 2.0},
        {"coefficient": 8.0},
        {"layer": 5, "coefficient": 8.0},
        {"layer": 5, "coefficient": 16.0},
        {"layer": 6},
        {"layer": 6, "coefficient": 8.0},
        {"layer": 7, "coefficient": 8.0},
        {"layer": 8},
    ),
    "rmu": ({}, {"coefficient": 20.0}),
    "adaptive-rmu": ({}, {"beta": 3.0}),
    "grun": ({},),
    "mrp": ({}, {"retain_weight": 60.0}),
}
"""By method; the first are its defaults. The best of all was tried in more ways than the others."""

NEEDED: dict[str, Settings] = {"rocr": {"target": "Narnia"}}
"""Hyper-parameters without a default that could serve everybody."""

CAPITALS = ("rocr", "leace", "steer")
"""Methods that are also tried with each name in capitals in the request: see `request`."""

CONTROLS = ("nothing", "noise")
"""Not fitted: both ends of the scale."""


@dataclass(frozen=True)
class Candidate:
    """A way of making a profile.

    Attributes:
        method: its name, or one of `CONTROLS`.
        settings: what differs from its defaults.
        capitals: whether the request has each name in capitals too.
    """

    method: str
    settings: tuple[tuple[str, Any], ...] = ()
    capitals: bool = False

    @property
    def said(self) -> str:
        """What differs from the defaults, in words."""
        told = [f"{name}={value}" for name, value in self.settings]
        return ", ".join([*told, *(["names in capitals too"] if self.capitals else [])]) or "-"

    @property
    def label(self) -> str:
        """For progress messages."""
        return self.method if self.said == "-" else f"{self.method} ({self.said})"


def candidates(method: str) -> Iterator[Candidate]:
    """All that is tried of a method, its defaults first."""
    for settings in GRID[method]:
        yield _candidate(method, settings)
    if method in CAPITALS:
        yield _candidate(method, {}, capitals=True)


def _candidate(method: str, settings: Settings, capitals: bool = False) -> Candidate:
    given = {**NEEDED.get(method, {}), **settings}
    return Candidate(method, tuple(sorted(given.items())), capitals)
