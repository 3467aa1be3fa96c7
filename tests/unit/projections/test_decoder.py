"""Where models of every served architecture keep their blocks and parts, judged by what flows."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from lethe_projections import activations, decoder, merge, reference
from lethe_projections.base_model import BaseModel
from lethe_projections.chat import Batch
from lethe_projections.errors import IncompatibleError
from lethe_projections.interchange import peft_export
from lethe_projections.methods import lunar, rab, rad, rocr
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site

from ... import tiny_models
from ...tiny_models import D_FF, HIDDEN, LAYERS, VOCAB
from .conftest import logits, rows
from .tasks import task

EXPERTS = {"OlmoeForCausalLM", "MixtralForCausalLM"}
DENSE = sorted(set(tiny_models.CONFIGS) - EXPERTS)


def dense_layer(architecture: str) -> int:
    """A block with a `down_proj`; of Qwen2-MoE's it is the second alone."""
    return 1 if architecture == "Qwen2MoeForCausalLM" else LAYERS - 1


def edit(base: BaseModel, hook: str, layer: int, biased: bool = False) -> Profile:
    width = base.intermediate_size if hook == "down_proj" else base.hidden_size
    factors = rows(1, 2, width) * 0.3, rows(2, 2, base.hidden_size) * 0.3
    a = rows(3, 1, 2)[0] if biased else None
    return Profile(base, (Projector(Site(layer, hook), *factors, a),), "test")


@pytest.mark.parametrize("architecture", tiny_models.CONFIGS)
def test_a_checkpoint_says_the_dimensions_that_the_model_has(
    architecture: str, tmp_path: Path
) -> None:
    model, checkpoint = tiny_models.save(architecture, tmp_path)
    base = BaseModel.from_checkpoint(checkpoint)
    assert base.architecture == architecture
    d_ff = 4 * HIDDEN if architecture == "GPT2LMHeadModel" else D_FF
    found = (base.hidden_size, base.num_layers, base.intermediate_size, base.vocab_size)
    assert found == (HIDDEN, LAYERS, d_ff, VOCAB)
    decoder.check_dimensions(base, model)


@pytest.mark.parametrize("architecture", tiny_models.CONFIGS)
def test_a_block_writes_the_residual_stream_that_the_next_one_reads(architecture: str) -> None:
    model = tiny_models.make(architecture)
    read: list[torch.Tensor] = []

    def keep(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        read.append(args[0] if args else kwargs["hidden_states"])

    decoder.layers(model)[2].register_forward_pre_hook(keep, with_kwargs=True)
    ids = torch.arange(12)[None]
    site = Site(1, "block")
    written = activations.read(model, Batch(ids, torch.ones_like(ids)), [site])[site]
    model(ids)
    assert torch.equal(read[0], written)
    assert written.std() > 0.1


@pytest.mark.parametrize("hook", ["attn", "mlp"])
@pytest.mark.parametrize("architecture", tiny_models.CONFIGS)
def test_every_architecture_has_attention_and_an_mlp_that_matter(
    architecture: str, hook: str, tmp_path: Path
) -> None:
    model, checkpoint = tiny_models.save(architecture, tmp_path)
    plain = logits(model)
    with reference.edited(model, edit(BaseModel.from_checkpoint(checkpoint), hook, 1)) as edited:
        assert (logits(edited) - plain).abs().max() > 0.1


@pytest.mark.parametrize("architecture", DENSE)
def test_merged_weights_equal_hooks(architecture: str, tmp_path: Path) -> None:
    model, checkpoint = tiny_models.save(architecture, tmp_path)
    layer = dense_layer(architecture)
    biased = decoder.down_proj(model, layer).bias is not None
    profile = edit(BaseModel.from_checkpoint(checkpoint), "down_proj", layer, biased)
    plain = logits(model)
    with reference.edited(model, profile) as edited:
        expected = logits(edited)
    merged = logits(merge.merge_(copy.deepcopy(model), profile))
    assert (expected - plain).abs().max() > 0.1
    assert torch.allclose(merged, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", [*sorted(EXPERTS), "Qwen2MoeForCausalLM"])
def test_down_proj_inside_experts_is_refused_with_the_reason(architecture: str) -> None:
    with pytest.raises(IncompatibleError, match="mixture of experts"):
        decoder.module_at(tiny_models.make(architecture), Site(0, "down_proj"))


@pytest.mark.parametrize("method", [rocr, lunar, rad, rab])
def test_a_closed_form_is_refused_where_a_norm_follows_the_mlp(
    method: Any, tokenizer: Any, tmp_path: Path
) -> None:
    model, checkpoint = tiny_models.save("Gemma2ForCausalLM", tmp_path)
    job = task(model, tokenizer, BaseModel.from_checkpoint(checkpoint), "Arda")
    with pytest.raises(IncompatibleError, match="post_feedforward_layernorm"):
        method.fit(job, method.Config())


@pytest.mark.parametrize("architecture", tiny_models.CONFIGS)
def test_where_a_norm_follows_the_mlp_is_known(architecture: str) -> None:
    model = tiny_models.make(architecture)
    block, ids = decoder.layers(model)[1], torch.arange(12)[None]
    seen: dict[str, torch.Tensor] = {}

    def doubled(_: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
        return 2 * output

    def keep(name: str) -> Any:
        return lambda _, args, output: seen.update({name: output})

    block.mlp.register_forward_hook(keep("mlp"))
    block.register_forward_hook(keep("once"))
    model(ids)
    once, mlp = seen["once"], seen["mlp"]
    block.mlp.register_forward_hook(doubled)
    model(ids)
    if torch.allclose(seen["once"] - once, mlp, rtol=1e-3, atol=1e-4):
        decoder.check_mlp_is_added(model)
    else:
        with pytest.raises(IncompatibleError, match="norm"):
            decoder.check_mlp_is_added(model)


def test_gpt2_may_say_its_width_itself(tmp_path: Path) -> None:
    model = tiny_models.make("GPT2LMHeadModel")
    config = copy.deepcopy(model.config)
    config.n_inner = 160
    type(model)(config).save_pretrained(tmp_path)
    assert BaseModel.from_checkpoint(tmp_path).intermediate_size == 160


@pytest.mark.parametrize("architecture", ["GPT2LMHeadModel", "GPTNeoXForCausalLM"])
def test_an_adapter_is_not_written_under_names_that_the_model_does_not_have(
    architecture: str, tmp_path: Path
) -> None:
    _, checkpoint = tiny_models.save(architecture, tmp_path / "model")
    profile = edit(BaseModel.from_checkpoint(checkpoint), "down_proj", 1)
    with pytest.raises(IncompatibleError, match=r"model\.layers\.N\.mlp\.down_proj"):
        peft_export.write(profile, tmp_path / "lora", "m")
    assert not (tmp_path / "lora").exists()
