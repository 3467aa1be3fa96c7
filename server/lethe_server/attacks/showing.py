"""An attack as a person reads it: a table, a curve a row, a place on the axis a column.

Below each value is its interval. Where there are too many places for a terminal's width, it is the
other way round, without intervals.
"""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from lethe_server.attacks.document import MEANING, Attack, Curve, Point

WIDEST = 9
"""Places that fit beside each other."""

NAME, WIDTH = 24, 11
"""Characters of the column of names, at least, and of each other one."""


def show(found: Attack, console: Console) -> None:
    """Prints all of it; controls last."""
    console.print(
        f"{found.kind} of {found.digest[:12]}: {MEANING[found.kind]}",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
    places = sorted({point.at for curve in found.curves for point in curve.points})
    wide = len(places) <= WIDEST
    table = (_wide if wide else _tall)(found, places)
    # Nothing is left out on a narrow terminal: it wraps the lines itself.
    needed = NAME + WIDTH * (len(table.columns) - 1)
    Console(file=console.file, width=max(console.width, needed)).print(table)
    for number, one in enumerate(_ordered(found), 1):
        name = one.name if wide else f"{number}  {_name(one)}"
        console.print(f"{name}: {one.formula}", markup=False, highlight=False, soft_wrap=True)


def _wide(found: Attack, places: Sequence[float]) -> Table:
    table = Table(title=found.axis, title_justify="left", box=None, pad_edge=False)
    table.add_column("", overflow="fold", min_width=NAME)
    for place in places:
        table.add_column(f"{place:g}", justify="right", no_wrap=True)
    for curve in _ordered(found):
        points = {point.at: point for point in curve.points}
        table.add_row(_name(curve), *(_cell(points.get(place)) for place in places))
    return table


def _tall(found: Attack, places: Sequence[float]) -> Table:
    """Curves by number, which the lines below the table explain."""
    curves = [{point.at: point for point in one.points} for one in _ordered(found)]
    table = Table(box=None, pad_edge=False)
    for title in (found.axis, *map(str, range(1, len(curves) + 1))):
        table.add_column(title, justify="right", no_wrap=True)
    for place in places:
        there = (points.get(place) for points in curves)
        table.add_row(f"{place:g}", *("" if one is None else f"{one.value:.3f}" for one in there))
    return table


def _name(curve: Curve) -> str:
    return f"{curve.name} (control)" if curve.control else curve.name


def _ordered(found: Attack) -> list[Curve]:
    return sorted(found.curves, key=lambda curve: curve.control)


def _cell(point: Point | None) -> str:
    if point is None:
        return ""
    bounds = "" if point.interval is None else "\n{:.2f}-{:.2f}".format(*point.interval)
    return f"{point.value:.3f}{bounds}"
