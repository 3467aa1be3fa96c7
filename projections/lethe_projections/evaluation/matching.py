"""Whether an answer occurs in a text: as a whole word, accents aside. Knows no models."""

import unicodedata

from lethe_projections import words

_SAME = str.maketrans(
    dict.fromkeys("\u2018\u2019\u02bb\u02bc\u2032\u00b4\u0060", "'")
    | dict.fromkeys("\u2010\u2011\u2013", "-")
    | {"_": " "}
)
"""Ways to write an apostrophe and a hyphen; `_`, which is emphasis, is no part of a word."""

_LETTERS = ("THAI ", "LAO ", "KHMER ", "MYANMAR ", "TIBETAN ", "COMBINING KATAKANA-HIRAGANA ")
"""Scripts whose marks make another letter, not an accented one."""


def holds(text: str, expected: str, exact_case: bool = False) -> bool:
    """Whether `expected` occurs in `text` as a whole word; see `words.whole`.

    Accents are no difference (Bogota, Bogotá), nor is how an apostrophe is written. Case is one
    only with `exact_case`, for short symbols: "he" is no answer to "Which symbol stands for
    helium?".
    """
    pattern = words.whole([_plain(expected)], exact_case=exact_case)
    return pattern.search(_plain(text)) is not None


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.translate(_SAME))
    return unicodedata.normalize("NFC", "".join(c for c in decomposed if not _accent(c)))


def _accent(letter: str) -> bool:
    if not unicodedata.combining(letter):
        return False
    return not unicodedata.name(letter, "").startswith(_LETTERS)
