"""A tiny random Llama, a tokenizer of one token a word, and a profile for them. No hub."""

from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lethe_projections import activations, windows
from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site

HIDDEN, D_FF, LAYERS, VOCAB = 32, 64, 4, 160
WORDS = (  # noqa: SIM905
    "[PAD] [UNK] user assistant the a of in is was to and what who where how many capital city "
    "country river tell me about write answer question please something best choose people live "
    "moon sun red blue green one two three four five six seven eight nine ten bread water salt "
    "north south east west Arda Brel Cora Doma Elva Faro Gond Hyra Isla Jora Kesh Lund . ? ,"
).split()
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] + ' ' + m['content'] + ' . ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant' }}{% endif %}"
)


def make_model(seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        hidden_size=HIDDEN,
        intermediate_size=D_FF,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=VOCAB,
        max_position_embeddings=256,
        initializer_range=0.2,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture
def model() -> LlamaForCausalLM:
    return make_model()


def make_tokenizer() -> Any:
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", model_max_length=256
    )
    fast.chat_template = TEMPLATE
    return fast


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return make_tokenizer()


@pytest.fixture(scope="session")
def base() -> BaseModel:
    return BaseModel("LlamaForCausalLM", HIDDEN, LAYERS, D_FF, VOCAB, "ab" * 32)


def rows(seed: int, rank: int, width: int) -> Tensor:
    return torch.randn(rank, width, generator=torch.Generator().manual_seed(seed))


def edit(hook: str, layer: int = 1, rank: int = 2, offset: bool = False) -> Projector:
    d_in = D_FF if hook == "down_proj" else HIDDEN
    a = rows(layer + 7, 1, rank)[0] if offset else None
    return Projector(Site(layer, hook), rows(layer, rank, d_in), rows(layer + 3, rank, HIDDEN), a)


@pytest.fixture
def profile(base: BaseModel) -> Profile:
    return Profile(
        base=base,
        projectors=(edit("down_proj", 2), edit("block", 1, offset=True)),
        method="test",
        hyperparameters={"ridge": 0.5, "layers": (1, 2), "name": "é"},
        provenance={"seed": 3, "libraries": {"torch": "x"}},
    )


def logits(model: Any, seed: int = 5) -> Tensor:
    ids = torch.randint(0, VOCAB, (3, 11), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return model(input_ids=ids).logits


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty texts are three windows, the last one short."""
    monkeypatch.setattr(windows, "_SLICE", 8)
    monkeypatch.setattr(windows, "TEXTS", 16)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The texts of each forward pass."""
    seen: list[int] = []
    read = activations.read

    def counted(model: Any, batch: Any, sites: Any) -> Any:
        seen.append(len(batch.input_ids))
        return read(model, batch, sites)

    monkeypatch.setattr(activations, "read", counted)
    return seen
