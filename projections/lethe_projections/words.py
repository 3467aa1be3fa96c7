"""Whole words in text, in any script. Knows nothing of examples and tokens."""

import re
import unicodedata
from collections.abc import Iterable

_UNSPACED = ("CJK ", "HIRAGANA ", "KATAKANA ", "THAI ", "LAO ", "KHMER ", "MYANMAR ", "TIBETAN ")
"""Scripts that put no space between words, so that any place may be the end of one."""


def whole(words: Iterable[str], *, exact_case: bool = False) -> "re.Pattern[str]":
    """A pattern for any of the words, not within a longer one; for no words it never matches."""
    either = "|".join(map(_bounded, words)) or "(?!)"
    return re.compile(either, 0 if exact_case else re.IGNORECASE)


def _bounded(word: str) -> str:
    first, last = word[:1], word[-1:]
    before = "" if _unspaced(first) else r"(?<!\w)"
    behind = "" if _unspaced(last) else r"(?!\w)"
    return f"{before}{re.escape(word)}{behind}"


def _unspaced(letter: str) -> bool:
    return bool(letter) and unicodedata.name(letter, "").startswith(_UNSPACED)
