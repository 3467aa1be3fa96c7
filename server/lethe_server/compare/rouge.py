r"""ROUGE-L: how much of one text is in another, in the same order.

Words are runs of letters, digits and underscores (`\w+`) of the case-folded text; punctuation is
left out, and nothing is stemmed. With L the length of the longest common subsequence of words,
precision is L / words of the candidate, recall L / words of the reference, and this their harmonic
mean:

    F1 = 2 L / (words of the candidate + words of the reference)

Source: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries" (2004), section 3, with
beta = 1.
"""

import re
from collections.abc import Sequence


def rouge_l(candidate: str, reference: str) -> float:
    """F1 between 0 and 1; 1 for two texts without a word."""
    one, other = words(candidate), words(reference)
    if not one and not other:
        return 1.0
    return 2 * common_length(one, other) / (len(one) + len(other))


def words(text: str) -> list[str]:
    """What is compared."""
    return re.findall(r"\w+", text.casefold())


def common_length(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence, in len(one) * len(other) steps."""
    lengths = [0] * (len(other) + 1)
    for word in one:
        diagonal = 0
        for place, against in enumerate(other, 1):
            above = lengths[place]
            lengths[place] = diagonal + 1 if word == against else max(above, lengths[place - 1])
            diagonal = above
    return lengths[-1]
