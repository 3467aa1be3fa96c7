"""How little of an answer has to be given away for a model to complete the rest.

    strength = 1 - k / T,  k the fewest leading tokens given after which all others are likeliest

1 if the model needs nothing, 0 if not even the last token follows from all before it. The
widespread implementation stops its search at k = T - 1 whether or not the last token was right, so
a wholly wrong answer scores 1/T, and a wrong one-token answer 1.
Source: Wang et al., "Towards Effective Evaluations and Comparisons for LLM Unlearning Methods"
(2024), after Carlini et al. (arXiv 2012.07805).
"""

from collections.abc import Sequence


def extraction_strength(likeliest: Sequence[int], answer: Sequence[int]) -> float:
    """Between 0 and 1.

    Args:
        likeliest: [T] the likeliest token at each of the answer's places, all before it given.
        answer: [T] the answer's own.

    Raises:
        ValueError: lengths differ, or the answer has no token.
    """
    if len(likeliest) != len(answer) or not answer:
        raise ValueError(
            f"expected one predicted token for each of the answer's, found {len(likeliest)} for "
            f"{len(answer)}; leave answers without a token out"
        )
    wrong = [place for place, token in enumerate(answer) if likeliest[place] != token]
    given = wrong[-1] + 1 if wrong else 0
    return 1 - given / len(answer)
