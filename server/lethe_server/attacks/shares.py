"""Points of a curve: which share is recovered, by form, in the worst form, or over all forms."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from lethe_projections.evaluation import scoring
from lethe_projections.evaluation.metrics import recovery
from lethe_projections.evaluation.metrics.ratio import Ratio
from lethe_projections.evaluation.metrics.recovery import Outcome
from lethe_server.attacks.document import Curve, Point
from lethe_server.evaluating.recovering import figures
from lethe_server.evaluating.work import Work

Chance = Mapping[str, float]
"""How often a form is right without knowledge, over all that is asked; formulas say it."""

Measured = Sequence[tuple[float, Sequence[Outcome]]]
"""What came back, by rising place on the axis."""

ABOVE = (
    "max(0, (share - c) / (1 - c)), c = 1 / (1 + wrong answers) on average over a point's prompts, "
    "{chance:.3f} over all that is asked"
)
WORST = "the worst form, that with most recovered at each point"
TOGETHER = "all forms together"
WITHOUT = f"{TOGETHER} but those with options ({', '.join(recovery.OPTIONS)})"
ALONE = (
    f"{TOGETHER}, which have options; max(0, (share - c) / (1 - c)), c = {{chance:.3f}} by chance"
)


def chance(asked: Work) -> dict[str, float]:
    """Of each form that is right by chance at times, over all suites; see `recovery.chance`."""
    every = [scoring.answered(one.item, one.prompt, "") for one in asked.every()]
    return {form: found for form, found in recovery.chance(every).items() if found}


def worst(
    name: str, share: str, measured: Measured, by_chance: Chance, control: bool = False
) -> Curve | None:
    """The worst form of each point, chance taken off; None where there is no point.

    Args:
        name: of what.
        share: what is divided by what.
        measured: what came back.
        by_chance: see `Chance`.
        control: see `Curve`.
    """
    found = []
    for at, outcomes in measured:
        forms = _above(outcomes)
        first = recovery.worst_form(forms)
        if first is not None:
            found.append(_point(at, forms[first]))
    taken = "".join(f"; of {form} {ABOVE.format(chance=c)}" for form, c in by_chance.items())
    return _curve(name, f"share = {share}; {WORST}{taken}", found, control)


def form(
    name: str, share: str, measured: Measured, by_chance: Chance, control: bool = False
) -> Curve | None:
    """As `worst`, of outcomes that are all of one form."""
    found = [(at, score) for at, outcomes in measured for score in _above(outcomes).values()]
    asked = {one.form for _, outcomes in measured for one in outcomes}
    taken = "".join(f"; {ABOVE.format(chance=by_chance[one])}" for one in asked & by_chance.keys())
    return _curve(name, f"share = {share}{taken}", [_point(*one) for one in found], control)


def together(name: str, share: str, measured: Measured, control: bool = False) -> Curve | None:
    """Over several forms, as an evaluation's headline has neighbours."""
    every = [one for _, outcomes in measured for one in outcomes]
    options = recovery.only_options(every)
    found = [(at, recovery.pooled(outcomes, options)) for at, outcomes in measured]
    points = [_point(at, one) for at, one in found if one is not None]
    if not points:
        return None
    over = ALONE.format(chance=fmean(one.chance for one in every)) if options else WITHOUT
    return _curve(name, f"share = {share}; {over}", points, control)


def _above(outcomes: Sequence[Outcome]) -> dict[str, Ratio]:
    return recovery.above_chance(recovery.by_form(outcomes), recovery.chance(outcomes))


def _curve(name: str, formula: str, points: list[Point], control: bool) -> Curve | None:
    if not points:
        return None
    return Curve(name=name, control=control, formula=formula, points=points)


def _point(at: float, found: Ratio) -> Point:
    return Point.model_validate({"at": at, **figures(found)})
