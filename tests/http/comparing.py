"""Whether two answers are one: equal but for ids, and log-probabilities to what float32 leaves."""

import math
from typing import Any

LOG_PROBABILITY = 1e-3
"""Natural logarithms. The same prompt, cached or not, differs by some 1e-5."""


def alike(one: Any, other: Any) -> bool:
    """Compares JSON documents; what a server makes up for each answer (`id`) does not count."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = one.keys() - {"id"}
        return keys == other.keys() - {"id"} and all(alike(one[k], other[k]) for k in keys)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, abs_tol=LOG_PROBABILITY)
    return bool(one == other)
