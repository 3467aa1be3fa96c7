"""Puts sites into a loaded vLLM model, as wrappers of its own layers.

A wrapped module keeps its parameters, its name and its type's methods: its class becomes a
generated subclass whose `forward` ends in the edit. So checkpoints, weight reload, LoRA and
torch.compile see the module they know. `down_proj` is wrapped one level lower, at its
`quant_method.apply`: LoRA's wrapper calls that and not `forward`, and under tensor parallelism
it is before the all-reduce, where the ranks' partial products add up.
"""

import copy
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from lethe_projections.projector import HOOKS, Site
from lethe_vllm import edit
from lethe_vllm.architectures import (
    Architecture,
    architecture,
    decoder_blocks,
    part,
    why_no_down_proj,
)
from lethe_vllm.errors import UnsupportedError
from lethe_vllm.options import Declared
from lethe_vllm.sites import site_index

Forward = Callable[..., Any]
Edited = Callable[[Forward, int], Forward]
"""Given a method and the index of a site, the method that also edits."""

_MARK = "lethe_site"


@dataclass(frozen=True)
class Installed:
    """What became of the declared sites of this rank's blocks.

    Attributes:
        sites: those installed.
        absent: those that the model does not have, and why.
    """

    sites: frozenset[Site]
    absent: Mapping[Site, str]


def install(model: nn.Module, declared: Declared) -> Installed:
    """Wraps the declared sites that live on this rank.

    Args:
        model: a loaded causal language model, before it is compiled.
        declared: what to install; sites of other pipeline ranks are skipped.

    Raises:
        UnsupportedError: an unknown architecture; a site named by its layer that the model does
            not have; or none of the sites is there.
    """
    known = architecture(model)
    sites: set[Site] = set()
    absent: dict[Site, str] = {}
    for layer, block in decoder_blocks(model, known):
        for hook in HOOKS:
            site = Site(layer, hook)
            if site not in declared.sites:
                continue
            reason = _why_absent(block, hook, known)
            if reason is None:
                _wrap(block, site, known)
                sites.add(site)
            else:
                absent[site] = reason
    _check_absent(absent, declared, nothing=not sites)
    return Installed(frozenset(sites), absent)


def widths(
    model: nn.Module, sites: Iterable[Site], hidden_size: int
) -> dict[Site, tuple[int, int]]:
    """(d_in, d_out) of installed sites, as this rank sees them."""
    known = architecture(model)
    blocks = dict(decoder_blocks(model, known))

    def width(site: Site) -> int:
        if site.hook != "down_proj":
            return hidden_size
        linear: Any = part(blocks[site.layer], f"{known.mlp}.{known.down_proj}")
        return int(getattr(linear, "input_size_per_partition", linear.input_size))

    return {site: (width(site), hidden_size) for site in sites}


def check_cut(model: nn.Module, sites: Iterable[Site], ranks: int) -> None:
    """Makes sure that tensor parallelism cuts the input of each `down_proj`, as edits are cut.

    Raises:
        UnsupportedError: a rank reads the whole input of one, and each would add the whole edit.
    """
    known = architecture(model)
    blocks = dict(decoder_blocks(model, known))
    for site in sorted(site for site in sites if site.hook == "down_proj"):
        linear: Any = part(blocks[site.layer], f"{known.mlp}.{known.down_proj}")
        found = getattr(linear, "input_size_per_partition", linear.input_size)
        if found * ranks != linear.input_size:
            raise UnsupportedError(
                f"{site}: expected its input of {linear.input_size} cut over {ranks} ranks, found "
                f"{found} on each; declare sites without down_proj ('lethe serve --sites'), or "
                "serve with --tensor-parallel-size 1"
            )


def lost(model: nn.Module, sites: Iterable[Site]) -> dict[Site, str]:
    """Installed sites whose module is not wrapped any more, and what is there instead.

    Structure alone is looked at: nothing runs.
    """
    known = architecture(model)
    blocks = dict(decoder_blocks(model, known))
    reasons = {site: _why_lost(blocks.get(site.layer), site, known) for site in sites}
    return {site: reason for site, reason in sorted(reasons.items()) if reason is not None}


def _why_lost(block: nn.Module | None, site: Site, known: Architecture) -> str | None:
    if block is None:
        return "its block is gone"
    try:
        target, method = _target(block, site.hook, known)
    except UnsupportedError as error:
        return str(error)
    if getattr(getattr(target, method), _MARK, None) != site_index(site):
        return f"{type(target).__name__}.{method} has no edit"
    return None


def _check_absent(absent: Mapping[Site, str], declared: Declared, nothing: bool) -> None:
    refused = [site for site in sorted(absent) if nothing or site in declared.named]
    if refused:
        raise UnsupportedError(
            f"sites: expected ones that the model has, found {refused[0]}"
            f"{f' and {len(refused) - 1} more' if len(refused) > 1 else ''}: {absent[refused[0]]}; "
            "declare others ('lethe serve --sites')"
        )


def _why_absent(block: nn.Module, hook: str, known: Architecture) -> str | None:
    return why_no_down_proj(part(block, known.mlp), known) if hook == "down_proj" else None


def _target(block: nn.Module, hook: str, known: Architecture) -> tuple[Any, str]:
    """The object whose method a site is, and the method."""
    if hook == "down_proj":
        linear: Any = part(block, f"{known.mlp}.{known.down_proj}")
        # LoRA puts a module of its own around the linear layer, once that is loaded.
        return getattr(linear, "base_layer", linear).quant_method, "apply"
    paths = {"block": "", "attn": known.attn, "mlp": known.mlp}
    return part(block, paths[hook]), "forward"


def _wrap(block: nn.Module, site: Site, known: Architecture) -> None:
    wrap: Edited = _edited_output
    if site.hook == "down_proj":
        linear: Any = part(block, f"{known.mlp}.{known.down_proj}")
        # A copy: a quantisation config may hand one method object to several layers.
        linear.quant_method = copy.copy(linear.quant_method)
        wrap = _edited_apply
    elif site.hook == "block" and known.deferred:
        wrap = _edited_deferred
    target, method = _target(block, site.hook, known)
    _override(target, method, wrap, site_index(site))


def _edited_deferred(forward: Forward, site: int) -> Forward:
    def edited(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        hidden, residual = forward(self, *args, **kwargs)
        edit.at(hidden, None, residual, site)
        return hidden, residual

    return edited


def _edited_output(forward: Forward, site: int) -> Forward:
    def edited(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        output = forward(self, *args, **kwargs)
        # Attention of transformers returns its weights as well.
        y = output[0] if isinstance(output, tuple) else output
        edit.at(_by_token(y), None, None, site)
        return output

    return edited


def _edited_apply(apply: Forward, site: int) -> Forward:
    def edited(self: Any, layer: nn.Module, x: Any, bias: Tensor | None = None) -> Tensor:
        if not isinstance(x, Tensor) or not x.is_floating_point():
            raise UnsupportedError(
                f"down_proj site: expected floating-point activations, found {type(x)} from a "
                "fused activation quantisation; declare sites without down_proj"
            )
        y: Tensor = apply(self, layer, x, bias)
        edit.at(_by_token(y), _by_token(x), None, site)
        return y

    return edited


def _by_token(activations: Tensor) -> Tensor:
    """[tokens, width], a view of that or of [1, tokens, width]."""
    return activations.squeeze(0) if activations.ndim == 3 else activations


def _override(target: Any, method: str, edited: Edited, site: int) -> None:
    """Overrides one method of one object, in a new subclass of its class.

    vLLM's transformers backend gives objects a `forward` of their own, which would hide the
    subclass's: there, it is that one which is overridden.
    """
    own, cls = vars(target).get(method), type(target)
    override = edited(getattr(cls, method) if own is None else own.__func__, site)
    setattr(override, _MARK, site)
    if own is None:
        body = {method: override, "__module__": cls.__module__}
        target.__class__ = type(f"Lethe{cls.__name__}", (cls,), body)
    else:
        setattr(target, method, types.MethodType(override, target))
