"""Points of a curve: which share is recovered, by form, in the worst form, or over all forms."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from lethe_projections.evaluation.metrics import recovery
from lethe_projections.evaluation.metrics.ratio import Ratio
from lethe_projections.evaluation.metrics.recovery import Outcome
from lethe_server.attacks.document import Curve, Point
from lethe_server.evaluating.recovering import figures
from lethe_server.evaluating.work import Work

Chance = Mapping[str, float]
"""How often a form is right without knowledge; 0 where it is not named."""

Measured = Sequence[tuple[float, Sequence[Outcome]]]
"""What came back, by rising place on the axis."""

ABOVE = "max(0, (share - {chance:.3f}) / (1 - {chance:.3f})), by chance {chance:.3f}"
WORST = "the worst form, that with most recovered at each point"
TOGETHER = "all forms together, chance not taken off"


def chance(asked: Work) -> dict[str, float]:
    """As `Suite.chance`, over all suites."""
    wrong = [len(one.prompt.wrong) for one in asked.every() if one.prompt.wrong]
    return {"ranking": fmean(1 / (1 + count) for count in wrong)} if wrong else {}


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
        forms = recovery.above_chance(recovery.by_form(outcomes), by_chance)
        first = recovery.worst_form(forms)
        if first is not None:
            found.append(_point(at, forms[first]))
    taken = "".join(f"; of {form} {ABOVE.format(chance=c)}" for form, c in by_chance.items())
    return _curve(name, f"share = {share}; {WORST}{taken}", found, control)


def form(
    name: str, share: str, measured: Measured, by_chance: Chance, control: bool = False
) -> Curve | None:
    """As `worst`, of outcomes that are all of one form."""
    found = [
        (at, score)
        for at, outcomes in measured
        for score in recovery.above_chance(recovery.by_form(outcomes), by_chance).values()
    ]
    asked = {one.form for _, outcomes in measured for one in outcomes}
    taken = "".join(f"; {ABOVE.format(chance=by_chance[one])}" for one in asked & by_chance.keys())
    return _curve(name, f"share = {share}{taken}", [_point(*one) for one in found], control)


def together(name: str, share: str, measured: Measured, control: bool = False) -> Curve | None:
    """Over all forms, as an evaluation's headline has neighbours."""
    found = [(at, recovery.share(outcomes)) for at, outcomes in measured]
    points = [_point(at, one) for at, one in found if one is not None]
    return _curve(name, f"share = {share}; {TOGETHER}", points, control)


def _curve(name: str, formula: str, points: list[Point], control: bool) -> Curve | None:
    if not points:
        return None
    return Curve(name=name, control=control, formula=formula, points=points)


def _point(at: float, found: Ratio) -> Point:
    return Point.model_validate({"at": at, **figures(found)})
