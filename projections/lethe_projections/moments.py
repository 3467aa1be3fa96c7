"""Second moments of activations: C = sum of x x^T over tokens, in fp64, d^2 whatever the tokens.

Knows nothing of models and text.
"""

import torch
from torch import Tensor

from lethe_projections.errors import FitError

_BLOCK = 256
"""Columns added at once. Blocks above the diagonal are left out, which saves near half the work."""


class SecondMoments:
    """Sum of x x^T and the number of rows seen; all that a closed form needs of a data set.

    Kept where the rows are, so that a GPU's rows stay there; handed over on the CPU.

    Attributes:
        count: rows seen.
    """

    def __init__(self, width: int, device: torch.device | str = "cpu") -> None:
        self.count = 0
        self._lower = torch.zeros(width, width, dtype=torch.float64, device=device)

    @classmethod
    def restored(cls, lower: Tensor, count: int) -> "SecondMoments":
        """From what `lower` and `count` were; `lower` is [d, d] float64."""
        found = cls(0)
        found._lower, found.count = lower, count
        return found

    def update(self, rows: Tensor) -> None:
        """Adds rows [n, d] of any float dtype and device."""
        exact = rows.to(self._lower)
        for start in range(0, len(self._lower), _BLOCK):
            block = exact[:, start : start + _BLOCK]
            part = self._lower[start:, start : start + _BLOCK]
            part.addmm_(exact[:, start:].T, block)
        self.count += len(exact)

    @property
    def lower(self) -> Tensor:
        """[d, d] float64 on the CPU; what stands above the diagonal has no meaning."""
        return self._lower.cpu()

    @property
    def total(self) -> Tensor:
        """Sum of x x^T, [d, d] float64 on the CPU."""
        return self.lower.tril() + self.lower.tril(-1).T

    @property
    def mean(self) -> Tensor:
        """Second moment per token, [d, d] float64 on the CPU.

        Raises:
            FitError: no rows were seen.
        """
        if self.count == 0:
            raise FitError("expected at least one token of retain text, found none; give more")
        return self.total / self.count
