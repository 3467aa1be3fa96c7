"""The bytes that a case has to move through device memory, whatever computes it."""

from benchmarks.gpu.cases import Case


def nbytes(case: Case, itemsize: int) -> int:
    """Each factor read once, each input once, y read once and written once.

        itemsize (P k (d_in + d_out) + T (d_in + d_out + d_out))     with x of its own
        itemsize (P k (d_in + d_out) + T (d + d))                    where x is y

    and T d more with a residual. Where the base has all tokens, nothing.

    Args:
        case: T tokens, P profiles of rank k.
        itemsize: bytes of an element.
    """
    if not case.profiles:
        return 0
    factors = case.profiles * case.rank * (case.d_in + case.d_out)
    rows = 2 * case.d_out
    rows += case.d_in if case.hook in {"block", "down_proj"} else 0
    return itemsize * (factors + case.tokens * rows)


def share(case: Case, itemsize: int, seconds: float, bandwidth: float) -> float:
    """What part of a bandwidth, in bytes a second, a case reached."""
    return nbytes(case, itemsize) / seconds / bandwidth
