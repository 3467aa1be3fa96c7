"""A vector added to what a site writes, as a projector. Knows nothing of where it came from."""

import math

import torch
from torch import Tensor

from lethe_projections.base_model import BaseModel
from lethe_projections.errors import IncompatibleError, InterchangeError
from lethe_projections.projector import Projector, Site


def projector(site: Site, vector: Tensor, base: BaseModel, strength: float) -> Projector:
    """The edit  y += strength * vector  of every token: A = 0, a = 1, B = strength * vector.

    Args:
        site: any hook.
        vector: [d], any float dtype.
        base: the model to be steered.
        strength: see `check_strength`.

    Raises:
        IncompatibleError: the model has no such layer or another width.
        InterchangeError: the product is not finite in float32.
    """
    check_fits(site, tuple(vector.shape), (base.hidden_size,), base)
    B = (strength * vector.to(torch.float64)).to(torch.float32)[None]
    if not bool(torch.isfinite(B).all()):
        raise InterchangeError(
            f"{site}: expected finite values after multiplying by the strength {strength:g}, found "
            "NaN or infinity; make the direction again or lower the strength"
        )
    d_in = base.intermediate_size if site.hook == "down_proj" else base.hidden_size
    return Projector(site, torch.zeros(1, d_in), B, torch.ones(1))


def check_strength(strength: float) -> None:
    """Makes sure that a strength is a number that does something.

    Raises:
        InterchangeError: zero, NaN or infinite.
    """
    if not math.isfinite(strength) or strength == 0:
        raise InterchangeError(
            f"strength: expected a finite number other than 0, found {strength}; 1 takes the "
            "directions as they are"
        )


def check_fits(
    site: Site, shape: tuple[int, ...], expected: tuple[int, ...], base: BaseModel
) -> None:
    """Makes sure that a direction belongs to a model of these dimensions.

    Raises:
        IncompatibleError: no such layer, or another shape.
    """
    if site.layer >= base.num_layers:
        raise IncompatibleError(
            f"{site}: expected a layer below {base.num_layers}, the base model's depth, found "
            f"{site.layer}; give the model that the directions were made for"
        )
    if shape != expected:
        raise IncompatibleError(
            f"{site}: expected shape {list(expected)} for this base model, found {list(shape)}; "
            "give the model that the directions were made for"
        )
