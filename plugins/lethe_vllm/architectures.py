"""Where vLLM's models keep their decoder blocks and the parts of one, by class.

Each entry was read in vLLM 0.32.0 and is tested on the engine against transformers, whose modules
of these roles define what a hook means. Knows nothing of edits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import nn

from lethe_vllm.errors import UnsupportedError


@dataclass(frozen=True)
class Architecture:
    """How one class of models is built.

    Attributes:
        blocks: path of the decoder blocks in the model.
        attn: path of the attention in a block.
        mlp: path of the MLP in a block.
        down_proj: name of the MLP's last linear layer.
        deferred: whether a block returns `(hidden, residual)` whose sum, left to the next norm,
            is the residual stream; else it returns the residual stream. Norms that a block applies
            to its MLP's output (Gemma 2 and 3, OLMo 2) are in `hidden` already.
    """

    blocks: str = "model.layers"
    attn: str = "self_attn"
    mlp: str = "mlp"
    down_proj: str = "down_proj"
    deferred: bool = True


_LLAMA = Architecture()

ARCHITECTURES = {
    "LlamaForCausalLM": _LLAMA,
    "MistralForCausalLM": _LLAMA,
    "Qwen2ForCausalLM": _LLAMA,
    "Qwen3ForCausalLM": _LLAMA,
    "Phi3ForCausalLM": _LLAMA,
    "Gemma2ForCausalLM": _LLAMA,
    "Gemma3ForCausalLM": _LLAMA,
    "GPT2LMHeadModel": Architecture(
        "transformer.h", attn="attn", down_proj="c_proj", deferred=False
    ),
    "OlmoeForCausalLM": _LLAMA,
    "Qwen2MoeForCausalLM": _LLAMA,
    "MixtralForCausalLM": replace(_LLAMA, mlp="block_sparse_moe"),
}
"""By the class of vLLM's model."""

THROUGH_TRANSFORMERS = {
    "Olmo2Model": Architecture(deferred=False),
    "GPTNeoXModel": Architecture(attn="attention", down_proj="dense_4h_to_h", deferred=False),
}
"""By the class of transformers' model inside, for those of which vLLM has none of its own. What
flows there is [1, tokens, width], and attention returns a tuple."""

_BACKEND = "TransformersForCausalLM"


def architecture(model: nn.Module) -> Architecture:
    """How a loaded model is built.

    Raises:
        UnsupportedError: it is not known.
    """
    name = type(model).__name__
    if name == _BACKEND:
        name = type(model.get_submodule("model")).__name__
        found = THROUGH_TRANSFORMERS.get(name)
    else:
        found = ARCHITECTURES.get(name)
    if found is None:
        known = ", ".join(sorted([*ARCHITECTURES, *THROUGH_TRANSFORMERS]))
        raise UnsupportedError(
            f"base model: expected one of {known}, found {type(model).__name__}"
            f"{f' around {name}' if name != type(model).__name__ else ''}; what its blocks return "
            "is not understood, so no variant of it can be served: start without Lethe, without "
            "--model-impl, or serve a model from the list"
        )
    return found


def decoder_blocks(model: nn.Module, known: Architecture) -> Iterator[tuple[int, nn.Module]]:
    """The decoder blocks that live on this rank, with their index in the whole model."""
    for index, block in enumerate(part(model, known.blocks).children()):
        # vLLM keeps an identity in the place of another pipeline rank's block.
        if not isinstance(block, nn.Identity):
            yield index, block


def part(module: nn.Module, path: str) -> nn.Module:
    """A module's submodule.

    Raises:
        UnsupportedError: it has none of that name.
    """
    try:
        return module.get_submodule(path)
    except AttributeError as error:
        raise UnsupportedError(
            f"{type(module).__name__}: expected a module at {path}, as in vLLM 0.32, found none; "
            "use that version"
        ) from error


def why_no_down_proj(mlp: nn.Module, known: Architecture) -> str | None:
    """Why an MLP has no linear layer that a `down_proj` site could be; None if it has one."""
    if hasattr(mlp, known.down_proj):
        return None
    if hasattr(mlp, "experts"):
        return (
            "this block is a mixture of experts, whose down projections are many and run in one "
            "fused kernel; edit mlp (the sum over experts) or block there"
        )
    raise UnsupportedError(
        f"{type(mlp).__name__}: expected a linear layer {known.down_proj}, as in vLLM 0.32, found "
        "none; use that version"
    )
