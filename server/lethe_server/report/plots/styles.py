"""Colours and markers. Curves differ in both, so that neither colour nor a printer is needed."""

from dataclasses import dataclass

# Okabe and Ito's, which those who see few colours tell apart, without black and yellow, and with
# two of them darker: each is legible on a page by day and by night.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b97f00", "#3a92cc", "#8c8c8c")
MARKERS = "osD^vPX<>*p"

# No colour that is drawn: each stands for one that the page has, by day and by night.
INK, PAPER, LINE = "#010203", "#040506", "#070809"
PAGE_COLOURS = {INK: "currentColor", PAPER: "var(--paper)", LINE: "var(--line)"}


@dataclass(frozen=True)
class Style:
    """How one profile, or curve, is drawn."""

    colour: str
    marker: str


def style(place: int) -> Style:
    """Of the one at a place; the first 77 all differ."""
    return Style(COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)])
