"""A profile merged into a checkpoint of its own: what transformers loads back is the edit."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from lethe_projections import artifact, reference
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import CheckpointError, IncompatibleError, InterchangeError
from lethe_projections.interchange import merged_checkpoint
from lethe_projections.profile import Profile
from lethe_projections.projector import Gate, Projector, Site

from .adapters import mergeable
from .conftest import D_FF, HIDDEN, edit, logits, rows


@pytest.fixture
def checkpoint(model: Any, tokenizer: Any, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def loaded(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()


def test_the_merged_checkpoint_computes_what_the_hooks_do(
    model: Any, tokenizer: Any, checkpoint: Path, tmp_path: Path
) -> None:
    profile = mergeable(BaseModel.from_checkpoint(checkpoint))
    merged_checkpoint.write(profile, checkpoint, tmp_path / "merged")
    plain = logits(model)
    with reference.edited(model, profile) as edited:
        expected = logits(edited)
    assert torch.allclose(logits(loaded(tmp_path / "merged")), expected, rtol=1e-4, atol=1e-4)
    assert (expected - plain).abs().max() > 0.1
    read = AutoTokenizer.from_pretrained(tmp_path / "merged")
    assert read("capital of Arda").input_ids == tokenizer("capital of Arda").input_ids
    assert read.chat_template == tokenizer.chat_template


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_the_data_type_of_the_original_is_kept(
    dtype: torch.dtype, model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    model.to(dtype).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    profile = mergeable(BaseModel.from_checkpoint(tmp_path / "model"))
    merged_checkpoint.write(profile, tmp_path / "model", tmp_path / "merged")
    merged = loaded(tmp_path / "merged")
    assert {p.dtype for p in merged.parameters()} == {dtype}
    before = model.model.layers[1].mlp.down_proj.weight.double()
    after = merged.model.layers[1].mlp.down_proj.weight
    added = profile.projectors[0].B.double().T @ profile.projectors[0].A.double()
    assert torch.equal(after, (before + added).to(dtype))
    assert not torch.equal(after, before.to(dtype))


def test_it_says_which_profile_is_in_it(checkpoint: Path, tmp_path: Path) -> None:
    profile = mergeable(BaseModel.from_checkpoint(checkpoint))
    merged_checkpoint.write(profile, checkpoint, tmp_path / "merged")
    origin = json.loads((tmp_path / "merged" / merged_checkpoint.ORIGIN).read_text())
    assert origin["digest"] == artifact.digest(artifact.to_bytes(profile))


def test_profiles_of_the_base_do_not_pass_for_profiles_of_the_merged_model(
    checkpoint: Path, tmp_path: Path
) -> None:
    base = BaseModel.from_checkpoint(checkpoint)
    merged_checkpoint.write(mergeable(base), checkpoint, tmp_path / "merged")
    with pytest.raises(IncompatibleError, match="fingerprint"):
        merged_checkpoint.write(mergeable(base), tmp_path / "merged", tmp_path / "twice")


DOWN = Site(1, "down_proj")


@pytest.mark.parametrize(
    ("projector", "reason"),
    [
        (edit("mlp"), "found mlp"),
        (edit("down_proj", offset=True), "no offset a"),
        (Projector(DOWN, rows(1, 1, D_FF), rows(2, 1, HIDDEN), scope="prompt"), "'prompt'"),
        (
            Projector(DOWN, rows(1, 1, D_FF), rows(2, 1, HIDDEN), gate=Gate(rows(3, 1, D_FF)[0])),
            "a gate",
        ),
    ],
)
def test_what_no_weight_can_hold_is_refused(
    projector: Projector, reason: str, checkpoint: Path, tmp_path: Path
) -> None:
    profile = Profile(BaseModel.from_checkpoint(checkpoint), (projector,), "test")
    with pytest.raises(IncompatibleError, match=reason):
        merged_checkpoint.write(profile, checkpoint, tmp_path / "merged")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_another_models_profile_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    base = replace(BaseModel.from_checkpoint(checkpoint), fingerprint="0" * 64)
    with pytest.raises(IncompatibleError, match="fingerprint"):
        merged_checkpoint.write(mergeable(base), checkpoint, tmp_path / "merged")


def test_a_taken_folder_is_said_before_anything_is_loaded(base: BaseModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InterchangeError, match="no filled folder"):
        merged_checkpoint.write(mergeable(base), tmp_path / "no checkpoint", tmp_path)


def test_a_checkpoint_without_a_tokenizer_is_said(model: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "model")
    profile = mergeable(BaseModel.from_checkpoint(tmp_path / "model"))
    with pytest.raises(CheckpointError, match="tokenizer"):
        merged_checkpoint.write(profile, tmp_path / "model", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
