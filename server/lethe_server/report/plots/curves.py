"""How a profile withstood an attack: curves over an axis, of any kind."""

from collections.abc import Sequence
from math import nan

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from lethe_server.attacks.document import Attack, Curve, Point
from lethe_server.report import text
from lethe_server.report.grouping import Tried
from lethe_server.report.plots.drawing import ROW, Plan, shares
from lethe_server.report.plots.styles import INK, style

DRAWABLE = 1e9
"""What is further away is told in the table only: the rest would be a line beside it."""

CAPTION = "Bars are 95 % intervals; dashed curves are controls."
LONGEST = 90
"""Characters of a curve's name below a plot."""

FEW = 12
"""So many places are all written on the axis."""


def plan(tried: Tried) -> Plan:
    """Of one attack."""
    found = tried.found
    far = sum(not _near(point) for curve in found.curves for point in curve.points)
    left_out = f" {text.counted(far, 'value')} beyond {DRAWABLE:.0e} not drawn." if far else ""
    return Plan(
        lambda axes: _paint(axes, found),
        3.4 + ROW * (len(found.curves) + len(found.marks)),
        f"{_measure(found)}{CAPTION}{left_out}",
        f"{found.kind} of {tried.label}. {'; '.join(_said(one) for one in found.curves)}",
    )


def together(tried: Sequence[Tried]) -> Plan:
    """The curves to look at of profiles to which the same was done, one a profile."""
    first = tried[0].found
    curves = [one.found.curves[0].model_copy(update={"name": one.label}) for one in tried]
    return plan(Tried("all", first.model_copy(update={"curves": curves, "marks": {}})))


def _measure(found: Attack) -> str:
    """What all curves measure, if they do measure the same."""
    formulas = {curve.formula for curve in found.curves}
    return f"Measured: {formulas.pop()}. " if len(formulas) == 1 else ""


def _said(curve: Curve) -> str:
    first, last = curve.points[0], curve.points[-1]
    highest = max(curve.points, key=lambda point: point.value)
    control = " (control)" if curve.control else ""
    ends = f"{text.number(first.value)} at {first.at:g}, {text.number(last.value)} at {last.at:g}"
    return f"{curve.name}{control}: {ends}, at most {text.number(highest.value)} at {highest.at:g}"


def _near(point: Point) -> bool:
    return all(abs(one) <= DRAWABLE for one in (point.at, point.value, *(point.interval or ())))


def _paint(axes: Axes, found: Attack) -> None:
    for place, curve in enumerate(found.curves):
        _curve(axes, curve, place)
    for name, at in found.marks.items():
        _mark(axes, name, at)
    axes.set_xlabel(text.shortened(found.axis, LONGEST))
    drawn = [point for curve in found.curves for point in curve.points if _near(point)]
    _limits(axes, drawn)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.16), borderaxespad=0, fontsize=8.5)


def _curve(axes: Axes, curve: Curve, place: int) -> None:
    look, points = style(place), [one for one in curve.points if _near(one)]
    axes.plot(
        [point.at for point in points],
        [point.value for point in points],
        linestyle="--" if curve.control else "-",
        linewidth=1.2 if curve.control else 2,
        color=look.colour,
        marker=look.marker,
        label=_entry(curve.name + (" (control)" if curve.control else "")),
    )
    _bars(axes, points, look.colour)


def _bars(axes: Axes, points: Sequence[Point], colour: str) -> None:
    """All as one line with gaps, which takes a fraction of the bytes."""
    gap = (nan, nan)
    ends = [one for point in points for one in (*(point.interval or gap), nan)]
    places = [one for point in points for one in (point.at, point.at, nan)]
    axes.plot(places, ends, color=colour, linewidth=1, alpha=0.6)


def _mark(axes: Axes, name: str, at: float) -> None:
    if abs(at) <= DRAWABLE:
        axes.axvline(at, color=INK, linestyle=":", linewidth=1.2, label=_entry(f"{name} {at:g}"))


def _entry(name: str) -> str:
    """Of the legend, which leaves out what begins with an underscore, or is empty."""
    return f" {text.shortened(name, LONGEST)}"


def _limits(axes: Axes, points: Sequence[Point]) -> None:
    values = [one for point in points for one in (point.value, *(point.interval or ()))]
    if all(0 <= one <= 1 for one in values):
        shares(axes.set_ylim)
    places = sorted({point.at for point in points})
    if 0 < len(places) <= FEW:
        axes.set_xticks(places, [f"{one:g}" for one in places])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
