"""Colours are legible on a page by day and by night, and curves differ in more than colour."""

import re
from importlib.resources import files

import pytest

from lethe_server.report.plots.styles import COLOURS, MARKERS, style

STYLE = (files("lethe_server.report") / "templates" / "page.css").read_text("utf-8")
WORDS, GRAPHICS = 4.5, 3.0
"""What WCAG 2 asks for."""


def luminance(colour: str) -> float:
    shares = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("place", [0, 1])
def test_it_is_legible_by_day_and_by_night(place: int) -> None:
    names = ("paper", "ink", "faint", "shade", "focus")
    paper, ink, faint, shade, focus = (
        re.findall(rf"--{name}: (#[0-9a-f]{{6}})", STYLE)[place] for name in names
    )
    assert min(contrast(one, paper) for one in (ink, faint)) >= WORDS
    assert contrast(ink, shade) >= WORDS
    assert min(contrast(one, paper) for one in (*COLOURS, focus)) >= GRAPHICS


def test_styles_differ() -> None:
    count = len(COLOURS) * len(MARKERS)
    assert len({style(place) for place in range(count)}) == count == 77
