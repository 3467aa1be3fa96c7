"""Words and numbers as a page, a plot or a table shows them."""

import unicodedata
from collections.abc import Sequence

NONE = "–"
"""Where there is no number."""

SHORT = 12
"""Characters of a digest that are shown."""


def plain(text: str) -> str:
    """Without characters that steer how others are shown; a stranger wrote it."""
    return "".join("\ufffd" if unicodedata.category(one)[0] == "C" else one for one in text)


def shortened(text: str, longest: int) -> str:
    """For a place where only so many characters have room."""
    text = plain(text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def number(value: float | None) -> str:
    """Three decimals, or two digits of what would be 0.000 or has no room."""
    if value is None:
        return NONE
    small = 0 < abs(value) < 0.001
    return f"{value:.2g}" if small or abs(value) >= 1000 else f"{value:.3f}"


def interval(bounds: tuple[float, float] | None) -> str:
    """Of 95 %."""
    return NONE if bounds is None else " to ".join(map(number, bounds))


def short(digest: str) -> str:
    """The beginning of a digest."""
    return digest[:SHORT]


def counted(count: int, one: str) -> str:
    """A number with its noun."""
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


def listed(words: Sequence[str]) -> str:
    """One after the other."""
    return ", ".join(words)
