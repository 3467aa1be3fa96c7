"""Whether an answer occurs in a text: as a whole word, accents aside. Knows no models."""

import re
import unicodedata


def holds(text: str, expected: str, exact_case: bool = False) -> bool:
    """Whether `expected` occurs in `text` as a whole word.

    Accents are no difference (Bogota, Bogotá). Case is one only with `exact_case`, for short
    symbols: "he" is no answer to "Which symbol stands for helium?".
    """
    flags = 0 if exact_case else re.IGNORECASE
    pattern = rf"(?<!\w){re.escape(_plain(expected))}(?!\w)"
    return re.search(pattern, _plain(text), flags) is not None


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
