"""What transformers loads of a quantised checkpoint: weights in floating point, or nothing."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from lethe_projections import transformers_model
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import CheckpointError, IncompatibleError
from lethe_projections.interchange import merged_checkpoint
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site

from ... import quantised_models
from ...quantised_models import FORMATS, Quantised

COMPRESSED = [name for name in FORMATS if name.startswith("compressed-tensors")]
TOKENS = torch.arange(3, 40)[None]


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(TOKENS).logits
    return found


def saved(name: str, folder: Path, tokenizer: Any) -> tuple[Any, str]:
    model, checkpoint = quantised_models.save(FORMATS[name], folder)
    tokenizer.save_pretrained(folder)
    return model, checkpoint


@pytest.mark.parametrize("name", COMPRESSED)
def test_the_reference_of_the_engine_tests_is_what_transformers_computes(
    name: str, tokenizer: Any, tmp_path: Path
) -> None:
    model, checkpoint = saved(name, tmp_path, tokenizer)
    theirs = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    # One number rounded to the other side shows in the logits of its token and those after it.
    off = (logits(theirs) - logits(model)).abs().amax(-1).squeeze(0)
    assert off.quantile(0.25) < 1e-4
    assert off.max() < 1


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_dequantised_model_rounds_nothing_and_has_gradients(
    name: str, tokenizer: Any, tmp_path: Path
) -> None:
    model, checkpoint = saved(name, tmp_path, tokenizer)
    loaded, _ = transformers_model.load(checkpoint, torch.float32)
    rounded = logits(model)
    layers = [one for one in model.modules() if isinstance(one, Quantised)]
    for layer in layers:
        layer.rounding = None
    assert (logits(loaded) - logits(model)).abs().max() < 1e-4
    if FORMATS[name].rounding is not None:
        assert (rounded - logits(model)).abs().max() > 1e-2
    loaded.model.layers[0].mlp.down_proj.weight.requires_grad_()
    loaded(TOKENS).logits.sum().backward()
    assert loaded.model.layers[0].mlp.down_proj.weight.grad.abs().max() > 0


@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_what_cannot_be_dequantised_is_refused(method: str, tokenizer: Any, tmp_path: Path) -> None:
    _, checkpoint = saved(f"{method} int4", tmp_path, tokenizer)
    with pytest.raises(CheckpointError, match=f"found {method}.*quantised from"):
        transformers_model.load(checkpoint)


def test_an_edit_is_not_merged_into_quantised_weights(tokenizer: Any, tmp_path: Path) -> None:
    _, checkpoint = saved(COMPRESSED[0], tmp_path / "model", tokenizer)
    base = BaseModel.from_checkpoint(checkpoint)
    edit = Projector(
        Site(1, "down_proj"), torch.ones(1, base.intermediate_size), torch.ones(1, base.hidden_size)
    )
    profile = Profile(base, (edit,), "test")
    with pytest.raises(IncompatibleError, match="found compressed-tensors"):
        merged_checkpoint.write(profile, checkpoint, tmp_path / "merged")
