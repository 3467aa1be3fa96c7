"""A tiny random model of every architecture that is served, as a checkpoint without a tokenizer."""

from pathlib import Path
from typing import Any

import torch
import transformers

LAYERS, HIDDEN, D_FF, HEADS, VOCAB = 3, 64, 96, 2, 160
"""A head of 32 is the smallest that vLLM's attention on a CPU takes."""

_LLAMA = {
    "hidden_size": HIDDEN,
    "intermediate_size": D_FF,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 1,
    "vocab_size": VOCAB,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_GEMMA = _LLAMA | {"head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 16}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2}

CONFIGS: dict[str, Any] = {
    "LlamaForCausalLM": lambda: transformers.LlamaConfig(**_LLAMA),
    "MistralForCausalLM": lambda: transformers.MistralConfig(**_LLAMA, sliding_window=None),
    "Qwen2ForCausalLM": lambda: transformers.Qwen2Config(**_LLAMA),
    "Qwen3ForCausalLM": lambda: transformers.Qwen3Config(**_LLAMA, head_dim=32),
    "Gemma2ForCausalLM": lambda: transformers.Gemma2Config(**_GEMMA),
    "Gemma3ForCausalLM": lambda: transformers.Gemma3TextConfig(
        **_GEMMA, layer_types=["sliding_attention", "full_attention", "sliding_attention"]
    ),
    "Phi3ForCausalLM": lambda: transformers.Phi3Config(**_LLAMA, pad_token_id=0),
    "Olmo2ForCausalLM": lambda: transformers.Olmo2Config(**_LLAMA),
    "GPTNeoXForCausalLM": lambda: transformers.GPTNeoXConfig(
        **{k: v for k, v in _LLAMA.items() if k != "num_key_value_heads"}
    ),
    "GPT2LMHeadModel": lambda: transformers.GPT2Config(
        n_embd=HIDDEN,
        n_layer=LAYERS,
        n_head=HEADS,
        vocab_size=VOCAB,
        n_positions=256,
        bos_token_id=1,
        eos_token_id=2,
    ),
    "OlmoeForCausalLM": lambda: transformers.OlmoeConfig(**_LLAMA, **_EXPERTS),
    "Qwen2MoeForCausalLM": lambda: transformers.Qwen2MoeConfig(
        **_LLAMA,
        **_EXPERTS,
        moe_intermediate_size=64,
        shared_expert_intermediate_size=32,
        mlp_only_layers=[1],
    ),
    "MixtralForCausalLM": lambda: transformers.MixtralConfig(
        **_LLAMA, num_local_experts=4, num_experts_per_tok=2
    ),
}


def make(architecture: str) -> Any:
    """The model in float32, with weights that make its answers depend on its tokens.

    Biases and norms are random as well: by themselves they begin as zero and one, which hides
    where they are applied. Attention is transformers' own: its faster one leaves out the soft cap
    of Gemma 2's (0.01 nats here).
    """
    torch.manual_seed(0)
    model = getattr(transformers, architecture)(CONFIGS[architecture]()).float().eval()
    model.set_attn_implementation("eager")
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn_like(parameter) * 0.15)
            else:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def save(architecture: str, folder: Path) -> tuple[Any, str]:
    """The model, and the checkpoint that it was written to."""
    model = make(architecture)
    model.save_pretrained(folder)
    return model, str(folder)
