"""Where a transformers decoder keeps its blocks and their parts; refuses what it does not know.

Knows nothing of profiles beyond a site's name and the base model's dimensions.
"""

from torch import nn

from lethe_projections.base_model import BaseModel
from lethe_projections.errors import IncompatibleError
from lethe_projections.projector import Site

_LAYER_PATHS = ("model.layers", "model.language_model.layers")
_PARTS = {"attn": "self_attn", "mlp": "mlp", "down_proj": "mlp.down_proj"}


def layers(model: nn.Module) -> nn.ModuleList:
    """The decoder blocks, in order.

    Raises:
        IncompatibleError: the model does not keep them where Llama-like models do.
    """
    for path in _LAYER_PATHS:
        found = _submodule(model, path)
        if isinstance(found, nn.ModuleList) and len(found):
            return found
    raise IncompatibleError(
        f"{type(model).__name__}: expected decoder blocks at {' or '.join(_LAYER_PATHS)}, "
        "found none; use a Llama-like causal language model"
    )


def module_at(model: nn.Module, site: Site) -> nn.Module:
    """The module whose output the site edits.

    Raises:
        IncompatibleError: no such layer, or the block has no such part (mixtures of experts,
            parallel blocks and fused layouts are not understood).
    """
    blocks = layers(model)
    if site.layer >= len(blocks):
        raise IncompatibleError(
            f"{site}: expected a layer below {len(blocks)}, found {site.layer}; "
            "use the model that the profile was made for"
        )
    block = blocks[site.layer]
    if site.hook == "block":
        return block
    part = _submodule(block, _PARTS[site.hook])
    if part is None:
        raise IncompatibleError(
            f"{site}: expected {type(block).__name__} to have {_PARTS[site.hook]}, found none; "
            "use a Llama-like dense model"
        )
    return part


def down_proj(model: nn.Module, layer: int) -> nn.Linear:
    """The block's `mlp.down_proj`, weight [hidden, d_ff].

    Raises:
        IncompatibleError: the block has none, or it is not a plain linear layer.
    """
    site = Site(layer, "down_proj")
    module = module_at(model, site)
    if not isinstance(module, nn.Linear):
        raise IncompatibleError(
            f"{site}: expected torch.nn.Linear, found {type(module).__name__}; "
            "load the model without quantisation and adapters"
        )
    return module


def check_dimensions(base: BaseModel, model: nn.Module) -> None:
    """Makes sure that a loaded model has the dimensions of `base`.

    A loaded model has no files to fingerprint; `base_model.check` does that.

    Raises:
        IncompatibleError: depth, hidden size, d_ff or vocabulary differ.
    """
    linear = down_proj(model, 0)
    embedding = getattr(model, "get_input_embeddings", lambda: None)()
    pairs = [
        ("num_layers", base.num_layers, len(layers(model))),
        ("hidden_size", base.hidden_size, linear.out_features),
        ("intermediate_size", base.intermediate_size, linear.in_features),
    ]
    if isinstance(embedding, nn.Embedding):
        pairs.append(("vocab_size", base.vocab_size, embedding.num_embeddings))
    differences = [f"{n}: expected {e}, found {f}" for n, e, f in pairs if e != f]
    if differences:
        raise IncompatibleError(
            f"{type(model).__name__}: {'; '.join(differences)}; "
            "use the model that the profile was made for"
        )


def _submodule(module: nn.Module, path: str) -> nn.Module | None:
    for name in path.split("."):
        child = getattr(module, name, None)
        if not isinstance(child, nn.Module):
            return None
        module = child
    return module
