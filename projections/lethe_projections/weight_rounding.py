"""A model with fewer bits a weight: each rounded to the nearest of its group's levels.

    s = max |w| over the group / (2^(bits - 1) - 1);  w -> s round(w / s)

The group is part of a row of the weight [d_out, d_in], or all of it. Symmetric, without data, as
the plainest quantisers do; the result is kept in the weight's own type. Knows nothing of profiles.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lethe_projections import decoder

LEAST_BITS = 2
"""One bit leaves 0 alone."""


def rounded(weight: Tensor, bits: int, group: int) -> Tensor:
    """Quantised and dequantised.

    Args:
        weight: [d_out, d_in].
        bits: of a level, sign included.
        group: how many neighbours in a row share a scale; all of it where it does not divide d_in.

    Returns:
        [d_out, d_in] of the same type.
    """
    size = group if weight.shape[1] % group == 0 else weight.shape[1]
    grouped = weight.float().reshape(weight.shape[0], -1, size)
    scale = grouped.abs().amax(-1, keepdim=True) / (2 ** (bits - 1) - 1)
    levels = torch.round(grouped / torch.where(scale == 0, 1, scale))
    found: Tensor = (levels * scale).reshape(weight.shape).to(weight)
    return found


@contextmanager
def fewer_bits(model: nn.Module, bits: int, group: int) -> Iterator[None]:
    """Rounds the linear layers of every decoder block until the block ends, by an error or not.

    Embeddings, norms and the output head stay; afterwards all weights are what they were.

    Raises:
        IncompatibleError: a block has a matrix that is no linear layer's.
    """
    weights = matrices(model)
    kept = [weight.detach().clone() for weight in weights]
    try:
        with torch.no_grad():
            for weight in weights:
                weight.copy_(rounded(weight, bits, group))
        yield
    finally:
        with torch.no_grad():
            for weight, before in zip(weights, kept, strict=True):
                weight.copy_(before)


def matrices(model: nn.Module) -> list[Tensor]:
    """The weights [d_out, d_in] of all linear layers in decoder blocks; views of the model's own.

    Raises:
        IncompatibleError: a block has a matrix that is no linear layer's, as fused experts are.
    """
    return [
        decoder.linear(module, f"block {index}, {name}").weight
        for index, block in enumerate(decoder.layers(model))
        for name, module in block.named_modules()
        if any(own.ndim > 1 for own in module.parameters(recurse=False))
    ]
