"""An attack as a person reads it: a table, a curve a row, a place on the axis a column.

Below each value is its interval.
"""

from rich.console import Console
from rich.table import Table

from lethe_server.attacks.document import MEANING, Attack, Curve, Point

NAME, WIDTH = 24, 11
"""Characters of the column of names, at least, and of each other one."""


def show(found: Attack, console: Console) -> None:
    """Prints all of it; controls last."""
    console.print(
        f"{found.kind} of {found.digest[:12]}: {MEANING[found.kind]}",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
    table = _table(found)
    # Nothing is left out on a narrow terminal: it wraps the lines itself.
    needed = NAME + WIDTH * (len(table.columns) - 1)
    Console(file=console.file, width=max(console.width, needed)).print(table)
    for one in _ordered(found):
        console.print(f"{one.name}: {one.formula}", markup=False, highlight=False, soft_wrap=True)


def _table(found: Attack) -> Table:
    places = sorted({point.at for curve in found.curves for point in curve.points})
    table = Table(title=found.axis, title_justify="left", box=None, pad_edge=False)
    table.add_column("", overflow="fold", min_width=NAME)
    for place in places:
        table.add_column(f"{place:g}", justify="right", no_wrap=True)
    for curve in _ordered(found):
        name = f"{curve.name} (control)" if curve.control else curve.name
        points = {point.at: point for point in curve.points}
        table.add_row(name, *(_cell(points.get(place)) for place in places))
    return table


def _ordered(found: Attack) -> list[Curve]:
    return sorted(found.curves, key=lambda curve: curve.control)


def _cell(point: Point | None) -> str:
    if point is None:
        return ""
    bounds = "" if point.interval is None else "\n{:.2f}-{:.2f}".format(*point.interval)
    return f"{point.value:.3f}{bounds}"
