"""Shares, the worst of them, and bootstrap intervals. Knows no models.

share     = recovered / known        over items (fact, form, wording) that the base recovers
above     = max(0, (share - chance) / (1 - chance))        what a form is right by chance taken off
worst     = max over forms of what is above chance
interval  = 2.5 % and 97.5 % quantiles of the ratio of sums, facts drawn with replacement
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

MIN_CLUSTERS = 5
"""With fewer facts, or texts, no interval is given."""

_DRAWS = 2000
_SEED = 0


@dataclass(frozen=True)
class Outcome:
    """Whether a variant recovers an item that the base recovers.

    Attributes:
        fact: the fact's id.
        form: see `forms.FORMS`.
        recovered: whether it does.
        number: which wording of the form.
    """

    fact: str
    form: str
    recovered: bool
    number: int = 0

    @property
    def item(self) -> str:
        """The item's id."""
        return f"{self.fact}|{self.form}|{self.number}"


@dataclass(frozen=True)
class Ratio:
    """A ratio of sums over clusters.

    Attributes:
        value: sum of numerators over sum of denominators.
        interval: bootstrap 95 %, or None with fewer than `MIN_CLUSTERS` clusters.
        count: sum of denominators: items, or tokens.
        clusters: facts, or texts.
    """

    value: float
    interval: tuple[float, float] | None
    count: int
    clusters: int


def share(outcomes: Sequence[Outcome]) -> Ratio | None:
    """Recovered among known, facts as clusters; None if nothing is known."""
    clusters: dict[str, tuple[float, int]] = {}
    for one in outcomes:
        recovered, known = clusters.get(one.fact, (0.0, 0))
        clusters[one.fact] = (recovered + one.recovered, known + 1)
    return ratio(list(clusters.values()))


def by_form(outcomes: Sequence[Outcome]) -> dict[str, Ratio]:
    """The share of each form that has a known item."""
    forms = dict.fromkeys(one.form for one in outcomes)
    shares = {form: share([one for one in outcomes if one.form == form]) for form in forms}
    return {form: found for form, found in shares.items() if found is not None}


def above_chance(shares: Mapping[str, Ratio], chance: Mapping[str, float]) -> dict[str, Ratio]:
    """Each form's share less what it would be without knowledge, 0 at least."""
    return {form: _above(found, chance.get(form, 0.0)) for form, found in shares.items()}


def worst_form(shares: Mapping[str, Ratio]) -> str | None:
    """The form with the largest share; of equals, the one with the most known items."""
    return max(shares, key=lambda form: (shares[form].value, shares[form].count), default=None)


def ratio(clusters: Sequence[tuple[float, int]]) -> Ratio | None:
    """Of (numerator, denominator) pairs; None if the denominators sum to 0."""
    count = sum(denominator for _, denominator in clusters)
    if count == 0:
        return None
    value = sum(numerator for numerator, _ in clusters) / count
    return Ratio(value, _interval(clusters), count, len(clusters))


def _above(found: Ratio, chance: float) -> Ratio:
    def above(value: float) -> float:
        return max(0.0, (value - chance) / (1 - chance))

    bounds = found.interval and (above(found.interval[0]), above(found.interval[1]))
    return replace(found, value=above(found.value), interval=bounds)


def _interval(clusters: Sequence[tuple[float, int]]) -> tuple[float, float] | None:
    if len(clusters) < MIN_CLUSTERS:
        return None
    drawn = np.random.default_rng(_SEED).integers(len(clusters), size=(_DRAWS, len(clusters)))
    sums = np.asarray(clusters, dtype=np.float64)[drawn].sum(axis=1)
    low, high = np.quantile(sums[:, 0] / sums[:, 1], (0.025, 0.975))
    return float(low), float(high)
