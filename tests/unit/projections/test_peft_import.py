"""A LoRA adapter as a profile. Judged by PEFT itself."""

import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lethe_projections import reference
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import ArtifactError, IncompatibleError, InterchangeError
from lethe_projections.interchange import peft_export, peft_import

from .adapters import (
    A_NAME,
    B_NAME,
    adapter,
    config,
    factors,
    mergeable,
    stronger,
    written_by_peft,
)
from .conftest import D_FF, HIDDEN, LAYERS, logits, rows


def test_export_and_import_give_the_same_profile(base: BaseModel, tmp_path: Path) -> None:
    profile = mergeable(base)
    peft_export.write(profile, tmp_path / "lora", "m")
    found = peft_import.read(tmp_path / "lora", base)
    assert found.sites == profile.sites
    for one, other in zip(found.projectors, profile.projectors, strict=True):
        assert torch.equal(one.A, other.A)
        assert torch.equal(one.B, other.B)


@pytest.mark.parametrize(
    "options",
    [
        {"r": 4, "lora_alpha": 8},
        {"r": 4, "lora_alpha": 8, "use_rslora": True},
        {"r": 4, "lora_alpha": 3, "layers_to_transform": [1, 2]},
        {"r": 4, "lora_alpha": 8, "rank_pattern": {"layers.1.mlp.down_proj": 2}},
        {
            "r": 2,
            "lora_alpha": 4,
            "use_rslora": True,
            "rank_pattern": {r"^model\.layers\.0\.mlp\.down_proj": 6},
            "alpha_pattern": {"3.mlp.down_proj": 1, "down_proj": 5},
        },
    ],
    ids=["plain", "rslora", "layers", "ranks", "patterns"],
)
def test_an_adapter_saved_by_peft_does_what_it_did_in_peft(
    options: dict[str, Any], model: Any, base: BaseModel, tmp_path: Path
) -> None:
    plain = logits(model)
    adapted = written_by_peft(deepcopy(model), tmp_path, target_modules=["down_proj"], **options)
    expected = logits(adapted)
    profile = peft_import.read(tmp_path, base)
    with reference.edited(model, profile) as edited:
        assert torch.allclose(logits(edited), expected, rtol=1e-5, atol=1e-5)
    with reference.edited(model, stronger(profile)) as edited:
        assert (logits(edited) - expected).abs().max() > 0.1
    assert (expected - plain).abs().max() > 0.1


def test_the_profile_names_its_source(base: BaseModel, tmp_path: Path) -> None:
    import hashlib

    adapter(tmp_path, config(), factors())
    profile = peft_import.read(tmp_path, base)
    data = (tmp_path / "adapter_model.safetensors").read_bytes()
    assert profile.method == "lora"
    assert profile.provenance["source_format"] == "peft-lora"
    assert profile.provenance["source_sha256"] == hashlib.sha256(data).hexdigest()
    assert profile.hyperparameters["r"] == 4


@pytest.mark.parametrize(("rslora", "scaling"), [(False, 2.0), (True, 4.0)])
def test_the_scaling_goes_into_b(
    rslora: bool, scaling: float, base: BaseModel, tmp_path: Path
) -> None:
    adapter(tmp_path, config(use_rslora=rslora), factors())
    first = peft_import.read(tmp_path, base).projectors[0]
    assert math.isclose(scaling, 8 / (math.sqrt(4) if rslora else 4))
    assert torch.equal(first.A, factors()[A_NAME.format(0)])
    assert torch.equal(first.B, scaling * factors()[B_NAME.format(0)].T)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_exactly(
    dtype: torch.dtype, base: BaseModel, tmp_path: Path
) -> None:
    halves = {name: tensor.to(dtype) for name, tensor in factors().items()}
    adapter(tmp_path, config(lora_alpha=4), halves)
    first = peft_import.read(tmp_path, base).projectors[0]
    assert torch.equal(first.A, halves[A_NAME.format(0)].float())


def test_a_layer_that_was_never_trained_is_left_out(base: BaseModel, tmp_path: Path) -> None:
    tensors = factors()
    tensors[B_NAME.format(2)].zero_()
    adapter(tmp_path, config(), tensors)
    assert [site.layer for site in peft_import.read(tmp_path, base).sites] == [0, 1, 3]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"peft_type": "IA3"}, "peft_type"),
        ({"use_dora": True}, "use_dora"),
        ({"bias": "lora_only"}, "bias"),
        ({"lora_bias": True}, "lora_bias"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"trainable_token_indices": [3]}, "trainable_token_indices"),
        ({"target_parameters": ["experts.w"]}, "target_parameters"),
        ({"exclude_modules": ["0.mlp.down_proj"]}, "exclude_modules"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"layers_pattern": "h"}, "layers_pattern"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights"),
        ({"use_qalora": True}, "use_qalora"),
        ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens"),
        ({"an_option_of_next_year": "on"}, "an_option_of_next_year"),
        ({"target_modules": ["down_proj", "q_proj"]}, "q_proj"),
        ({"target_modules": None}, "target_modules"),
        ({"rank_pattern": {".*down_proj": 2}}, "rank_pattern"),
        ({"alpha_pattern": {"down_proj": "2"}}, "alpha_pattern"),
        ({"layers_to_transform": [0, 1]}, "layers_to_transform"),
        ({"layers_to_transform": ["0"]}, "layers_to_transform"),
        ({"r": 0}, "r: expected"),
        ({"r": True}, "r: expected"),
        ({"lora_alpha": None}, "lora_alpha"),
        ({"lora_alpha": 10**400}, "lora_alpha"),
        ({"use_rslora": "yes"}, "use_rslora"),
    ],
)
def test_an_option_that_a_profile_cannot_hold_is_refused_by_name(
    changes: dict[str, Any], named: str, base: BaseModel, tmp_path: Path
) -> None:
    adapter(tmp_path, config(), factors())
    assert peft_import.read(tmp_path, base).rank == 4
    adapter(tmp_path, config(**changes), factors())
    with pytest.raises(InterchangeError, match=named):
        peft_import.read(tmp_path, base)


@pytest.mark.parametrize(
    "name",
    [
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
        "base_model.model.model.layers.0.mlp.down_proj.lora_magnitude_vector",
        "base_model.model.model.layers.0.mlp.down_proj.lora_B.bias",
        "base_model.model.model.embed_tokens.lora_embedding_A",
        "base_model.model.lm_head.weight",
        "base_model.model.model.layers.00.mlp.down_proj.lora_A.weight",
    ],
)
def test_another_tensor_is_refused_by_name(name: str, base: BaseModel, tmp_path: Path) -> None:
    adapter(tmp_path, config(), factors() | {name: rows(1, 4, D_FF)})
    with pytest.raises(InterchangeError) as refused:
        peft_import.read(tmp_path, base)
    assert name in str(refused.value)


def test_a_factor_without_its_other_is_refused(base: BaseModel, tmp_path: Path) -> None:
    tensors = factors()
    del tensors[B_NAME.format(2)]
    adapter(tmp_path, config(), tensors)
    with pytest.raises(InterchangeError, match=r"layers\.2\.mlp\.down_proj\.lora_B"):
        peft_import.read(tmp_path, base)


@pytest.mark.parametrize(
    ("name", "shape"),
    [(A_NAME, (4, D_FF + 1)), (A_NAME, (3, D_FF)), (B_NAME, (HIDDEN, 5)), (B_NAME, (HIDDEN,))],
)
def test_a_wrong_shape_is_refused(
    name: str, shape: tuple[int, ...], base: BaseModel, tmp_path: Path
) -> None:
    adapter(tmp_path, config(), factors() | {name.format(1): torch.ones(shape)})
    with pytest.raises(IncompatibleError, match=r"layers\.1\.mlp\.down_proj.*expected shape"):
        peft_import.read(tmp_path, base)


def test_a_layer_that_the_model_lacks_is_refused(base: BaseModel, tmp_path: Path) -> None:
    adapter(tmp_path, config(), factors(layers=(1, LAYERS)))
    with pytest.raises(IncompatibleError, match=f"below {LAYERS}.*found {LAYERS}"):
        peft_import.read(tmp_path, base)


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (torch.full((4, D_FF), math.nan), "finite"),
        (torch.ones(4, D_FF, dtype=torch.float64), "float64"),
        (torch.ones(4, D_FF, dtype=torch.int32), "int32"),
    ],
)
def test_values_that_float32_does_not_hold_are_refused(
    tensor: torch.Tensor, reason: str, base: BaseModel, tmp_path: Path
) -> None:
    adapter(tmp_path, config(), factors() | {A_NAME.format(1): tensor})
    with pytest.raises(InterchangeError, match=reason):
        peft_import.read(tmp_path, base)


def test_an_adapter_that_changes_nothing_is_refused(base: BaseModel, tmp_path: Path) -> None:
    adapter(tmp_path, config(), {n: torch.zeros_like(t) for n, t in factors().items()})
    with pytest.raises(InterchangeError, match="zeros alone"):
        peft_import.read(tmp_path, base)


def test_a_pickle_is_not_read(base: BaseModel, tmp_path: Path) -> None:
    adapter(tmp_path, config(), factors())
    (tmp_path / "adapter_model.safetensors").rename(tmp_path / "adapter_model.bin")
    with pytest.raises(InterchangeError, match=r"found adapter_model\.bin"):
        peft_import.read(tmp_path, base)


@pytest.mark.parametrize("data", [b"", b"\x80\x04K\x01.", b"\xff" * 64, b"{}"])
def test_damaged_weights_are_refused(data: bytes, base: BaseModel, tmp_path: Path) -> None:
    adapter(tmp_path, config(), factors())
    (tmp_path / "adapter_model.safetensors").write_bytes(data)
    with pytest.raises(InterchangeError, match="sound safetensors file"):
        peft_import.read(tmp_path, base)


@pytest.mark.parametrize("data", ["", "[]", "{", '{"r": NaN}', '{"r": 1, "r": 2}'])
def test_a_damaged_configuration_is_refused(data: str, base: BaseModel, tmp_path: Path) -> None:
    adapter(tmp_path, config(), factors())
    (tmp_path / "adapter_config.json").write_text(data)
    with pytest.raises(InterchangeError):
        peft_import.read(tmp_path, base)


def test_missing_files_are_said(base: BaseModel, tmp_path: Path) -> None:
    with pytest.raises(InterchangeError, match="folder of a PEFT adapter"):
        peft_import.read(tmp_path / "nowhere", base)
    save_file(factors(), tmp_path / "adapter_model.safetensors")
    with pytest.raises(InterchangeError, match=r"adapter_config\.json"):
        peft_import.read(tmp_path, base)


def test_a_rank_past_the_bound_is_refused(base: BaseModel, tmp_path: Path) -> None:
    adapter(tmp_path, config(r=HIDDEN + 1), factors(rank=HIDDEN + 1))
    with pytest.raises(ArtifactError, match="rank"):
        peft_import.read(tmp_path, base)
