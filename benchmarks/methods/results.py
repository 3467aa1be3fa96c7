"""From measurements to the rows of the table: plain JSON values. Knows no models."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.methods import likelihood
from benchmarks.methods.cases import Case, Fit
from benchmarks.methods.facts import Fact
from benchmarks.methods.fitting import Fitted
from benchmarks.methods.forms import CHANCE, FORMS, Item
from benchmarks.methods.measuring import Shelf, recovered
from lethe_projections.evaluation.metrics import recovery
from lethe_projections.evaluation.metrics.ratio import Ratio, ratio
from lethe_projections.evaluation.metrics.recovery import Outcome
from lethe_projections.examples import Example

Divergence = tuple[float, int]
"""KL summed over a text's tokens, and their number."""

MIN_KNOWN = 5
"""A form that the base recovers for fewer of the evaluated facts is left out."""


@dataclass(frozen=True)
class Ground:
    """What every variant is measured on.

    Attributes:
        facts: those evaluated, by id.
        known: items that the base recovers, of the forms that are kept.
        texts: for KL.
        shelf: the measurements.
    """

    facts: Mapping[str, Fact]
    known: tuple[Item, ...]
    texts: tuple[Example, ...]
    shelf: Shelf

    def outcomes(self, digest: str, facts: Sequence[str]) -> list[Outcome]:
        """Of a variant, on the known items of some facts."""
        answers, rankings = self.shelf.answers(digest), self.shelf.likelihood(digest)
        return [
            Outcome(item.fact, item.form, recovered(item, answers, rankings), item.number)
            for item in self.known
            if item.fact in facts
        ]

    def divergence(self, digest: str, texts: Sequence[Example]) -> list[Divergence]:
        """Of a variant, for each text."""
        found = self.shelf.likelihood(digest)
        rows = [found[likelihood.text_key(text)] for text in texts]
        return [(row["kl"], row["tokens"]) for row in rows]

    def texts_about(self, requested: Sequence[str]) -> list[Example]:
        """Texts that name a subject or an answer of the requested facts."""
        facts = [self.facts[name] for name in requested]
        words = {word for fact in facts for word in (fact.subject, fact.answer)}
        return [text for text in self.texts if any(map(text.mentions, words))]

    def neighbours(self, requested: Sequence[str]) -> list[str]:
        """Facts of a requested relation about subjects that no request names."""
        return [f.id for f in self._others(requested) if self._related(f, requested)]

    def unrelated(self, requested: Sequence[str]) -> list[str]:
        """Facts of other relations about subjects that no request names."""
        return [f.id for f in self._others(requested) if not self._related(f, requested)]

    def same_subject(self, requested: Sequence[str]) -> list[str]:
        """Other facts about the subjects that a request names."""
        subjects = {self.facts[name].subject for name in requested}
        found = [fact.id for fact in self.facts.values() if fact.subject in subjects]
        return [name for name in found if name not in requested]

    def _others(self, requested: Sequence[str]) -> list[Fact]:
        subjects = {self.facts[name].subject for name in requested}
        return [fact for fact in self.facts.values() if fact.subject not in subjects]

    def _related(self, fact: Fact, requested: Sequence[str]) -> bool:
        return fact.relation in {self.facts[name].relation for name in requested}


def kept_forms(known: Sequence[Item], least: int = MIN_KNOWN) -> dict[str, int]:
    """Forms that are kept, each with the number of facts that the base recovers in it."""
    facts = {form: {item.fact for item in known if item.form == form} for form in FORMS}
    return {form: len(found) for form, found in facts.items() if len(found) >= least}


def row(case: Case, fits: Mapping[Fit, Fitted], ground: Ground) -> dict[str, Any]:
    """A row: every figure of a case, pooled over its fits, with the worst fit beside it."""
    digests = {fit: fits[fit].digest for fit in case.fits}
    each = {fit: ground.outcomes(digests[fit], fit.forgotten) for fit in case.fits}
    forms = _by_form([one for outcomes in each.values() for one in outcomes])
    worst = recovery.worst_form(forms)
    return {
        "method": case.method,
        "scenario": case.scenario,
        "step": case.step,
        "forgotten": [list(fit.forgotten) for fit in case.fits],
        "worst_form": worst,
        "forgetting": _plain(forms.get(worst or "")),
        "forms": {form: _plain(found) for form, found in forms.items()},
        "any_form": _plain(_in_any_form(each)),
        "still_recovered": [o.item for found in each.values() for o in found if o.recovered],
        "worst_fit": max(map(_worst_share, each.values())),
        "earlier": _earlier(case, digests, ground),
        **_retained(case, digests, ground),
        **_cost(case, fits),
    }


def _in_any_form(each: Mapping[Fit, Sequence[Outcome]]) -> Ratio | None:
    """Share of forgotten facts that some known item still recovers, not by chance."""
    facts = [
        {fact: any(one.recovered for one in outcomes if one.subject == fact) for fact in names}
        for found in each.values()
        for outcomes in [[one for one in found if one.form not in CHANCE]]
        for names in [dict.fromkeys(one.subject for one in outcomes)]
    ]
    return ratio([(float(any_), 1) for found in facts for any_ in found.values()])


def _worst_share(outcomes: Sequence[Outcome]) -> float:
    return max((found.value for found in _by_form(outcomes).values()), default=0.0)


def _by_form(outcomes: Sequence[Outcome]) -> dict[str, Ratio]:
    return recovery.above_chance(recovery.by_form(outcomes), CHANCE)


def _earlier(case: Case, digests: Mapping[Fit, str], ground: Ground) -> float | None:
    """In a sequence, the worst form's share over the requests before the last."""
    if case.step < 2:
        return None
    (fit,) = case.fits
    return _worst_share(ground.outcomes(digests[fit], fit.forgotten[:-1]))


def _retained(case: Case, digests: Mapping[Fit, str], ground: Ground) -> dict[str, Any]:
    found: dict[str, Any] = {}
    requested = {fit: case.requested or fit.forgotten for fit in case.fits}
    for name, facts in (
        ("neighbours", ground.neighbours),
        ("unrelated", ground.unrelated),
        ("same_subject", ground.same_subject),
    ):
        each = [ground.outcomes(digests[fit], facts(requested[fit])) for fit in case.fits]
        shares = [share.value for share in map(recovery.share, each) if share]
        found[name] = _plain(recovery.share([one for outcomes in each for one in outcomes]))
        found[f"{name}_lost"] = [o.item for outcomes in each for o in outcomes if not o.recovered]
        found[f"{name}_worst_fit"] = min(shares, default=None)
    about = {fit: ground.texts_about(requested[fit]) for fit in case.fits}
    others = {fit: [text for text in ground.texts if text not in about[fit]] for fit in case.fits}
    return {
        **found,
        **_divergence("kl", digests, others, ground),
        **_divergence("kl_about", digests, about, ground),
    }


def _divergence(
    name: str, digests: Mapping[Fit, str], texts: Mapping[Fit, Sequence[Example]], ground: Ground
) -> dict[str, Any]:
    """Mean KL a token; a text's tokens under all fits are one cluster."""
    clusters: dict[Example, Divergence] = {}
    means = []
    for fit, listed in texts.items():
        rows = ground.divergence(digests[fit], listed)
        means.append(ratio(rows))
        for text, (kl, tokens) in zip(listed, rows, strict=True):
            summed, count = clusters.get(text, (0.0, 0))
            clusters[text] = (summed + kl, count + tokens)
    return {
        name: _plain(ratio(list(clusters.values()))),
        f"{name}_worst_fit": max((one.value for one in means if one), default=None),
    }


def _cost(case: Case, fits: Mapping[Fit, Fitted]) -> dict[str, Any]:
    made = [fits[fit] for fit in case.fits]
    return {
        "seconds": round(sum(one.seconds for one in made) / len(made), 2),
        "seconds_worst_fit": max(one.seconds for one in made),
        "bytes": max(one.bytes for one in made),
        "rank": max(one.rank for one in made),
        "fits": len(made),
        "refit": "after" if case.fits[0].before else "joint",
        "hyperparameters": made[0].hyperparameters,
        "digests": [one.digest for one in made],
    }


def _plain(found: Ratio | None) -> dict[str, Any] | None:
    if found is None:
        return None
    rounded = asdict(found) | {"value": round(found.value, 5)}
    if found.interval:
        rounded["interval"] = [round(bound, 5) for bound in found.interval]
    return rounded
