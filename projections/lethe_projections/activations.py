"""What sites read during a forward pass of a transformers decoder, and no layer further.

Knows nothing of statistics or of methods.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from lethe_projections import decoder
from lethe_projections.chat import Batch
from lethe_projections.projector import Site


class _LastLayerDone(Exception):
    """Ends a forward pass early: nothing after the last layer of interest is needed."""


def read(model: nn.Module, batch: Batch, sites: Iterable[Site]) -> dict[Site, Tensor]:
    """As `traced`, without gradients."""
    with torch.no_grad():
        return traced(model, batch, sites)


def traced(model: nn.Module, batch: Batch, sites: Iterable[Site]) -> dict[Site, Tensor]:
    """Runs the model on a batch and returns what each site reads.

    Edits hooked on before are seen; the blocks after the last site are not run.

    Args:
        model: a transformers decoder.
        batch: padding included; its rows are in the result, to be masked by the caller.
        sites: at least one.

    Returns:
        For each site [b, t, d_in], in the model's dtype: the input at `down_proj`, the output
        at the other hooks.

    Raises:
        IncompatibleError: the model's form is not understood, or it has no such layer.
    """
    found: dict[Site, Tensor] = {}
    wanted = sorted(set(sites))
    with ExitStack() as stack:
        for site in wanted:
            handle = decoder.module_at(model, site).register_forward_hook(_recorder(site, found))
            stack.callback(handle.remove)
        last_block = decoder.layers(model)[wanted[-1].layer]
        stack.callback(last_block.register_forward_hook(_stop).remove)
        try:
            model(
                input_ids=batch.input_ids.to(_device(model)),
                attention_mask=batch.attention_mask.to(_device(model)),
                use_cache=False,
            )
        except _LastLayerDone:
            return found
    return found


def _recorder(site: Site, found: dict[Site, Tensor]) -> Callable[..., None]:
    def record(_module: nn.Module, args: tuple[Tensor, ...], output: Any) -> None:
        y = output[0] if isinstance(output, tuple) else output
        found[site] = args[0] if site.hook == "down_proj" else y

    return record


def _stop(*_: Any) -> None:
    raise _LastLayerDone


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
