"""A LoRA adapter in PEFT's folder format as a profile; see `peft_export` for the format.

    y += scaling lora_B lora_A x,   so   A = lora_A,   B = scaling lora_B^T

with scaling = lora_alpha / r, or lora_alpha / sqrt(r) for rsLoRA (Kalajdzievski, 2023). Knows
nothing of what the adapter was trained for.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from lethe_projections.base_model import BaseModel
from lethe_projections.errors import IncompatibleError, InterchangeError
from lethe_projections.interchange.foreign import Foreign
from lethe_projections.interchange.peft_config import CONFIG, WEIGHTS, AdapterConfig, tensor_name
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site

_MAX_CONFIG_BYTES = 2**20
_PICKLED = ("adapter_model.bin", "adapter_model.pt")
_NAME = re.compile(
    r"base_model\.model\.model\.layers\.(0|[1-9][0-9]{0,5})\.mlp\.down_proj\.lora_([AB])\.weight"
)


def read(folder: str | Path, base: BaseModel) -> Profile:
    """Reads an adapter as a profile of method "lora". Rank that adds nothing is left out.

    Args:
        folder: with adapter_config.json and adapter_model.safetensors.
        base: the model that the adapter was trained on.

    Raises:
        InterchangeError: a file is missing or malformed, or the adapter does something that a
            profile cannot hold; the message names it.
        IncompatibleError: it has other dimensions than `base`.
        ArtifactError: its rank is past what a profile may have.
    """
    folder = Path(folder)
    weights = _weights(folder)
    settings = Foreign.read(folder / CONFIG, _MAX_CONFIG_BYTES)
    config = AdapterConfig.parse(settings.data)
    tensors = weights.tensors()
    layers = _layers(tensors, config, base)
    found = (_projector(tensors, config, layer, base) for layer in layers)
    projectors = tuple(projector for projector in found if projector is not None)
    if not projectors:
        raise InterchangeError(
            f"{folder}: expected factors that change something, found zeros alone; train it first"
        )
    return Profile(
        base=base,
        projectors=projectors,
        method="lora",
        hyperparameters=asdict(config),
        provenance={
            "source_format": "peft-lora",
            "source_sha256": weights.sha256,
            "source_config_sha256": settings.sha256,
        },
    )


def _weights(folder: Path) -> Foreign:
    if not folder.is_dir():
        raise InterchangeError(
            f"{folder}: expected the folder of a PEFT adapter, found none; check the path"
        )
    if not (folder / WEIGHTS).exists():
        found = next((name for name in _PICKLED if (folder / name).exists()), "none")
        raise InterchangeError(
            f"{folder}: expected {WEIGHTS}, found {found}; save the adapter with safetensors, "
            "since pickles are never read"
        )
    return Foreign.read(folder / WEIGHTS)


def _layers(
    tensors: Mapping[str, Tensor], config: AdapterConfig, base: BaseModel
) -> tuple[int, ...]:
    layers = sorted({_layer(name) for name in tensors})
    if layers[-1] >= base.num_layers:
        raise IncompatibleError(
            f"{WEIGHTS}: expected layers below {base.num_layers}, the base model's depth, found "
            f"{layers[-1]}; give the model that the adapter was trained on"
        )
    if config.layers is not None and tuple(layers) != config.layers:
        raise InterchangeError(
            f"{WEIGHTS}: expected factors for layers {list(config.layers)!s:.200}, as "
            f"layers_to_transform says, found {layers!s:.200}; save the adapter again"
        )
    return tuple(layers)


def _layer(name: str) -> int:
    match = _NAME.fullmatch(name)
    if match is None:
        raise InterchangeError(
            f"{WEIGHTS}: expected tensors like {tensor_name(0, 'A')}, found {name!r:.160}; a "
            "profile holds plain LoRA factors on mlp.down_proj only"
        )
    return int(match[1])


def _projector(
    tensors: Mapping[str, Tensor], config: AdapterConfig, layer: int, base: BaseModel
) -> Projector | None:
    """The layer's edit, or None if it changes nothing."""
    rank = config.rank(layer)
    A = _factor(tensors, layer, "A", (rank, base.intermediate_size))
    B = _factor(tensors, layer, "B", (base.hidden_size, rank)).T
    scaled = (config.scaling(layer) * B.to(torch.float64)).to(torch.float32)
    used = A.any(dim=1) & scaled.any(dim=1)
    if not bool(used.any()):
        return None
    return Projector(Site(layer, "down_proj"), A[used], scaled[used])


def _factor(tensors: Mapping[str, Tensor], layer: int, side: str, shape: tuple[int, int]) -> Tensor:
    name = tensor_name(layer, side)
    if name not in tensors:
        raise InterchangeError(
            f"{WEIGHTS}: expected {name} beside the layer's other factor, found none; "
            "save the adapter again"
        )
    found = tuple(tensors[name].shape)
    if found != shape:
        raise IncompatibleError(
            f"{name}: expected shape {list(shape)} by the adapter's rank and the base model's "
            f"width, found {list(found)}; give the model that the adapter was trained on"
        )
    return tensors[name]
