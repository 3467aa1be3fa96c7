"""What is still recovered of what should be forgotten, and of what should be kept, by form."""

from collections.abc import Mapping, Sequence

from lethe_projections.errors import LetheError
from lethe_projections.evaluation.metrics import recovery
from lethe_projections.evaluation.metrics.ratio import Ratio
from lethe_projections.evaluation.metrics.recovery import FormScore, Outcome
from lethe_projections.evaluation.suite import Suite
from lethe_server.evaluating.evidence import Headline, Measure
from lethe_server.evaluating.outcomes import Pair, of

DIGITS = 6
"""Of a number in a document."""

KEPT = {"neighbours": "neighbour", "unrelated facts": "unrelated"}
"""What is kept, and the key of `suite.SETS`."""

SHARE = "recovered / known, over this form's prompts that the base recovers"
TOGETHER = "recovered / known, over prompts of all forms about {name} that the base recovers"
ABOVE = "max(0, (share - c) / (1 - c)), share = recovered / known, c = {chance:.3f} by chance"


def forms(found: Sequence[Pair], chance: Mapping[str, float], *sets: str) -> list[Measure]:
    """Every form that the base knows something in, the worst first: most recovered."""
    base, variant = _outcomes(of(found, *sets))
    _, control = _outcomes(of(found, "never_known"))
    scores = recovery.scores(variant, base, control, chance)
    return [_measure(one, chance.get(one.form, 0.0)) for one in scores]


def kept(found: Sequence[Pair], chance: Mapping[str, float], name: str) -> list[Measure]:
    """The same of a set that should be kept, where the least recovered is the worst."""
    return forms(found, chance, name)[::-1]


def together(found: Sequence[Pair]) -> list[Measure]:
    """The shares of the headline that are over all forms, with what it takes to judge them."""
    _, control = _outcomes(of(found, "never_known"))
    unknown = recovery.share(control)
    every = ((label, name, _share(of(found, name))) for label, name in KEPT.items())
    return [
        Measure.model_validate(
            {
                "name": label,
                "formula": TOGETHER.format(name=name),
                "base": 1.0,
                "never_known": None if unknown is None else round(unknown.value, DIGITS),
                **figures(share),
            }
        )
        for label, name, share in every
        if share is not None
    ]


def headline(found: Sequence[Pair], forget: Sequence[Measure], suite: Suite) -> Headline:
    """What stands first.

    Raises:
        LetheError: the base knows nothing of what should be forgotten.
    """
    if not forget:
        raise LetheError(
            f"{suite.name}: expected the base to know something of what should be forgotten, found "
            f"that it answers none of {len(of(found, 'forget'))} prompts; take a suite, or "
            "subjects, that it knows"
        )
    return Headline(
        worst_form=forget[0].name,
        recovered=forget[0].value,
        neighbours=_rounded(_share(of(found, "neighbour"))),
        unrelated=_rounded(_share(of(found, "unrelated"))),
    )


def figures(found: Ratio) -> dict[str, object]:
    """A ratio as fields of a `Measure`."""
    bounds = found.interval and tuple(round(bound, DIGITS) for bound in found.interval)
    return {
        "value": round(found.value, DIGITS),
        "interval": bounds,
        "n": found.count,
        "clusters": found.clusters,
    }


def _measure(score: FormScore, chance: float) -> Measure:
    control = score.control
    fields = {
        "name": score.form,
        "formula": ABOVE.format(chance=chance) if chance else SHARE,
        "base": 1.0,
        "never_known": None if control is None else round(control.value, DIGITS),
        **figures(score.recovered),
    }
    return Measure.model_validate(fields)


def _share(found: Sequence[Pair]) -> Ratio | None:
    base, variant = _outcomes(found)
    return recovery.share(recovery.known(variant, base))


def _rounded(share: Ratio | None) -> float | None:
    return None if share is None else round(share.value, DIGITS)


def _outcomes(found: Sequence[Pair]) -> tuple[list[Outcome], list[Outcome]]:
    """Of base and variant."""
    both = [one.outcomes for one in found]
    return [base for base, _ in both], [variant for _, variant in both]
