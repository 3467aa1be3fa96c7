"""Where a transformers decoder keeps its blocks and their parts; refuses what it does not know.

Knows nothing of profiles beyond a site's name and the base model's dimensions.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from lethe_projections.base_model import BaseModel
from lethe_projections.errors import IncompatibleError
from lethe_projections.projector import Site


@dataclass(frozen=True)
class Layout:
    """Names of a class of models.

    Attributes:
        blocks: where the decoder blocks may be in the model.
        attn: path of the attention in a block.
        mlp: path of the MLP in a block.
        down_proj: path of the MLP's last linear layer in a block.
    """

    blocks: tuple[str, ...] = ("model.layers", "model.language_model.layers")
    attn: str = "self_attn"
    mlp: str = "mlp"
    down_proj: str = "mlp.down_proj"


LLAMA = Layout()
"""Of nearly all: Llama, Mistral, Qwen 2 and 3, Gemma 2 and 3, Phi-3, OLMo 2; and of mixtures of
experts (OLMoE, Qwen2-MoE, Mixtral), whose sparse blocks have no `down_proj` of that name."""

_OTHERS = {
    "GPT2LMHeadModel": Layout(("transformer.h",), attn="attn", down_proj="mlp.c_proj"),
    "GPTNeoXForCausalLM": Layout(
        ("gpt_neox.layers",), attn="attention", down_proj="mlp.dense_4h_to_h"
    ),
}


_NORM_AFTER_MLP = "post_feedforward_layernorm"
"""In blocks of Gemma 2 and 3 and of OLMo 2."""


@dataclass(frozen=True)
class Linear:
    """The parameters of a linear layer; writing to them changes the model.

    Attributes:
        weight: [d_out, d_in], a view where the model keeps it transposed.
        bias: [d_out], or None.
    """

    weight: Tensor
    bias: Tensor | None


def layout(architecture: str) -> Layout:
    """The names in models of a class; those of Llama for a class that is not known."""
    return _OTHERS.get(architecture, LLAMA)


def layers(model: nn.Module) -> nn.ModuleList:
    """The decoder blocks, in order.

    Raises:
        IncompatibleError: the model does not keep them where models of a known layout do.
    """
    paths = _layout(model).blocks
    for path in paths:
        found = _submodule(model, path)
        if isinstance(found, nn.ModuleList) and len(found):
            return found
    raise IncompatibleError(
        f"{type(model).__name__}: expected decoder blocks at {' or '.join(paths)}, "
        "found none; use a Llama-like causal language model, GPT-2 or GPT-NeoX"
    )


def module_at(model: nn.Module, site: Site) -> nn.Module:
    """The module whose output the site edits.

    Raises:
        IncompatibleError: no such layer, or the block has no such part (as a mixture of experts
            has no one `down_proj`).
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
    path: str = getattr(_layout(model), site.hook)
    part = _submodule(block, path)
    if part is None:
        raise IncompatibleError(
            f"{site}: expected {type(block).__name__} to have {path}, found none; a mixture of "
            "experts has no one down_proj: edit block or mlp there, or use another model"
        )
    return part


def down_proj(model: nn.Module, layer: int) -> Linear:
    """The parameters of the block's `down_proj`, weight [hidden, d_ff].

    Raises:
        IncompatibleError: the block has none, or it is not a plain linear layer.
    """
    site = Site(layer, "down_proj")
    return linear(module_at(model, site), site)


def linear(module: nn.Module, where: object) -> Linear:
    """The parameters of a linear layer.

    Args:
        module: the layer.
        where: what an error calls it.

    Raises:
        IncompatibleError: it is not a plain linear layer.
    """
    from transformers.pytorch_utils import Conv1D

    if isinstance(module, nn.Linear):
        return Linear(module.weight, module.bias)
    if isinstance(module, Conv1D):
        return Linear(module.weight.T, module.bias)
    raise IncompatibleError(
        f"{where}: expected torch.nn.Linear, or Conv1D of transformers, found "
        f"{type(module).__name__}; load the model without quantisation and adapters"
    )


def check_mlp_is_added(model: nn.Module) -> None:
    """Makes sure that blocks add their MLP's output to the residual stream as it is.

    What is fitted in the residual stream and put at `down_proj` needs that.

    Raises:
        IncompatibleError: a norm comes between, and would rescale the change.
    """
    block = layers(model)[0]
    if hasattr(block, _NORM_AFTER_MLP):
        raise IncompatibleError(
            f"{type(model).__name__}: expected blocks that add their MLP's output to the residual "
            f"stream as it is, found {_NORM_AFTER_MLP} between, under which this method's closed "
            "form does not hold; use one that edits block (mrp, grun, ablate, leace, steer) or "
            "trains (rmu, adaptive-rmu)"
        )


def check_dimensions(base: BaseModel, model: nn.Module) -> None:
    """Makes sure that a loaded model has the dimensions of `base`.

    A loaded model has no files to fingerprint; `base_model.check` does that.

    Raises:
        IncompatibleError: depth, hidden size, d_ff or vocabulary differ.
    """
    pairs = [("num_layers", base.num_layers, len(layers(model)))]
    embedding = getattr(model, "get_input_embeddings", lambda: None)()
    if isinstance(embedding, nn.Embedding):
        pairs.append(("hidden_size", base.hidden_size, embedding.embedding_dim))
        pairs.append(("vocab_size", base.vocab_size, embedding.num_embeddings))
    for layer in _dense(model)[:1]:
        module = module_at(model, Site(layer, "down_proj"))
        # PEFT puts an adapter around a layer, which changes no dimension.
        plain = getattr(module, "base_layer", module)
        hidden, d_ff = linear(plain, Site(layer, "down_proj")).weight.shape
        pairs.append(("hidden_size", base.hidden_size, hidden))
        pairs.append(("intermediate_size", base.intermediate_size, d_ff))
    differences = [f"{n}: expected {e}, found {f}" for n, e, f in dict.fromkeys(pairs) if e != f]
    if differences:
        raise IncompatibleError(
            f"{type(model).__name__}: {'; '.join(differences)}; "
            "use the model that the profile was made for"
        )


def _layout(model: nn.Module) -> Layout:
    return layout(type(model).__name__)


def _dense(model: nn.Module) -> list[int]:
    """The layers that have a `down_proj`: in a mixture of experts some or none."""
    path = _layout(model).down_proj
    blocks = enumerate(layers(model))
    return [layer for layer, block in blocks if _submodule(block, path) is not None]


def _submodule(module: nn.Module, path: str) -> nn.Module | None:
    for name in path.split("."):
        child = getattr(module, name, None)
        if not isinstance(child, nn.Module):
            return None
        module = child
    return module
