"""An orthonormal basis of what some directions span. Knows nothing of sites and models."""

import torch
from torch import Tensor

from lethe_projections.errors import ArtifactError

RANK_TOLERANCE = 1e-6
"""A direction shorter than this share of the longest one is taken for rounding noise:
well above fp32 rounding (6e-8), well below any direction somebody meant to remove."""


def orthonormal_rows(Q: Tensor) -> Tensor:
    """An orthonormal basis of the row space of `Q`, in fp64, cast last.

    Gram-Schmidt with every row orthogonalised twice: as accurate as Householder QR (Giraud
    et al., 2005) and, unlike unpivoted QR, right when rows depend on each other. Rows are
    taken in the given order; one that lies in the span of those before it, up to
    `RANK_TOLERANCE` of the longest row, is dropped. The same after a cast to bf16 left 6 % of
    a subspace in a measured case, hence fp64 first.

    Args:
        Q: [m, d], any float dtype.

    Returns:
        [k, d] float32 with k <= min(m, d).

    Raises:
        ArtifactError: Q is not a finite matrix with a row that is not zero.
    """
    if Q.ndim != 2 or not Q.is_floating_point() or not bool(torch.isfinite(Q).all()):
        raise ArtifactError(
            f"directions: expected a finite float matrix [m, d], found shape "
            f"{list(Q.shape)}, {Q.dtype}; give one direction a row"
        )
    rows = Q.detach().to("cpu", torch.float64)
    longest = float(rows.norm(dim=1).max()) if rows.numel() else 0.0
    if longest == 0.0:
        raise ArtifactError("directions: expected a row that is not zero, found none; give one")
    basis = rows.new_zeros(0, rows.shape[1])
    for row in rows / longest:
        # One pass leaves rounding error where a row nearly lies in the span.
        rest = row - (basis @ row) @ basis
        rest = rest - (basis @ rest) @ basis
        if float(rest.norm()) > RANK_TOLERANCE:
            basis = torch.cat([basis, (rest / rest.norm())[None]])
    return basis.to(torch.float32)
