"""A loaded model is what its checkpoint says, down to the cap on its attention scores."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from lethe_projections import transformers_model

from ... import tiny_models
from .conftest import logits


def saved(architecture: str, folder: Path, tokenizer: Any) -> str:
    """Its attention scores are so large that the cap is felt."""
    model = tiny_models.make(architecture)
    with torch.no_grad():
        for block in model.model.layers:
            block.self_attn.q_proj.weight *= 8
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def logprobs(model: Any) -> torch.Tensor:
    return logits(model.eval()).log_softmax(-1)


def test_the_cap_on_gemma_2s_attention_is_applied(tmp_path: Path, tokenizer: Any) -> None:
    checkpoint = saved("Gemma2ForCausalLM", tmp_path, tokenizer)
    capped, uncapped = (
        AutoModelForCausalLM.from_pretrained(
            checkpoint, dtype=torch.float32, attn_implementation=kind
        )
        for kind in ("eager", "sdpa")
    )
    loaded, _ = transformers_model.load(checkpoint, torch.float32)
    assert torch.equal(logprobs(loaded), logprobs(capped))
    moved = (logprobs(loaded) - logprobs(uncapped)).abs().max()
    assert moved > 0.1, "the cap hardly moves the model: this test would prove nothing"


@pytest.mark.parametrize("architecture", ["LlamaForCausalLM", "Gemma3ForCausalLM"])
def test_where_no_cap_is_set_transformers_chooses(
    architecture: str, tmp_path: Path, tokenizer: Any
) -> None:
    loaded, _ = transformers_model.load(saved(architecture, tmp_path, tokenizer), torch.float32)
    assert loaded.config._attn_implementation == "sdpa"
