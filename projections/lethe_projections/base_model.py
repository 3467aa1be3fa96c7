"""Which base model a profile belongs to: dimensions and a fingerprint of the weights.

Reads a checkpoint's `config.json` and `*.safetensors` files directly, so that 70B parameters
take seconds and no accelerator. Knows nothing of engines and runs no model.
"""

import hashlib
import json
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from lethe_projections.errors import ArtifactError, CheckpointError, IncompatibleError

SAMPLES = 64
"""Elements read per tensor. A merged LoRA or a fine-tune moves nearly every element."""

_CLASS_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,127}")
_HEX64 = re.compile(r"[0-9a-f]{64}")
_NAMES = {
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "intermediate_size": "intermediate_size",
    "vocab_size": "vocab_size",
}
"""The dimensions, as nearly all configurations call them."""

_GPT2_NAMES = {
    "hidden_size": "n_embd",
    "num_layers": "n_layer",
    "intermediate_size": "n_inner",
    "vocab_size": "vocab_size",
}
"""As GPT-2's does, where an `n_inner` of null means four times the hidden size."""


@dataclass(frozen=True)
class BaseModel:
    """Identity of a base model.

    Attributes:
        architecture: class name, as the checkpoint's `architectures[0]`.
        hidden_size: width of the residual stream.
        num_layers: decoder blocks.
        intermediate_size: d_ff, the width `mlp.down_proj` reads; of a mixture of experts what its
            configuration calls so.
        vocab_size: rows of the embedding, as configured.
        fingerprint: 64 hex digits over names, dtypes, shapes and sampled weights.

    Raises:
        ArtifactError: a field has the wrong type or range.
    """

    architecture: str
    hidden_size: int
    num_layers: int
    intermediate_size: int
    vocab_size: int
    fingerprint: str

    def __post_init__(self) -> None:
        _check_text("architecture", self.architecture, _CLASS_NAME, "a class name")
        _check_text("fingerprint", self.fingerprint, _HEX64, "64 hex digits")
        for name in _NAMES:
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ArtifactError(
                    f"base: expected {name} to be a whole number of 1 or more, "
                    f"found {value!r:.80}; write the value from config.json"
                )

    @classmethod
    def from_checkpoint(cls, model: str | Path) -> Self:
        """Reads the identity of a checkpoint folder, or of a Hub id in the local cache.

        fingerprint = sha256 over, for each tensor in order of name: name, dtype, shape and
        the raw bytes of up to 64 evenly spaced elements. Sharding does not enter.

        Raises:
            CheckpointError: no such folder or cached model, or files missing or malformed.
        """
        folder = _folder(model)
        config = _read_object(folder / "config.json")
        nested = config.get("text_config")
        text = {**config, **nested} if isinstance(nested, dict) else config
        architectures = config.get("architectures") or text.get("architectures")
        try:
            return cls(
                architecture=architectures[0] if isinstance(architectures, list) else "",
                **_dimensions(text),
                fingerprint=_fingerprint(folder),
            )
        except ArtifactError as error:
            raise CheckpointError(f"{folder / 'config.json'}: {error}") from error

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """Reads what `dataclasses.asdict` writes; every field once, no other.

        Raises:
            ArtifactError: a field is missing, unknown or out of range.
        """
        expected = {field.name for field in fields(cls)}
        if not isinstance(document, dict) or set(document) != expected:
            found = sorted(document) if isinstance(document, dict) else type(document).__name__
            raise ArtifactError(
                f"base: expected the keys {sorted(expected)}, found {found!r:.200}; write those"
            )
        return cls(**document)


def check(profile_base: BaseModel, running: BaseModel) -> None:
    """Makes sure that a profile was made for the model that runs.

    Raises:
        IncompatibleError: lists every field that differs, expected and found.
    """
    differences = [
        f"{field.name}: expected {getattr(profile_base, field.name)}, "
        f"found {getattr(running, field.name)}"
        for field in fields(BaseModel)
        if getattr(profile_base, field.name) != getattr(running, field.name)
    ]
    if differences:
        raise IncompatibleError(
            "the profile was made for another base model: " + "; ".join(differences) + ". "
            "Serve the base model it was fitted on, or fit it again on this one"
        )


def _check_text(name: str, value: object, pattern: re.Pattern[str], form: str) -> None:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ArtifactError(
            f"base: expected {name} to be {form}, found {value!r:.80}; "
            "take it from BaseModel.from_checkpoint"
        )


def _folder(model: str | Path) -> Path:
    if Path(model).is_dir():
        return Path(model)
    try:
        return Path(snapshot_download(str(model), local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError) as error:
        raise CheckpointError(
            f"base model: expected a folder or a model in the local Hugging Face cache, "
            f"found neither for {str(model)!r}; download it first"
        ) from error


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"expected readable JSON at {path}, found {error}; is this a complete checkpoint?"
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{path}: expected a JSON object, found {type(value).__name__}; restore the file"
        )
    return value


def _dimensions(config: dict[str, Any]) -> dict[str, Any]:
    """By the name of `BaseModel`, 0 for what the configuration does not say."""
    names = _GPT2_NAMES if config.get("model_type") == "gpt2" else _NAMES
    found = {name: config.get(own, 0) for name, own in names.items()}
    hidden = found["hidden_size"]
    if names is _GPT2_NAMES and config.get("n_inner") is None and isinstance(hidden, int):
        found["intermediate_size"] = 4 * hidden
    return found


def _weight_files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if index.exists():
        # Some checkpoints ship the same weights a second time in another layout.
        names = set(_read_object(index).get("weight_map", {}).values())
        return [folder / name for name in sorted(names)]
    if (folder / "model.safetensors").exists():
        return [folder / "model.safetensors"]
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError(
            f"base model: expected *.safetensors files in {folder}, found none; "
            "convert the weights with save_pretrained"
        )
    return files


def _fingerprint(folder: Path) -> str:
    parts: dict[str, bytes] = {}
    for file in _weight_files(folder):
        for name, part in _tensor_parts(file).items():
            if name in parts:
                raise CheckpointError(
                    f"{file}: expected each tensor once, found {name} in two files; "
                    "keep one set of weights in the folder"
                )
            parts[name] = part
    total = hashlib.sha256()
    for name in sorted(parts):
        total.update(parts[name])
    return total.hexdigest()


def _tensor_parts(file: Path) -> dict[str, bytes]:
    """sha256 per tensor, so that a file is read once and order does not matter."""
    try:
        raw = np.memmap(file, dtype=np.uint8, mode="r")
        length = int.from_bytes(raw[:8].tobytes(), "little")
        header = json.loads(raw[8 : 8 + length].tobytes())
        header.pop("__metadata__", None)
        data = raw[8 + length :]
        return {name: _part(name, entry, data) for name, entry in header.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise CheckpointError(
            f"{file}: expected a safetensors file, found {error}; download the file again"
        ) from error


def _part(name: str, entry: dict[str, Any], data: "np.ndarray[Any, np.dtype[np.uint8]]") -> bytes:
    begin, end = entry["data_offsets"]
    if not 0 <= begin <= end <= len(data):
        raise ValueError(f"{name} beyond the end of the file")
    digest = hashlib.sha256(json.dumps([name, entry["dtype"], entry["shape"]]).encode())
    elements = int(np.prod(entry["shape"], dtype=np.int64))
    # Types narrower than a byte are sampled by byte.
    width = max(1, (end - begin) // max(1, elements))
    count = (end - begin) // width
    # First and last included; the uneven step keeps samples from falling into one column.
    picked = np.unique(np.linspace(0, count - 1, min(SAMPLES, count)).astype(np.int64))
    for index in picked:
        start = begin + int(index) * width
        digest.update(data[start : start + width].tobytes())
    return digest.digest()
