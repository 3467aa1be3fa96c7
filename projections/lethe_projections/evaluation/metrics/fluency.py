"""Whether a variant still writes text, or the same words again and again.

    entropy(n)  = -sum over n-grams g of f(g) log2 f(g),  f(g) the share of g among all
    fluency     = 1/2 (2/3 entropy(2) + 4/3 entropy(3))
    repetition  = 1 - distinct 4-grams / 4-grams

N-grams are of words, see `rouge.words`. Entropy grows with length (at most log2 of the number of
n-grams), so texts are compared at equal length, and with the base's. High entropy is not sense:
noise has more of it than language.
Source: Meng et al. (arXiv 2202.05262), whose code has these weights and splits words with nltk;
RWKU (arXiv 2406.10890) uses the same.
"""

import math
from collections import Counter

from lethe_projections.evaluation.metrics.rouge import words


def entropy(text: str, size: int) -> float:
    """Of a text's n-grams, in bits; 0 for a text with fewer words than one has."""
    counts = _grams(text, size)
    total = counts.total()
    return math.fsum(count / total * math.log2(total / count) for count in counts.values())


def fluency(text: str) -> float:
    """Weighted mean of the entropies of 2-grams and 3-grams, in bits."""
    return (2 / 3 * entropy(text, 2) + 4 / 3 * entropy(text, 3)) / 2


def repetition(text: str) -> float:
    """From 0, no 4-gram twice, towards 1; 0 for a text of fewer than 4 words."""
    counts = _grams(text, 4)
    return 1 - len(counts) / counts.total() if counts else 0.0


def _grams(text: str, size: int) -> Counter[tuple[str, ...]]:
    found = words(text)
    return Counter(tuple(found[at : at + size]) for at in range(len(found) - size + 1))
