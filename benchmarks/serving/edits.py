"""The same random edits as Lethe's profiles and as LoRA adapters."""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.serving.cases import Case
from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site

FIRST = 2
"""The first block edited, where not all are."""


def profile(seed: int, case: Case, base: BaseModel) -> bytes:
    """An artifact of `case`'s shape."""
    projectors = tuple(
        Projector(Site(layer, "down_proj"), A, B) for layer, A, B in _factors(seed, case, base)
    )
    return artifact.to_bytes(Profile(base, projectors, "benchmark", {"seed": seed}))


def adapter(seed: int, case: Case, base: BaseModel, folder: Path) -> Path:
    """The same edit as a folder in PEFT's format; its scaling, alpha / r, is 1."""
    path = folder / f"{seed}-{case.rank}-{case.blocks}"
    path.mkdir()
    tensors = {}
    for layer, A, B in _factors(seed, case, base):
        prefix = f"base_model.model.model.layers.{layer}.mlp.down_proj"
        tensors[f"{prefix}.lora_A.weight"] = A
        tensors[f"{prefix}.lora_B.weight"] = B.T.contiguous()
    save_file(tensors, path / "adapter_model.safetensors")
    settings = {
        "peft_type": "LORA",
        "r": case.rank,
        "lora_alpha": case.rank,
        "target_modules": ["down_proj"],
        "bias": "none",
        "task_type": "CAUSAL_LM",
    }
    (path / "adapter_config.json").write_text(json.dumps(settings))
    return path


def _factors(seed: int, case: Case, base: BaseModel) -> Iterator[tuple[int, Tensor, Tensor]]:
    """By layer, A [rank, d_ff] and B [rank, hidden]."""
    generator = torch.Generator().manual_seed(seed)
    layers = range(FIRST, FIRST + case.blocks) if case.blocks else range(base.num_layers)
    for layer in layers:
        A = torch.randn(case.rank, base.intermediate_size, generator=generator) * 0.02
        B = torch.randn(case.rank, base.hidden_size, generator=generator) * 0.02
        yield layer, A, B
