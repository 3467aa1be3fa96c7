"""A `down_proj` profile folded into a model's weights, exactly: no hook is left to run."""

from typing import TypeVar

import torch
from torch import nn

from lethe_projections import decoder
from lethe_projections.decoder import Linear
from lethe_projections.errors import IncompatibleError
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector

_Model = TypeVar("_Model", bound=nn.Module)


def merge_(model: _Model, profile: Profile) -> _Model:
    """Adds the edits to the weights, in place:  W += B^T A,  bias += B^T a.

    Summed in fp64 and cast to the weight's dtype last. Everything is checked first, so an
    error leaves the model as it was.

    Args:
        model: a transformers decoder with the dimensions of the profile's base.
        profile: with `down_proj` projectors only.

    Returns:
        The same model.

    Raises:
        IncompatibleError: other dimensions; a projector at another hook, gated, or for some
            tokens alone, which no weight can hold exactly; `a` where the linear layer has no bias;
            quantised weights.
    """
    decoder.check_dimensions(profile.base, model)
    pairs = [(_target(model, projector), projector) for projector in profile.projectors]
    for linear, projector in pairs:
        _merge_one_(linear, projector)
    return model


def check_plain(projector: Projector) -> None:
    """Makes sure that an edit is one of a linear layer's weight and bias, for every token alike.

    Raises:
        IncompatibleError: another hook than `down_proj`, a gate, or a scope other than `all`.
    """
    site = projector.site
    if site.hook != "down_proj":
        raise IncompatibleError(
            f"{site}: expected a down_proj projector, found {site.hook}; only those merge "
            "exactly, apply this profile with reference.edited or serve it"
        )
    if projector.gate is not None or projector.positional:
        raise IncompatibleError(
            f"{site}: expected an edit of every token alike, found a gate or the scope "
            f"{projector.scope!r}; a weight has neither, serve this profile"
        )


def _target(model: nn.Module, projector: Projector) -> Linear:
    check_plain(projector)
    site = projector.site
    linear = decoder.down_proj(model, site.layer)
    if projector.a is not None and linear.bias is None:
        raise IncompatibleError(
            f"{site}: expected no offset a, since this layer has no bias to hold it, found one; "
            "apply this profile with reference.edited or serve it"
        )
    if not linear.weight.is_floating_point():
        raise IncompatibleError(
            f"{site}: expected floating-point weights, found {linear.weight.dtype}; "
            "load the model without quantisation"
        )
    return linear


@torch.no_grad()
def _merge_one_(linear: Linear, projector: Projector) -> None:
    B = projector.B.to(linear.weight.device, torch.float64)
    A = projector.A.to(B)
    linear.weight.copy_(linear.weight.to(torch.float64) + B.T @ A)
    if projector.a is not None and linear.bias is not None:
        linear.bias.copy_(linear.bias.to(torch.float64) + B.T @ projector.a.to(B))
