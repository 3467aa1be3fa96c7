"""How much harder a variant finds text that should not change.

    perplexity ratio = exp((L_variant - L_base) / T)

with L the negative log-likelihood of all T tokens of all texts together. It is 1 for the base. A
mean of the texts' own perplexities is another figure: one unlikely text would be most of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """One text's negative log-likelihoods, in nats, summed over its tokens.

    Attributes:
        base: by the base.
        variant: by the variant.
        tokens: how many were predicted.
    """

    base: float
    variant: float
    tokens: int


def ratio(texts: Sequence[Text]) -> float:
    """Above 1 where the variant is worse; infinite where it is beyond what a float holds.

    Raises:
        ValueError: no token was predicted.
    """
    tokens = sum(text.tokens for text in texts)
    if not tokens:
        raise ValueError("expected texts with tokens, found none; give text that is kept")
    lost = math.fsum(text.variant - text.base for text in texts) / tokens
    return math.exp(lost) if lost < 700 else math.inf
