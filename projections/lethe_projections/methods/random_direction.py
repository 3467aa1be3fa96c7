"""What RAd and RAb share: random unit vectors, and the block that RMU edits."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lethe_projections.methods.gated import GateParameters
from lethe_projections.methods.hyperparameters import checked_layers, hyper


@dataclass(frozen=True)
class RandomDirection(GateParameters):
    """Where, and along what."""

    layer: int | None = hyper(
        None,
        "block whose down_proj is edited, 0-based; default: at 7/32 of the depth",
        low=0,
        source="RMU's block 7 of 32",
    )
    seed: int = hyper(0, "of u", low=0, source="any will do")


def directions(count: int, width: int, seed: int) -> Tensor:
    """Rows uniform in [0, 1)^width, normalised, [count, width] float64: RMU's (WMDP, section 4)."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.rand(count, width, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(rows)


def default_layer(layer: int | None, depth: int) -> int:
    """`layer` itself, or for None the block at 7/32 of the depth: 7 of 30, 7 of 32.

    Raises:
        FitError: the model has no such block.
    """
    chosen = round(depth * 7 / 32) if layer is None else layer
    return checked_layers((chosen,), depth)[0]
