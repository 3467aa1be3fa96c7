"""A figure, from its axes to inline SVG: the same for the same, whatever this machine prefers."""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lethe_server.report import text
from lethe_server.report.plots.inline_svg import inline
from lethe_server.report.plots.styles import INK, LINE, PAGE_COLOURS, PAPER

WIDTH = 7.2
"""In inches; a page makes it as wide as there is room."""

ROW = 0.2
"""Inches that a line of text needs."""

SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "lethe",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "lines.markersize": 5,
    "lines.markeredgecolor": PAPER,
    "lines.markeredgewidth": 0.5,
}
NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


@dataclass(frozen=True)
class Drawing:
    """A figure of a page.

    Attributes:
        svg: itself, with its description.
        caption: what is seen, in a sentence or two.
    """

    svg: Markup
    caption: str


@dataclass(frozen=True)
class Plan:
    """What is to be drawn.

    Attributes:
        paint: draws it.
        height: in inches.
        caption: what is seen.
        alt: the gist of its numbers.
    """

    paint: Callable[[Axes], None]
    height: float
    caption: str
    alt: str

    def draw(self, prefix: str) -> Drawing:
        """Draws it; `prefix` begins its ids, and no other's on the page."""
        with mpl.rc_context(), warnings.catch_warnings():
            # The reader's program has the letters; those of this machine only measure them.
            warnings.filterwarnings("ignore", "Glyph", UserWarning)
            mpl.rcdefaults()
            mpl.rcParams.update(SETTINGS)
            svg = _svg(self.paint, self.height)
        return Drawing(inline(svg, prefix, text.plain(self.alt), PAGE_COLOURS), self.caption)


def shares(axis_limits: Callable[[float, float], object]) -> None:
    """Has an axis go from none to all, with room for markers at both ends."""
    axis_limits(-0.04, 1.04)


def _svg(paint: Callable[[Axes], None], height: float) -> bytes:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    paint(figure.add_subplot())
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata=NO_METADATA)
    return file.getvalue()
