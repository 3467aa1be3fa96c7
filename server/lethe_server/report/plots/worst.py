"""The worst form of every profile: bars."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from lethe_server.report import text
from lethe_server.report.grouping import Board, Row
from lethe_server.report.plots.drawing import ROW, Plan, shares
from lethe_server.report.plots.styles import COLOURS, INK

CAPTION = (
    "The worst form of each profile: the share that it still brings up, with its 95 % interval. "
    "The tick in the bar's row is what that form brings up of what does not exist."
)


def plan(board: Board) -> Plan:
    """Of every profile."""
    return Plan(
        lambda axes: _paint(axes, board.rows),
        1.2 + ROW * 1.4 * len(board.rows),
        CAPTION,
        "Worst form of each profile. " + "; ".join(map(_said, board.rows)),
    )


def _said(row: Row) -> str:
    worst = row.worst
    within = "" if worst.interval is None else f" (95 %: {text.interval(worst.interval)})"
    return f"{row.label}: {text.number(worst.value)}{within}, {worst.name}"


def _paint(axes: Axes, rows: Sequence[Row]) -> None:
    places = range(len(rows))
    axes.barh(places, [row.worst.value for row in rows], 0.6, color=COLOURS[0], alpha=0.75)
    axes.set_yticks(places, [row.label for row in rows])
    axes.set_xlabel("worst form recovered")
    axes.grid(visible=False, axis="y")
    shares(axes.set_xlim)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    for place, row in enumerate(rows):
        _notes(axes, place, row)


def _notes(axes: Axes, place: int, row: Row) -> None:
    worst = row.worst
    if worst.interval is not None:
        axes.plot(worst.interval, [place, place], color=INK, linewidth=1.2)
    if worst.never_known is not None:
        axes.plot(worst.never_known, place, "|", markersize=13, markeredgecolor=COLOURS[1], mew=2)
    said = f"{text.number(worst.value)}  {text.shortened(worst.name, 24)}"
    axes.text(1.02, place, said, transform=axes.get_yaxis_transform(), va="center")
