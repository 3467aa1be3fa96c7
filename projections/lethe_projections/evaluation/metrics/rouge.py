"""ROUGE: how many of one text's words are in another, in any order or in the same.

    ROUGE-1 recall = sum over words of min(times in candidate, times in reference)
                     / words of the reference
    ROUGE-L recall = L / words of the reference
    ROUGE-L F1     = 2 L / (words of the candidate + words of the reference)

with L the length of the longest common subsequence of words. Words are runs of letters and digits
of the case-folded text; punctuation is left out, and nothing is stemmed.

On ASCII text this is the package `rouge-score` with `use_stemmer=False`, as MUSE has it; TOFU
stems. That package takes any other letter for a space: "Bogotá" is "bogot" there, and an answer in
another script scores 0 however right it is. Its `score(target, prediction)` takes the reference
first; swapped, recall and precision change places.

LUNAR reports ROUGE-1 recall, TOFU and RWKU ROUGE-L recall, MUSE ROUGE-L F1.
Source: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries" (2004), sections 2 and 3, with
beta = 1.
"""

import re
from collections import Counter
from collections.abc import Sequence


def rouge_1_recall(candidate: str, reference: str) -> float:
    """Between 0 and 1.

    Raises:
        ValueError: the reference has no word.
    """
    wanted = _wanted(reference)
    return (Counter(words(candidate)) & Counter(wanted)).total() / len(wanted)


def rouge_l_recall(candidate: str, reference: str) -> float:
    """Between 0 and 1; at most ROUGE-1 recall, since order counts.

    Raises:
        ValueError: the reference has no word.
    """
    wanted = _wanted(reference)
    return common_length(words(candidate), wanted) / len(wanted)


def rouge_l(candidate: str, reference: str) -> float:
    """F1 between 0 and 1; 1 for two texts without a word."""
    one, other = words(candidate), words(reference)
    if not one and not other:
        return 1.0
    return 2 * common_length(one, other) / (len(one) + len(other))


def words(text: str) -> list[str]:
    """What is compared."""
    return re.findall(r"[^\W_]+", text.casefold())


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


def _wanted(reference: str) -> list[str]:
    found = words(reference)
    if not found:
        raise ValueError(
            f"expected a reference with a word, found {reference!r:.80}; leave the item out"
        )
    return found
