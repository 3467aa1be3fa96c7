"""A profile on `down_proj` as a LoRA adapter in PEFT's folder format.

    adapter_config.json         LoRA on down_proj of the profile's layers, lora_alpha = r
    adapter_model.safetensors   base_model.model.model.layers.{l}.mlp.down_proj.lora_A.weight
                                [r, d_ff], and ...lora_B.weight [d, r]

    W + (lora_alpha / r) lora_B lora_A  =  W + B^T A

`peft` and vLLM's multi-LoRA both load it. Knows no model beyond its dimensions.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from lethe_projections import decoder, merge, strict_json
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import IncompatibleError
from lethe_projections.interchange import new_folder, origin
from lethe_projections.interchange.peft_config import CONFIG, WEIGHTS, tensor_name
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM 0.32 takes as --max-lora-rank (`MaxLoRARanks` in vllm/config/lora.py)."""

METADATA_KEY = "lethe_profile"
"""In the weights' header: which profile it was. Neither PEFT nor vLLM looks there."""

Factors = dict[int, tuple[Tensor, Tensor]]
"""Layer to A [k, d_ff] and B [k, d]."""


def write(profile: Profile, folder: str | Path, model: str) -> int:
    """Writes the adapter, atomically. Factors are padded with zeros to one rank of `RANKS`.

    Args:
        profile: ungated, of scope `all`, without `a`, on `down_proj` alone.
        folder: must not exist yet, or be empty.
        model: what PEFT shall load the base model from.

    Returns:
        The adapter's rank, which vLLM's --max-lora-rank must not be below.

    Raises:
        IncompatibleError: the profile, or its base model's layout, has no such form.
        InterchangeError: the folder is taken.
        OSError: it cannot be written.
    """
    _check_layout(profile.base)
    factors = _factors(profile)
    rank = next(one for one in RANKS if one >= profile.rank)
    config = _config(rank, factors, model)
    metadata = {"format": "pt", METADATA_KEY: strict_json.dumps(origin.of(profile))}
    with new_folder.created(folder) as temporary:
        (temporary / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        data = safetensors.torch.save(_tensors(factors, rank), metadata)
        (temporary / WEIGHTS).write_bytes(data)
    return rank


def _check_layout(base: BaseModel) -> None:
    llama = decoder.layout(base.architecture) == decoder.LLAMA
    if not llama or not base.architecture.endswith("ForCausalLM"):
        raise IncompatibleError(
            f"base: expected a causal language model, with model.layers.N.mlp.down_proj, found "
            f"{base.architecture}; serve this profile instead"
        )


def _factors(profile: Profile) -> Factors:
    for projector in profile.projectors:
        _check(projector)
    return {
        site.layer: (torch.cat([p.A for p in parts]), torch.cat([p.B for p in parts]))
        for site, parts in profile.by_site()
    }


def _check(projector: Projector) -> None:
    merge.check_plain(projector)
    if projector.a is not None:
        raise IncompatibleError(
            f"{projector.site}: expected no offset a, which LoRA has no place for, found one; "
            "serve this profile instead"
        )


def _tensors(factors: Factors, rank: int) -> dict[str, Tensor]:
    tensors = {}
    for layer, (A, B) in factors.items():
        tensors[tensor_name(layer, "A")] = _padded(A, rank)
        tensors[tensor_name(layer, "B")] = _padded(B, rank).T.contiguous()
    return tensors


def _padded(factor: Tensor, rank: int) -> Tensor:
    return torch.cat([factor, factor.new_zeros(rank - len(factor), factor.shape[1])])


def _config(rank: int, factors: Mapping[int, Any], model: str) -> dict[str, Any]:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": model,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": ["down_proj"],
        "layers_to_transform": sorted(factors),
        "layers_pattern": "layers",
    }
