"""Every form of every profile: a map."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lethe_server.report import text
from lethe_server.report.grouping import Board, Row
from lethe_server.report.plots.drawing import ROW, Plan
from lethe_server.report.plots.styles import PAPER

COLOURS = "Blues"
DARK = 0.55
"""Where letters turn white."""

CAPTION = (
    "Every form of each profile: the share that it still brings up of what should be forgotten. "
    "Dark is more; an empty place is a form in which the base knows nothing, or that was not asked."
)
NAMED = 3
"""How many forms of a profile are named to those who do not see the map."""


def plan(board: Board) -> Plan:
    """Of every profile."""
    return Plan(
        lambda axes: _paint(axes, board.rows),
        1.4 + ROW * 1.4 * len(board.rows),
        CAPTION,
        "Every form of each profile; the worst of each are: " + "; ".join(map(_said, board.rows)),
    )


def _said(row: Row) -> str:
    worst = sorted(row.suite.forget, key=lambda one: -one.value)[:NAMED]
    return f"{row.label}: " + text.listed([f"{one.name} {text.number(one.value)}" for one in worst])


def _paint(axes: Axes, rows: Sequence[Row]) -> None:
    names = _names(rows)
    values = np.full((len(rows), len(names)), np.nan)
    for place, row in enumerate(rows):
        for one in row.suite.forget:
            values[place, names.index(one.name)] = one.value
    axes.grid(visible=False)
    look: dict[str, Any] = {"cmap": COLOURS, "edgecolors": PAPER, "linewidth": 1}
    axes.pcolormesh(values, vmin=0, vmax=1, **look)
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    said = [text.shortened(name, 18) for name in names]
    axes.set_xticks(np.arange(len(names)) + 0.5, said, rotation=40, ha="right")
    axes.set_yticks(np.arange(len(rows)) + 0.5, [row.label for row in rows])
    for (y, x), value in np.ndenumerate(values):
        _written(axes, x, y, value)


def _names(rows: Sequence[Row]) -> list[str]:
    """Those most recovered on the whole first."""
    sums: dict[str, float] = {}
    for row in rows:
        for one in row.suite.forget:
            sums[one.name] = sums.get(one.name, 0.0) + one.value
    return sorted(sums, key=lambda name: (-sums[name], name))


def _written(axes: Axes, x: int, y: int, value: float) -> None:
    if np.isnan(value):
        return
    colour = "white" if value > DARK else "black"
    where: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7}
    axes.text(x + 0.5, y + 0.5, f"{value:.2f}", color=colour, **where)
