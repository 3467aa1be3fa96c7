"""Profiles that a LoRA adapter can hold, and adapters as folders, for the interchange tests."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector

from .conftest import D_FF, HIDDEN, edit, rows

A_NAME = "base_model.model.model.layers.{}.mlp.down_proj.lora_A.weight"
B_NAME = "base_model.model.model.layers.{}.mlp.down_proj.lora_B.weight"


def mergeable(base: BaseModel) -> Profile:
    """Two layers of different rank."""
    edits = (edit("down_proj", 1, rank=3), edit("down_proj", 3, rank=5))
    return Profile(base, edits, "test", {"ridge": 0.5}, {"seed": 3})


def stronger(profile: Profile) -> Profile:
    """Twice the edit: what an effect must be told from."""
    return Profile(
        profile.base, tuple(Projector(p.site, p.A, 2 * p.B) for p in profile.projectors), "test"
    )


def config(**changes: Any) -> dict[str, Any]:
    """What PEFT 0.21 writes for rank 4 on every `down_proj`, and changes to it."""
    written = {
        "alora_invocation_tokens": None, "alpha_pattern": {}, "arrow_config": None,
        "auto_mapping": None, "base_model_name_or_path": "some/model", "bias": "none",
        "corda_config": None, "ensure_weight_tying": False, "eva_config": None,
        "exclude_modules": None, "fan_in_fan_out": False, "inference_mode": True,
        "init_lora_weights": True, "layer_replication": None, "layers_pattern": None,
        "layers_to_transform": None, "loftq_config": {}, "lora_alpha": 8, "lora_bias": False,
        "lora_dropout": 0.1, "megatron_config": None, "megatron_core": "megatron.core",
        "modules_to_save": None, "peft_type": "LORA", "peft_version": "0.21.2",
        "qalora_group_size": 16, "r": 4, "rank_pattern": {}, "revision": None,
        "target_modules": ["down_proj"], "target_parameters": None, "task_type": "CAUSAL_LM",
        "trainable_token_indices": None, "use_bdlora": None, "use_dora": False,
        "use_qalora": False, "use_rslora": False,
    }  # fmt: skip
    return written | changes


def factors(rank: int = 4, layers: tuple[int, ...] = (0, 1, 2, 3)) -> dict[str, Tensor]:
    """Random ones, in PEFT's names and shapes."""
    made = {A_NAME.format(layer): rows(layer, rank, D_FF) for layer in layers}
    return made | {B_NAME.format(layer): rows(layer + 9, HIDDEN, rank) for layer in layers}


def adapter(folder: Path, settings: dict[str, Any], tensors: dict[str, Tensor]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    return folder


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def written_by_peft(model: Any, folder: Path, **options: Any) -> Any:
    """A PEFT model with random factors, saved by PEFT."""
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(model, LoraConfig(**options)).eval()
    generator = torch.Generator().manual_seed(1)
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    adapted.save_pretrained(folder)
    return adapted
