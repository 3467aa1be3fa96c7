"""How likely an answer is, independent of its length.

    p(answer)  = exp(1/T sum_t log p(token_t | prompt, tokens before))
    normalised = p(right) / (p(right) + sum of p(wrong))

The first is the T-th root of the answer's probability. The product itself, which some report under
this name, falls with every token: of two answers known equally well the longer one would seem
forgotten.
Source: TOFU (arXiv 2401.06121), section 2.2, the second for real authors and world facts.
"""

import math
from collections.abc import Sequence


def loss(log_probabilities: Sequence[float]) -> float:
    """Mean negative log-likelihood a token, in nats.

    Args:
        log_probabilities: [T] natural log p of each of the answer's tokens, the prompt's left out.

    Raises:
        ValueError: there are none.
    """
    if not log_probabilities:
        raise ValueError("expected an answer of one token or more, found none; leave the item out")
    return -math.fsum(log_probabilities) / len(log_probabilities)


def probability(log_probabilities: Sequence[float]) -> float:
    """Between 0 and 1, of [T] log-probabilities.

    Raises:
        ValueError: there are none.
    """
    return math.exp(-loss(log_probabilities))


def normalised(right: float, wrong: Sequence[float]) -> float:
    """The right answer's share, from losses; 1 / (1 + len(wrong)) where all are equally likely.

    Args:
        right: `loss` of the right answer.
        wrong: that of each wrong one.
    """
    # Relative to the right one, so that answers of tiny probability are still told apart.
    return 1 / (1 + math.fsum(_exp(right - one) for one in wrong))


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
