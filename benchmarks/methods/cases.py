"""Which profiles are fitted for which facts. Knows no models."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.methods.facts import Fact

SCENARIOS = {
    "one": "one subject: each fact is a request and a profile of its own",
    "group": "a relation for a group: one request for many capitals at once",
    "sequence": "requests one after the other: after each, all so far are asked about again",
}

_ONE = ("capital", "capital", "element_symbol", "capital")
_SEQUENCE = ("capital",) * 4
_GROUP = 10


@dataclass(frozen=True)
class Setup:
    """What a method needs here beyond its defaults.

    Attributes:
        settings: hyper-parameters without a default that could serve everybody.
        after: whether a further request is trained on top of the profile before it (`--after`);
            otherwise all requests so far are fitted anew together.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    after: bool = False


SETUPS = {
    "rocr": Setup({"target": "Narnia"}),
    "mrp": Setup(after=True),
}


@dataclass(frozen=True)
class Fit:
    """One profile to be fitted.

    Attributes:
        method: its name.
        settings: hyper-parameters that differ from the defaults.
        facts: ids of what this request asks to forget.
        before: the fit on which this one goes on, or None.
    """

    method: str
    settings: tuple[tuple[str, Any], ...]
    facts: tuple[str, ...]
    before: "Fit | None" = None

    @property
    def depth(self) -> int:
        """How many fits come before it."""
        return 0 if self.before is None else self.before.depth + 1

    @property
    def forgotten(self) -> tuple[str, ...]:
        """Ids of all facts that it, and those before it, were asked to forget."""
        return (*(self.before.forgotten if self.before else ()), *self.facts)

    @property
    def label(self) -> str:
        """For progress messages."""
        first, more = self.forgotten[0], len(self.forgotten) - 1
        return f"{self.method} {first}" + (f" and {more} more" if more else "")


@dataclass(frozen=True)
class Case:
    """A row of the table.

    Attributes:
        scenario: a key of `SCENARIOS`.
        step: requests so far, in a sequence; else 0.
        fits: the profiles that it pools, each asked about what it should have forgotten.
        requested: ids of all facts that any request of the sequence names, later ones included:
            what is kept is measured on the same facts after each.
    """

    scenario: str
    step: int
    fits: tuple[Fit, ...]
    requested: tuple[str, ...] = ()

    @property
    def method(self) -> str:
        """Of all its fits."""
        return self.fits[0].method


def cases(
    method: str, scenarios: Iterable[str], facts: Sequence[Fact], changed: Mapping[str, Any]
) -> list[Case]:
    """The rows of a method.

    Args:
        method: its name.
        scenarios: keys of `SCENARIOS`.
        facts: of one split, in the order in which they are taken.
        changed: hyper-parameters to set, over `SETUPS`.
    """
    setup = SETUPS.get(method, Setup())
    settings = tuple(sorted({**setup.settings, **changed}.items()))
    found: list[Case] = []
    for scenario in scenarios:
        if scenario == "one":
            fits = tuple(Fit(method, settings, (fact.id,)) for fact in taken(facts, _ONE))
            found.append(Case(scenario, 0, fits))
        elif scenario == "group":
            found.append(Case(scenario, 0, (Fit(method, settings, group(facts)),)))
        else:
            requests = [fact.id for fact in taken(facts[::-1], _SEQUENCE)]
            found += _sequence(Fit(method, settings, ()), requests, setup.after)
    return found


def taken(facts: Sequence[Fact], relations: Iterable[str]) -> list[Fact]:
    """The next fact of each relation in turn; a relation that has none left is passed over."""
    left = list(facts)
    chosen = []
    for relation in relations:
        fact = next((one for one in left if one.relation == relation), None)
        if fact is not None:
            left.remove(fact)
            chosen.append(fact)
    return chosen


def group(facts: Sequence[Fact]) -> tuple[str, ...]:
    """Ids of ten capitals, or of so many that a third are left as neighbours."""
    capitals = [fact.id for fact in facts if fact.relation == "capital"]
    return tuple(capitals[: min(_GROUP, max(1, 2 * len(capitals) // 3))])


def _sequence(empty: Fit, requests: Sequence[str], after: bool) -> list[Case]:
    found: list[Case] = []
    before: Fit | None = None
    for step in range(1, len(requests) + 1):
        facts = (requests[step - 1],) if after else tuple(requests[:step])
        fit = Fit(empty.method, empty.settings, facts, before if after else None)
        found.append(Case("sequence", step, (fit,), tuple(requests)))
        before = fit
    return found
