"""What RAd and RAb share: random unit vectors, and the block that RMU edits."""

import torch
from torch import Tensor

from lethe_projections.methods.hyperparameters import checked_layers


def directions(count: int, width: int, seed: int) -> Tensor:
    """Rows uniform in [0, 1)^width, normalised, [count, width] float64: RMU's (WMDP, section 4)."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.rand(count, width, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(rows)


def default_layer(layer: int, depth: int) -> int:
    """`layer` itself, or for 0 the block at 7/32 of the depth: 7 of 30, 7 of 32.

    Raises:
        FitError: the model has no such block.
    """
    return checked_layers((layer or round(depth * 7 / 32),), depth)[0]
