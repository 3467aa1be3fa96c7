"""The edit in plain torch, on a transformers model: what every other implementation must equal.

Written for clarity, not speed. Knows nothing of engines.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from lethe_projections import decoder
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector


def apply(projector: Projector, x: Tensor, y: Tensor) -> Tensor:
    """The edited output, y + (x A^T + a) B.

    Factors are cast to the dtype and device of `x`; pass fp64 for an oracle.

    Args:
        projector: the edit.
        x: [..., d_in], what the site reads.
        y: [..., d_out], what it would have written.

    Returns:
        [..., d_out] of y's dtype; `y` is left as it is.
    """
    A, B = projector.A.to(x), projector.B.to(x)
    z = x @ A.T
    if projector.a is not None:
        z = z + projector.a.to(x)
    return y + (z @ B).to(y)


@contextmanager
def edited(model: nn.Module, profile: Profile) -> Iterator[nn.Module]:
    """Runs `model` with the profile's edits until the block ends, by an error or not.

    At `block` the edit acts on the true residual stream, which transformers blocks return.

    Raises:
        IncompatibleError: the model has other dimensions than the profile's base, or a form
            that is not understood.
    """
    decoder.check_dimensions(profile.base, model)
    with installed(model, profile.projectors):
        yield model


@contextmanager
def installed(model: nn.Module, projectors: Iterable[Projector]) -> Iterator[None]:
    """Hooks projectors onto `model` without a profile around them, for fitting.

    Raises:
        IncompatibleError: the model's form is not understood.
    """
    with ExitStack() as stack:
        for projector in projectors:
            module = decoder.module_at(model, projector.site)
            handle = module.register_forward_hook(_hook(projector))
            stack.callback(handle.remove)
        yield


def _hook(projector: Projector) -> Any:
    reads_input = projector.site.hook == "down_proj"

    def edit(_module: nn.Module, args: tuple[Tensor, ...], output: Any) -> Any:
        # Attention returns (output, weights); blocks of older transformers a tuple as well.
        y = output[0] if isinstance(output, tuple) else output
        new = apply(projector, args[0] if reads_input else y, y)
        return (new, *output[1:]) if isinstance(output, tuple) else new

    return edit
