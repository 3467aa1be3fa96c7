"""The identity of a base model: what changes the fingerprint and what does not."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lethe_projections.base_model import BaseModel, check
from lethe_projections.errors import ArtifactError, CheckpointError, IncompatibleError

from .conftest import D_FF, HIDDEN, LAYERS, VOCAB


@pytest.fixture
def folder(model: Any, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "one")
    return tmp_path / "one"


def test_it_reads_the_dimensions(folder: Path) -> None:
    base = BaseModel.from_checkpoint(folder)
    assert dataclasses.astuple(base)[:5] == ("LlamaForCausalLM", HIDDEN, LAYERS, D_FF, VOCAB)
    assert BaseModel.from_dict(dataclasses.asdict(base)) == base


def test_sharding_leaves_the_fingerprint_as_it_is(folder: Path, model: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "many", max_shard_size="20KB")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 1
    assert BaseModel.from_checkpoint(tmp_path / "many") == BaseModel.from_checkpoint(folder)


@pytest.mark.parametrize("name", ["model.layers.1.mlp.down_proj.weight", "model.norm.weight"])
def test_a_change_of_any_tensor_changes_the_fingerprint(folder: Path, name: str) -> None:
    before = BaseModel.from_checkpoint(folder)
    tensors = load_file(folder / "model.safetensors")
    tensors[name] += 0.01
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    assert BaseModel.from_checkpoint(folder).fingerprint != before.fingerprint


def test_another_dtype_is_another_model(folder: Path, model: Any, tmp_path: Path) -> None:
    model.to(torch.bfloat16).save_pretrained(tmp_path / "half")
    half = BaseModel.from_checkpoint(tmp_path / "half")
    assert half.fingerprint != BaseModel.from_checkpoint(folder).fingerprint


def test_a_nested_text_config_is_read(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    nested = {"architectures": config.pop("architectures"), "text_config": config}
    expected = BaseModel.from_checkpoint(folder)
    (folder / "config.json").write_text(json.dumps(nested))
    assert BaseModel.from_checkpoint(folder) == expected


def test_a_mismatch_names_every_field_with_both_values(base: BaseModel) -> None:
    other = dataclasses.replace(base, num_layers=99, fingerprint="cd" * 32)
    with pytest.raises(IncompatibleError) as raised:
        check(base, other)
    for part in ("num_layers: expected 4, found 99", "fingerprint", "ab" * 32, "cd" * 32):
        assert part in str(raised.value)
    assert "hidden_size" not in str(raised.value)
    check(base, dataclasses.replace(base))


def test_a_checkpoint_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for name in (str(tmp_path / "none"), "nobody/no-such-model", "a b c"):
        with pytest.raises(CheckpointError, match="found neither"):
            BaseModel.from_checkpoint(name)


def test_a_checkpoint_without_safetensors_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"\*\.safetensors"):
        BaseModel.from_checkpoint(folder)


@pytest.mark.parametrize("damage", [b"", b"short", b"\xff" * 64, b"\x08" + bytes(7) + b"[1,2,3] "])
def test_a_damaged_weight_file_is_refused(folder: Path, damage: bytes) -> None:
    (folder / "model.safetensors").write_bytes(damage)
    with pytest.raises(CheckpointError, match="safetensors"):
        BaseModel.from_checkpoint(folder)


@pytest.mark.parametrize("text", ["[]", "{", "{}", '{"hidden_size": "64"}', '{"text_config": 3}'])
def test_a_config_that_says_nothing_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError):
        BaseModel.from_checkpoint(folder)


@pytest.mark.parametrize(
    "change",
    [{"hidden_size": True}, {"hidden_size": 0}, {"num_layers": 1.0}, {"architecture": ""},
     {"architecture": None}, {"fingerprint": "AB" * 32}, {"fingerprint": 3}, {"vocab_size": "1"}],
)  # fmt: skip
def test_a_field_of_the_wrong_kind_is_refused(base: BaseModel, change: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match="base: expected"):
        dataclasses.replace(base, **change)
