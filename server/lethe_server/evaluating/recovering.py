"""What is still recovered of what should be forgotten, and of what should be kept, by form."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from statistics import fmean

from lethe_projections.errors import LetheError
from lethe_projections.evaluation.forms import FORMS
from lethe_projections.evaluation.metrics import recovery
from lethe_projections.evaluation.metrics.ratio import Ratio
from lethe_projections.evaluation.metrics.recovery import FormScore, Outcome
from lethe_projections.evaluation.suite import Suite
from lethe_server.evaluating.evidence import Headline, Measure
from lethe_server.evaluating.outcomes import Pair, of
from lethe_server.evaluating.work import Question

DIGITS = 6
"""Of a number in a document."""

KEPT = {"neighbours": "neighbour", "unrelated facts": "unrelated"}
"""What is kept, and the key of `suite.SETS`."""

SHARE = "recovered / known, over this form's prompts that the base recovers"
TOGETHER = (
    "recovered / known, over prompts about {name} that the base recovers, of all forms but those "
    "with options ({options})"
)
ABOVE = "max(0, (share - c) / (1 - c)), share = recovered / known, c = {chance:.3f} by chance"
TOGETHER_ABOVE = (
    f"{ABOVE}, over prompts about {{name}} that the base recovers, of {{options}} alone"
)

Asked = Counter[tuple[str, str]]
"""How many prompts, by set and form."""


def asked(questions: Iterable[Question]) -> Asked:
    """Counts them, whether or not the base recovers them."""
    return Counter((one.item.set, one.prompt.form) for one in questions)


def forms(found: Sequence[Pair], count: Asked, name: str) -> list[Measure]:
    """Every form that the base knows something in, the worst first: most recovered."""
    base, variant = _outcomes(of(found, name))
    scores = recovery.scores(variant, base, _control(found))
    return [_form(one, count[name, one.form]) for one in scores]


def kept(found: Sequence[Pair], count: Asked, name: str) -> list[Measure]:
    """The same of a set that should be kept, where the least recovered is the worst."""
    return forms(found, count, name)[::-1]


def together(found: Sequence[Pair], count: Asked) -> list[Measure]:
    """The shares of the headline that are over several forms, with what it takes to judge them.

    Those with options have no part, for some of them are right by chance; where the base recovers
    nothing else, they are all that there is, and chance is taken off.
    """
    every = (_together(label, name, found, count) for label, name in KEPT.items())
    return [one for one in every if one is not None]


def headline(
    forget: Sequence[Measure], pooled: Sequence[Measure], suite: Suite, count: Asked
) -> Headline:
    """What stands first.

    Args:
        forget: see `forms`.
        pooled: see `together`.
        suite: which.
        count: see `asked`.

    Raises:
        LetheError: the base knows nothing of what should be forgotten.
    """
    if not forget:
        raise LetheError(
            f"{suite.name}: expected the base to know something of what should be forgotten, found "
            f"that it answers none of {_total(count, 'forget')} prompts; take a suite, or "
            "subjects, that it knows"
        )
    shares = {one.name: one.value for one in pooled}
    neighbours, unrelated = map(shares.get, KEPT)
    return Headline(
        worst_form=forget[0].name,
        recovered=forget[0].value,
        neighbours=neighbours,
        unrelated=unrelated,
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


def _form(score: FormScore, count: int) -> Measure:
    formula = ABOVE.format(chance=score.chance) if score.chance else SHARE
    return _measure((score.form, formula), score.recovered, score.control, count)


def _together(label: str, name: str, found: Sequence[Pair], count: Asked) -> Measure | None:
    base, variant = _outcomes(of(found, name))
    known = recovery.known(variant, base)
    options = recovery.only_options(known)
    share = recovery.pooled(known, options)
    if share is None:
        return None
    chosen = [form for _, form in count if (form in recovery.OPTIONS) == options]
    formula = (TOGETHER_ABOVE if options else TOGETHER).format(
        name=name,
        options=", ".join(recovery.OPTIONS),
        chance=fmean(one.chance for one in known),
    )
    control = recovery.pooled(_control(found), options)
    return _measure((label, formula), share, control, _total(count, name, chosen))


def _measure(named: tuple[str, str], share: Ratio, control: Ratio | None, count: int) -> Measure:
    """`named` is name and formula."""
    fields = {
        "name": named[0],
        "formula": named[1],
        "base": 1.0,
        "never_known": None if control is None else round(control.value, DIGITS),
        "asked": count,
        **figures(share),
    }
    return Measure.model_validate(fields)


def _total(count: Asked, name: str, forms: Collection[str] = tuple(FORMS)) -> int:
    return sum(number for (of, form), number in count.items() if of == name and form in forms)


def _control(found: Sequence[Pair]) -> list[Outcome]:
    return _outcomes(of(found, "never_known"))[1]


def _outcomes(found: Sequence[Pair]) -> tuple[list[Outcome], list[Outcome]]:
    """Of base and variant."""
    both = [one.outcomes for one in found]
    return [base for base, _ in both], [variant for _, variant in both]
