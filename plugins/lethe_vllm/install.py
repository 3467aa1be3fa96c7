"""Puts sites into a loaded vLLM model, as wrappers of its own layers.

A wrapped module keeps its parameters, its name and its type's methods: its class becomes a
generated subclass whose `forward` ends in the edit. So checkpoints, weight reload, LoRA and
torch.compile see the module they know. `down_proj` is wrapped one level lower, at its
`quant_method.apply`: LoRA's wrapper calls that and not `forward`, and under tensor parallelism
it is before the all-reduce, where the ranks' partial products add up.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lethe_projections.projector import Site
from lethe_vllm import edit
from lethe_vllm.errors import UnsupportedError

ARCHITECTURES = frozenset(
    {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"}
)
"""Models whose blocks return `(hidden, residual)`, the sum being the residual stream, and whose
`self_attn` and `mlp` outputs are what transformers' modules of that name return."""

Forward = Callable[..., Any]


def decoder_blocks(model: nn.Module) -> Iterator[tuple[int, nn.Module]]:
    """The decoder blocks that live on this rank, with their index in the whole model.

    Raises:
        UnsupportedError: an architecture whose blocks are not understood.
    """
    if type(model).__name__ not in ARCHITECTURES:
        raise UnsupportedError(
            f"base model: expected one of {', '.join(sorted(ARCHITECTURES))}, found "
            f"{type(model).__name__}; its blocks' residual stream is not understood, so no variant "
            "of it can be served: start without Lethe, or serve a model from the list"
        )
    for index, block in enumerate(model.get_submodule("model.layers").children()):
        if hasattr(block, "mlp"):
            yield index, block


def install(model: nn.Module, sites: Iterable[Site]) -> frozenset[Site]:
    """Wraps the declared sites that live on this rank.

    Args:
        model: a loaded causal language model, before it is compiled.
        sites: what to install; those of other pipeline ranks are skipped.

    Returns:
        The sites installed.

    Raises:
        UnsupportedError: an unknown architecture.
    """
    declared = frozenset(sites)
    installed: set[Site] = set()
    for layer, block in decoder_blocks(model):
        for hook, wrap in WRAPPERS.items():
            site = Site(layer, hook)
            if site in declared:
                wrap(block, edit.site_index(site))
                installed.add(site)
    return frozenset(installed)


def _wrap_block(block: nn.Module, site: int) -> None:
    def forward_with_edit(forward: Forward) -> Forward:
        def edited(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
            hidden, residual = forward(self, *args, **kwargs)
            torch.ops.lethe.edit(hidden, None, residual, site)
            return hidden, residual

        return edited

    _subclass(block, "forward", forward_with_edit)


def _wrap_output(module: nn.Module, site: int) -> None:
    def forward_with_edit(forward: Forward) -> Forward:
        def edited(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
            output = forward(self, *args, **kwargs)
            torch.ops.lethe.edit(output, None, None, site)
            return output

        return edited

    _subclass(module, "forward", forward_with_edit)


def _wrap_linear(linear: Any, site: int) -> None:
    def apply_with_edit(apply: Forward) -> Forward:
        def edited(self: Any, layer: nn.Module, x: Any, bias: Tensor | None = None) -> Tensor:
            if not isinstance(x, Tensor) or not x.is_floating_point():
                raise UnsupportedError(
                    f"down_proj site: expected floating-point activations, found {type(x)} from a "
                    "fused activation quantisation; declare sites without down_proj"
                )
            y: Tensor = apply(self, layer, x, bias)
            torch.ops.lethe.edit(y, x, None, site)
            return y

        return edited

    # A copy: a quantisation config may hand one method object to several layers.
    linear.quant_method = copy.copy(linear.quant_method)
    _subclass(linear.quant_method, "apply", apply_with_edit)


WRAPPERS: dict[str, Callable[[Any, int], None]] = {
    "attn": lambda block, site: _wrap_output(block.self_attn, site),
    "mlp": lambda block, site: _wrap_output(block.mlp, site),
    "down_proj": lambda block, site: _wrap_linear(block.mlp.down_proj, site),
    "block": _wrap_block,
}
"""How each hook is installed, given a decoder block."""


def _subclass(target: Any, method: str, override: Callable[[Forward], Forward]) -> None:
    """Makes `target` an instance of a new subclass of its class with one method overridden."""
    cls = type(target)
    body = {method: override(getattr(cls, method)), "__module__": cls.__module__}
    target.__class__ = type(f"Lethe{cls.__name__}", (cls,), body)
