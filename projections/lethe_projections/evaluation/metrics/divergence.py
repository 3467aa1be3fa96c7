"""How much a variant departs from the base on text that should not change.

    KL(base || variant) = 1/T sum_t sum_v p_base(v|t) (log p_base(v|t) - log p_variant(v|t))

in nats a token, teacher-forced, over the whole vocabulary. The base comes first: what it expects
and the variant rules out costs most. The mean is over the tokens of all texts, not over texts'
means.
"""

from torch import Tensor


def per_token(base: Tensor, variant: Tensor) -> Tensor:
    """KL(base || variant) at each token, [t] float64.

    Args:
        base: [t, vocabulary] log-probabilities, of any float; -inf where a token is impossible.
        variant: the same of the variant, at the same tokens.
    """
    base, variant = base.double(), variant.double()
    lost = base.exp() * (base - variant)
    # 0 log 0 is 0, where floats say NaN.
    return lost.masked_fill(base.isneginf(), 0.0).sum(-1)
