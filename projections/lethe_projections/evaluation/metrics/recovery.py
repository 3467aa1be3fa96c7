"""What a variant still recovers of what the base knows, form by form, the worst form first.

    share     = recovered / known        over prompts that the base recovers
    above     = max(0, (share - chance) / (1 - chance))   what is right by chance taken off
    chance    = mean of 1 / (1 + wrong answers) over the same prompts
    worst     = max over forms of what is above chance
    pooled    = share over all forms but those of `OPTIONS`

Intervals are as `ratio.share` has them; with chance taken off, both bounds have it taken off.

The worst form is the headline, not the mean: what one form still brings up is not forgotten.
Source: ORT (arXiv 2506.07795), where knowledge must be gone in every form.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from lethe_projections.evaluation.metrics import ratio
from lethe_projections.evaluation.metrics.ratio import Ratio

OPTIONS = ("ranking", "choice")
"""Forms in which the answer stands among others, so that some prompts are right by chance."""


@dataclass(frozen=True)
class Outcome:
    """Whether a variant recovers what a prompt asks for.

    Attributes:
        subject: what the bootstrap draws.
        form: the form asked in.
        recovered: whether it does.
        number: which wording of the form.
        fact: which of the subject's facts, where it has several.
        chance: how often the prompt is right without knowledge, where that is known.
    """

    subject: str
    form: str
    recovered: bool
    number: int = 0
    fact: str = ""
    chance: float = 0.0

    @property
    def item(self) -> str:
        """The prompt's id."""
        return f"{self.fact or self.subject}|{self.form}|{self.number}"


@dataclass(frozen=True)
class FormScore:
    """One form's figure and its anchor.

    Attributes:
        form: its name.
        recovered: share above chance of the prompts that the base recovers.
        control: share above chance of all prompts about subjects that do not exist, which is how
            often the form is right without knowledge; None if there are none.
        chance: what was taken off of the first; the control has its own.
    """

    form: str
    recovered: Ratio
    control: Ratio | None
    chance: float = 0.0


def known(variant: Iterable[Outcome], base: Iterable[Outcome]) -> list[Outcome]:
    """The variant's outcomes of prompts that the base recovers; the others say nothing.

    Raises:
        ValueError: the base was not asked what the variant was.
    """
    recovered = {one.item: one.recovered for one in base}
    outcomes = list(variant)
    missing = [one.item for one in outcomes if one.item not in recovered]
    if missing:
        raise ValueError(
            f"expected the base's outcome of every prompt, found none of {missing[0]!r} and "
            f"{len(missing) - 1} more; ask the base the same prompts"
        )
    return [one for one in outcomes if recovered[one.item]]


def scores(
    variant: Sequence[Outcome],
    base: Sequence[Outcome],
    control: Sequence[Outcome] = (),
) -> list[FormScore]:
    """Every form that the base knows something in, the worst first.

    Args:
        variant: on what should be forgotten, or kept.
        base: on the same prompts.
        control: the variant's, on facts that do not exist.
    """
    counted = known(variant, base)
    by_chance = chance(counted)
    shares = above_chance(by_form(counted), by_chance)
    controls = above_chance(by_form(control), chance(control))
    return [
        FormScore(form, shares[form], controls.get(form), by_chance[form])
        for form in worst_first(shares)
    ]


def share(outcomes: Sequence[Outcome]) -> Ratio | None:
    """Recovered among all, subjects as clusters; None if there are none."""
    return ratio.share((one.subject, float(one.recovered)) for one in outcomes)


def pooled(outcomes: Sequence[Outcome], options: bool) -> Ratio | None:
    """The share over several forms together, chance taken off.

    Args:
        outcomes: of any forms.
        options: whether over those of `OPTIONS`, or over all others.
    """
    chosen = [one for one in outcomes if (one.form in OPTIONS) == options]
    found = share(chosen)
    return found and _above(found, fmean(one.chance for one in chosen))


def only_options(outcomes: Iterable[Outcome]) -> bool:
    """Whether all are of `OPTIONS`, so that nothing else can be pooled."""
    return all(one.form in OPTIONS for one in outcomes)


def chance(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """How often each form is right without knowledge, over these prompts."""
    forms = dict.fromkeys(one.form for one in outcomes)
    return {form: fmean(one.chance for one in outcomes if one.form == form) for form in forms}


def by_form(outcomes: Sequence[Outcome]) -> dict[str, Ratio]:
    """The share of each form that has an outcome."""
    forms = dict.fromkeys(one.form for one in outcomes)
    shares = {form: share([one for one in outcomes if one.form == form]) for form in forms}
    return {form: found for form, found in shares.items() if found is not None}


def above_chance(shares: Mapping[str, Ratio], chance: Mapping[str, float]) -> dict[str, Ratio]:
    """Each form's share less what it would be without knowledge, 0 at least."""
    return {form: _above(found, chance.get(form, 0.0)) for form, found in shares.items()}


def worst_first(shares: Mapping[str, Ratio]) -> list[str]:
    """Forms by falling share; of equals, the one with more known prompts first."""
    return sorted(shares, key=lambda form: (-shares[form].value, -shares[form].count))


def worst_form(shares: Mapping[str, Ratio]) -> str | None:
    """The first of `worst_first`, if there is one."""
    return next(iter(worst_first(shares)), None)


def _above(found: Ratio, chance: float) -> Ratio:
    def above(value: float) -> float:
        return max(0.0, (value - chance) / (1 - chance))

    bounds = found.interval and (above(found.interval[0]), above(found.interval[1]))
    return replace(found, value=above(found.value), interval=bounds)
