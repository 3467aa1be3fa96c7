"""Forgetting against retention: a point a profile."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from lethe_server.report import text
from lethe_server.report.grouping import Board, Row
from lethe_server.report.plots.drawing import ROW, Plan, shares
from lethe_server.report.plots.spreading import spread
from lethe_server.report.plots.styles import INK, LINE, style

KEPT_AT_LEAST, RECOVERED_AT_MOST = 0.9, 0.1
"""The region to aim for: a guide for the eye."""

BESIDE = 1.05
"""Where labels begin, in widths of the axes."""

CAPTION = (
    "Forgetting against retention; lower right is best. Bars are 95 % intervals. The dashed box, "
    f"at most {RECOVERED_AT_MOST} recovered and at least {KEPT_AT_LEAST} kept, guides the eye and "
    "is no verdict. The base is where nothing is forgotten."
)


def plan(board: Board) -> Plan | None:
    """None where no profile has neighbours that the base knows."""
    rows = [row for row in board.rows if row.suite.headline.neighbours is not None]
    absent = [row.label for row in board.rows if row not in rows]
    if not rows:
        return None
    without = f" Without known neighbours, so not drawn: {text.listed(absent)}."
    return Plan(
        lambda axes: _paint(axes, rows),
        _height(rows),
        CAPTION + (without if absent else ""),
        "Forgetting against retention. " + "; ".join(map(_said, rows)),
    )


def _said(row: Row) -> str:
    kept, recovered = text.number(_kept(row)), text.number(row.worst.value)
    return f"{row.label}: worst form recovered {recovered}, neighbours kept {kept}"


def _height(rows: Sequence[Row]) -> float:
    return max(4.2, ROW * len(rows) + 1.0)


def _kept(row: Row) -> float:
    return row.suite.headline.neighbours or 0.0


def _paint(axes: Axes, rows: Sequence[Row]) -> None:
    shares(axes.set_xlim)
    shares(axes.set_ylim)
    axes.set_xlabel("neighbours kept")
    axes.set_ylabel("worst form recovered")
    size = 1 - KEPT_AT_LEAST, RECOVERED_AT_MOST
    box: dict[str, Any] = {"fill": False, "edgecolor": INK, "linestyle": "--", "linewidth": 0.8}
    axes.add_patch(Rectangle((KEPT_AT_LEAST, 0), *size, **box))
    axes.plot(1, 1, "x", color=INK, markeredgecolor=INK, markersize=7, markeredgewidth=1.5)
    axes.annotate("base", (1, 1), (-8, 0), textcoords="offset points", ha="right", va="center")
    # The lower a point the lower its label, and of two at a height the right one's: then lines to
    # labels seldom cross.
    upwards = sorted(rows, key=lambda row: (row.worst.value, -_kept(row)))
    room = ROW / (_height(rows) - 0.7)
    wanted = [axes.transLimits.transform((0, row.worst.value))[1] for row in upwards]
    for row, place in zip(upwards, spread(wanted, 0.02, 0.98, room), strict=True):
        _point(axes, row, place, rows.index(row))


def _point(axes: Axes, row: Row, place: float, index: int) -> None:
    x, y, look = _kept(row), row.worst.value, style(index)
    if row.worst.interval is not None:
        axes.plot([x, x], row.worst.interval, color=look.colour, linewidth=1.2)
    if row.neighbours is not None and row.neighbours.interval is not None:
        axes.plot(row.neighbours.interval, [y, y], color=look.colour, linewidth=1.2)
    line = {"arrowstyle": "-", "color": LINE, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (x, y), (BESIDE, place), "data", "axes fraction", arrowprops=line, zorder=1)
    axes.plot(x, y, look.marker, color=look.colour, markersize=8)
    key: dict[str, Any] = {"color": look.colour, "transform": axes.transAxes, "clip_on": False}
    axes.plot(BESIDE, place, look.marker, markersize=6, **key)
    axes.text(BESIDE + 0.02, place, row.label, transform=axes.transAxes, va="center")
