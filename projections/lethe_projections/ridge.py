"""Linear maps fitted in closed form from sums over tokens alone. Knows no model and no text.

With H [N, d] what a site reads on all tokens, forget and retain, and T [N, d_out] what shall be
added there, the ridge solution that is pulled towards no change is

    dW = argmin |H dW^T - T|^2 + lam |dW|^2 = (T^T H) G^-1,    G = H^T H + lam I

Where T is a fixed row r_i on the tokens of request i and 0 on the others, T^T H is
`[r_1 .. r_n] [s_1 .. s_n]^T` with s_i the sum of x over request i's tokens. So dW has rank n, its
factors are r_i and `v_i = G^-1 s_i`, and nothing but G and the sums need be kept.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from lethe_projections.errors import FitError

_MIN_INDEPENDENCE = 1e-3
"""Smallest eigenvalue of the keys' correlation; 1 when unrelated, 0 when dependent."""


@dataclass(frozen=True, eq=False)
class Ridge:
    """G = moment + lam I, factored once, with lam = ridge * trace(moment) / d.

    So lam is `ridge` times the mean diagonal of H^T H where `moment` is that sum, and `ridge` times
    the mean diagonal of H^T H / N where it is that mean: the solution is the same, and does not
    depend on the unit of x or on the number of tokens.

    Attributes:
        factor: [d, d] float64, the lower Cholesky factor of G.
    """

    factor: Tensor

    @classmethod
    def of(cls, moment: Tensor, ridge: float) -> Self:
        """Factors G.

        Args:
            moment: [d, d] float64, the sum or mean of x x^T over tokens.
            ridge: 0 or more.

        Raises:
            FitError: G is not positive definite or not finite.
        """
        identity = torch.eye(len(moment), dtype=torch.float64)
        factor, failed = torch.linalg.cholesky_ex(
            moment + ridge * moment.diagonal().mean() * identity
        )
        if failed or not bool(torch.isfinite(factor).all()):
            raise FitError(
                "retain text: expected activations with a positive second moment, found none; "
                "give more text or a larger ridge"
            )
        return cls(factor)

    def solve(self, rows: Tensor) -> Tensor:
        """`rows` G^-1, [n, d] float64: the gates v_i of sums s_i, or dW of T^T H."""
        solved: Tensor = torch.cholesky_solve(rows.T, self.factor).T
        return solved


def key_factor(keys: Tensor, second_moment: Tensor, ridge: float) -> Tensor:
    """A = (K C^-1 K^T)^-1 K C^-1 with C = second_moment + ridge * mean diagonal * I.

    Of all A with A k_i = e_i, the one with the least mean |A x|^2 + ridge |A|^2.

    Args:
        keys: [n, d] float64, linearly independent.
        second_moment: [d, d] float64, mean of x x^T over retain tokens.
        ridge: as a share of the mean diagonal.

    Returns:
        [n, d] float64.

    Raises:
        FitError: the keys depend on each other, or the second moment is zero or not finite.
    """
    return constrained(keys, Ridge.of(second_moment, ridge).solve(keys))


def null_space_factor(keys: Tensor, second_moment: Tensor, small: float, damping: float) -> Tensor:
    """A = (K P K^T + damping * mean diagonal * I)^-1 K P: reads C's small eigenvectors alone.

    P projects onto the eigenvectors of C = second_moment whose eigenvalue is below `small` times
    the mean eigenvalue. A x is exactly 0 for x in the span of the others; and since mean |P x|^2
    over retain tokens is the sum of the eigenvalues left, it is nearly 0 on all of them.

    Args:
        keys: [n, d] float64, linearly independent.
        second_moment: [d, d] float64, mean of x x^T over retain tokens.
        small: above 0, a share of the mean eigenvalue.
        damping: 0 or more, a share of the mean |P k|^2; A k_i falls short of e_i by about as much.

    Returns:
        [n, d] float64.

    Raises:
        FitError: no eigenvalue is that small, or the keys depend on each other there.
    """
    values, vectors = torch.linalg.eigh(second_moment)
    free = vectors[:, values < small * values.mean()]
    if free.shape[1] == 0:
        raise FitError(
            f"small: expected an eigenvalue of the retain text's second moment below {small:g} of "
            "the mean, found none; raise it"
        )
    inside = keys @ free @ free.T
    gram = inside @ inside.T
    _check_independent(gram)
    identity = torch.eye(len(gram), dtype=gram.dtype)
    A: Tensor = torch.linalg.solve(gram + damping * gram.diagonal().mean() * identity, inside)
    return A


def constrained(keys: Tensor, images: Tensor) -> Tensor:
    """A = (K M K^T)^-1 K M for a symmetric M, given `images` K M: A k_i = e_i.

    Args:
        keys: K, [n, d] float64.
        images: K M, [n, d] float64.

    Raises:
        FitError: the keys depend on each other as M sees them.
    """
    gram = keys @ images.T
    _check_independent(gram)
    A: Tensor = torch.linalg.solve(gram, images)
    return A


def _check_independent(gram: Tensor) -> None:
    scale = gram.diagonal().clamp_min(torch.finfo(gram.dtype).tiny).sqrt()
    # Nearly equal keys would make A huge, and every retain token would feel it.
    if float(torch.linalg.eigvalsh(gram / scale.outer(scale))[0]) < _MIN_INDEPENDENCE:
        raise FitError(
            "subjects: expected keys that differ, found two nearly alike; "
            "leave one of the subjects out"
        )
