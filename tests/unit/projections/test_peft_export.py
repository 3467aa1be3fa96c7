"""A profile as a LoRA adapter. Judged by PEFT itself."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors import safe_open

from lethe_projections import artifact, reference
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import IncompatibleError, InterchangeError
from lethe_projections.interchange import peft_export
from lethe_projections.profile import Profile
from lethe_projections.projector import Gate, Projector, Site

from .adapters import A_NAME, B_NAME, mergeable, stronger, weights
from .conftest import D_FF, HIDDEN, edit, logits, rows


def test_peft_computes_with_the_adapter_what_the_profile_says(
    model: Any, base: BaseModel, tmp_path: Path
) -> None:
    profile = mergeable(base)
    plain = logits(model)
    with reference.edited(model, profile) as edited:
        expected = logits(edited)
    with reference.edited(model, stronger(profile)) as edited:
        twice = logits(edited)
    peft_export.write(profile, tmp_path / "lora", "m")
    found = logits(PeftModel.from_pretrained(model, tmp_path / "lora"))
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert (expected - plain).abs().max() > 0.1
    assert (expected - twice).abs().max() > 0.1


def test_ranks_are_padded_with_zeros_to_one_that_vllm_permits(
    base: BaseModel, tmp_path: Path
) -> None:
    assert peft_export.write(mergeable(base), tmp_path / "lora", "m") == 8
    tensors = weights(tmp_path / "lora")
    assert set(tensors) == {name.format(layer) for name in (A_NAME, B_NAME) for layer in (1, 3)}
    assert {tuple(t.shape) for t in tensors.values()} == {(8, D_FF), (HIDDEN, 8)}
    assert not tensors[A_NAME.format(1)][3:].any()
    assert not tensors[B_NAME.format(3)][:, 5:].any()


@pytest.mark.parametrize(("rank", "padded"), [(1, 1), (2, 8), (8, 8), (9, 16), (17, 32)])
def test_the_smallest_permitted_rank_is_taken(
    rank: int, padded: int, base: BaseModel, tmp_path: Path
) -> None:
    profile = Profile(base, (edit("down_proj", rank=rank),), "test")
    assert peft_export.write(profile, tmp_path / "lora", "m") == padded


def test_the_configuration_scales_by_one_and_names_the_layers(
    base: BaseModel, tmp_path: Path
) -> None:
    peft_export.write(mergeable(base), tmp_path / "lora", "org/model")
    config = json.loads((tmp_path / "lora" / "adapter_config.json").read_text())
    assert config["r"] == config["lora_alpha"] == 8
    assert config["layers_to_transform"] == [1, 3]
    assert config["target_modules"] == ["down_proj"]
    assert config["base_model_name_or_path"] == "org/model"


def test_the_adapter_says_which_profile_it_was(base: BaseModel, tmp_path: Path) -> None:
    profile = mergeable(base)
    peft_export.write(profile, tmp_path / "lora", "m")
    with safe_open(tmp_path / "lora" / "adapter_model.safetensors", "pt") as file:
        origin = json.loads(file.metadata()[peft_export.METADATA_KEY])
    assert origin["digest"] == artifact.digest(artifact.to_bytes(profile))
    assert origin["method"] == "test"
    assert origin["provenance"] == {"seed": 3}


DOWN = Site(1, "down_proj")


@pytest.mark.parametrize(
    ("projector", "reason"),
    [
        (edit("block"), "found block"),
        (edit("down_proj", offset=True), "no offset a"),
        (Projector(DOWN, rows(1, 1, D_FF), rows(2, 1, HIDDEN), scope="generated"), "'generated'"),
        (
            Projector(DOWN, rows(1, 1, D_FF), rows(2, 1, HIDDEN), gate=Gate(rows(3, 1, D_FF)[0])),
            "a gate",
        ),
    ],
)
def test_what_lora_cannot_hold_is_refused(
    projector: Projector, reason: str, base: BaseModel, tmp_path: Path
) -> None:
    profile = Profile(base, (projector, edit("down_proj", 2)), "test")
    with pytest.raises(IncompatibleError, match=reason):
        peft_export.write(profile, tmp_path / "lora", "m")
    assert list(tmp_path.iterdir()) == []


def test_a_model_whose_blocks_lie_elsewhere_is_refused(base: BaseModel, tmp_path: Path) -> None:
    other = replace(base, architecture="LlavaForConditionalGeneration")
    with pytest.raises(IncompatibleError, match="LlavaForConditionalGeneration"):
        peft_export.write(mergeable(other), tmp_path / "lora", "m")


def test_a_filled_folder_is_left_alone(base: BaseModel, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(InterchangeError, match="no filled folder"):
        peft_export.write(mergeable(base), tmp_path, "m")
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_an_empty_folder_may_be_there(base: BaseModel, tmp_path: Path) -> None:
    (tmp_path / "lora").mkdir()
    peft_export.write(mergeable(base), tmp_path / "lora", "m")
    assert len(list((tmp_path / "lora").iterdir())) == 2
