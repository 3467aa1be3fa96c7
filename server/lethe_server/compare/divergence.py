"""A lower bound of the Kullback-Leibler divergence, from the likeliest tokens of both.

An engine tells the log-probabilities of some tokens, not of the whole vocabulary. The tokens that
both distributions tell keep a bucket each, and all others share one, whose probability is what is
left of 1. By the data processing inequality the divergence of such a coarsening is at most that of
the whole distributions:

    KL(p || q)  >=  sum_t p(t) log(p(t) / q(t)) + p(rest) log(p(rest) / q(rest))

with t over the common tokens. It is exact where they carry all the probability.
"""

import math
from collections.abc import Iterable, Mapping

FLOOR = 1e-6
"""What is left of 1 after some float32 probabilities is known no better than this."""


def kl_lower_bound(p: Mapping[int, float], q: Mapping[int, float]) -> float:
    """At most KL(p || q), in nats; 0 where both tell the same.

    Args:
        p: natural log-probabilities of some tokens, by id.
        q: the same of the other distribution; not necessarily of the same tokens.
    """
    common = p.keys() & q.keys()
    told = math.fsum(math.exp(p[token]) * (p[token] - q[token]) for token in common)
    rest_p, rest_q = _rest(p[token] for token in common), _rest(q[token] for token in common)
    # A larger q(rest) makes the bound smaller, never wrong.
    rest = rest_p * math.log(rest_p / max(rest_q, FLOOR)) if rest_p > 0 else 0.0
    return max(0.0, told + rest)


def _rest(logprobs: Iterable[float]) -> float:
    return 1 - math.fsum(map(math.exp, logprobs))
