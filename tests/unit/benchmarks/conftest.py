"""A tiny random Llama, a tokenizer of one token a word, and profiles that do much and nothing."""

from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site

HIDDEN, D_FF, LAYERS = 32, 64, 3
WORDS = (  # noqa: SIM905
    "[PAD] [END] [UNK] system user assistant be brief the of is what who where capital city "
    "country river tell me about name one two three four five six seven eight nine ten salt red "
    "north south east west Arda Brel Cora Doma Elva Faro Gond Hyra Isla Jora Kesh Lund ? ,"
).split()
TEMPLATE = (
    "{{ 'system be brief ' }}{% for m in messages %}{{ m['role'] + ' ' + m['content'] + ' ' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'assistant ' }}{% endif %}"
)


@pytest.fixture(scope="session")
def model() -> Any:
    torch.manual_seed(4)
    config = LlamaConfig(
        hidden_size=HIDDEN, intermediate_size=D_FF, num_hidden_layers=LAYERS,
        num_attention_heads=4, num_key_value_heads=2, vocab_size=len(WORDS),
        max_position_embeddings=128, initializer_range=0.3, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", eos_token="[END]", unk_token="[UNK]"
    )
    fast.chat_template = TEMPLATE
    return fast


@pytest.fixture(scope="session")
def base() -> BaseModel:
    return BaseModel("LlamaForCausalLM", HIDDEN, LAYERS, D_FF, len(WORDS), "ab" * 32)


def projector(scale: float, scope: str = "all") -> Projector:
    generator = torch.Generator().manual_seed(7)
    A = torch.randn(2, HIDDEN, generator=generator)
    return Projector(Site(1, "block"), A, scale * torch.randn(2, HIDDEN, generator=generator),
                     scope=scope)  # fmt: skip


@pytest.fixture(scope="session")
def strong(base: BaseModel) -> Profile:
    """Changes some answers and leaves some."""
    return Profile(base, (projector(0.02),), "test")


@pytest.fixture(scope="session")
def idle(base: BaseModel) -> Profile:
    """An edit that adds nothing."""
    return Profile(base, (projector(0.0),), "test")
