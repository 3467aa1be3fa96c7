"""The artifact: a profile as one safetensors file, named by its sha256. Format version 2.

    tensors    layers.{l}.{hook}.{n}.A  [k, d_in]     float32; n counts a site's projectors from 0
               layers.{l}.{hook}.{n}.B  [k, d_out]    float32
               layers.{l}.{hook}.{n}.a  [k]           float32, may be left out
               layers.{l}.{hook}.{n}.gate.w  [d_in]   float32, with gate.b [1] or not at all
    metadata   one key, "lethe": one JSON document with the keys
               format_version, base, method, hyperparameters, provenance, and projectors: for each
               layers.{l}.{hook}.{n} its scope, gate ("sigmoid", "hard" or null), orthonormal

Version 2 added gates, scopes and several projectors a site. One metadata key, sorted JSON and
sorted sites make the bytes, and so the digest, a function of the profile alone. Reading trusts
nothing: it returns a valid profile or raises ArtifactError. No code in the file is ever run.
"""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError

from lethe_projections import durable, strict_json, tensor_layout
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import ArtifactError
from lethe_projections.profile import Profile

FORMAT_VERSION = 2
METADATA_KEY = "lethe"
MAX_BYTES = 512 * 2**20
MAX_HEADER_BYTES = 4 * 2**20
"""512 blocks with a projector at each hook need under 1 MiB."""

_DOCUMENT_KEYS = {
    "format_version",
    "base",
    "method",
    "hyperparameters",
    "projectors",
    "provenance",
}
_LOOKS_LIKE = (
    (b"PK\x03\x04", "a zip archive, as torch.save writes"),
    (b"\x80", "a pickle"),
    (b"GGUF", "a GGUF model"),
    (b"{", "plain JSON"),
    (b"<", "a web page"),
    (b"\x1f\x8b", "gzip data"),
    (b"version https://git-lfs", "a Git LFS pointer"),
)


def digest(data: bytes) -> str:
    """The version of an artifact: sha256 of its bytes, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def to_bytes(profile: Profile) -> bytes:
    """Serialises; the same profile gives the same bytes.

    Raises:
        ArtifactError: the artifact would be larger than `MAX_BYTES`, or what it says of its origin
            larger than `MAX_HEADER_BYTES`.
    """
    # Cloned because the library refuses tensors that share memory, as A and B may.
    cloned = {name: tensor.clone() for name, tensor in tensor_layout.tensors(profile).items()}
    document = {
        "format_version": FORMAT_VERSION,
        "base": asdict(profile.base),
        "method": profile.method,
        "hyperparameters": profile.hyperparameters,
        "projectors": tensor_layout.labels(profile),
        "provenance": profile.provenance,
    }
    data = safetensors.torch.save(cloned, {METADATA_KEY: strict_json.dumps(document)})
    _check_size(len(data), MAX_BYTES)
    header = int.from_bytes(data[:8], "little")
    if header > MAX_HEADER_BYTES:
        raise ArtifactError(
            f"artifact: expected up to {MAX_HEADER_BYTES} bytes of metadata, found {header}; "
            "shorten hyperparameters and provenance"
        )
    return data


def from_bytes(data: bytes, max_bytes: int = MAX_BYTES) -> Profile:
    """Reads and validates an artifact of any origin.

    Raises:
        ArtifactError: whatever is wrong with it; nothing else is raised for bad bytes.
    """
    _check_size(len(data), max_bytes)
    header = _header(data)
    document = _document(header.pop("__metadata__", None))
    for name, entry in header.items():
        _check_entry(name, entry)
    try:
        tensors = safetensors.torch.load(data)
    except SafetensorError as error:
        raise ArtifactError(
            f"artifact: expected a sound safetensors file, found {error}; "
            "it is truncated or altered, copy it again"
        ) from error
    return Profile(
        base=BaseModel.from_dict(document["base"]),
        projectors=tensor_layout.read(tensors, _object("projectors", document)),
        method=document["method"],
        hyperparameters=_object("hyperparameters", document),
        provenance=_object("provenance", document),
    )


def read(path: str | Path, max_bytes: int = MAX_BYTES) -> Profile:
    """Reads and validates an artifact file.

    Raises:
        ArtifactError: as `from_bytes`, and when the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            # One byte past the limit is enough to know, however large the file says it is.
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise ArtifactError(
            f"artifact: expected a readable file, found {error}; check the path"
        ) from error
    return from_bytes(data, max_bytes)


def write(profile: Profile, path: str | Path) -> str:
    """Writes atomically: a crash leaves the old file or the new one.

    Returns:
        The digest.

    Raises:
        OSError: the folder is missing, full or not writable.
    """
    data = to_bytes(profile)
    durable.write(Path(path), data)
    return digest(data)


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise ArtifactError(
            f"artifact: expected at most {max_bytes} bytes, found more; lower the rank"
        )


def _header(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(MAX_HEADER_BYTES, len(data) - 8):
        raise ArtifactError(
            f"artifact: expected a safetensors file, found {_looks_like(data)}; "
            "write it with lethe fit or lethe_projections.artifact.write"
        )
    try:
        header = strict_json.loads(data[8 : 8 + length])
    except ValueError as error:
        raise ArtifactError(
            f"artifact: expected a JSON header, found {error}; the file is damaged, copy it again"
        ) from error
    if not isinstance(header, dict):
        raise ArtifactError(
            f"artifact: expected the header to be a JSON object, "
            f"found {type(header).__name__}; write the file again"
        )
    return header


def _looks_like(data: bytes) -> str:
    for start, what in _LOOKS_LIKE:
        if data.startswith(start):
            return what
    if len(data) < 8:
        return f"{len(data)} bytes"
    if data[8:9] == b"{":
        return "a truncated one, or one whose header is too long"
    return "other data"


def _document(metadata: Any) -> dict[str, Any]:
    if not isinstance(metadata, dict) or set(metadata) != {METADATA_KEY}:
        found = sorted(metadata) if isinstance(metadata, dict) else "none"
        raise ArtifactError(
            f"artifact: expected the metadata key {METADATA_KEY!r} alone, found {found!s:.200}; "
            "this safetensors file is no profile"
        )
    try:
        if not isinstance(metadata[METADATA_KEY], str):
            raise ValueError("a value that is no text")
        document = strict_json.loads(metadata[METADATA_KEY])
    except ValueError as error:
        raise ArtifactError(
            f"artifact: expected metadata {METADATA_KEY!r} to be one JSON document, "
            f"found {error}; write the file again"
        ) from error
    return _checked_keys(document)


def _checked_keys(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise ArtifactError(
            f"artifact: expected a JSON object in {METADATA_KEY!r}, "
            f"found {type(document).__name__}; write the file again"
        )
    version = document.get("format_version")
    # Before the other keys: another version may well have others.
    if type(version) is not int or version != FORMAT_VERSION:
        raise ArtifactError(
            f"artifact: expected format version {FORMAT_VERSION}, found {version!r:.80}; "
            "use the Lethe that wrote it, or fit the profile again"
        )
    if set(document) != _DOCUMENT_KEYS:
        missing = sorted(_DOCUMENT_KEYS - set(document))
        unknown = sorted(set(document) - _DOCUMENT_KEYS)
        raise ArtifactError(
            f"artifact: expected the keys {sorted(_DOCUMENT_KEYS)}, found missing {missing}, "
            f"unknown {unknown!s:.200}; write the file again"
        )
    return document


def _object(key: str, document: dict[str, Any]) -> dict[str, Any]:
    value = document[key]
    if not isinstance(value, dict):
        raise ArtifactError(
            f"{key}: expected a JSON object, found {type(value).__name__}; write the file again"
        )
    return value


def _check_entry(name: str, entry: Any) -> None:
    """Refuses by name and type before the library, which knows many types, sees the data."""
    tensor_layout.split(name)
    dtype = entry.get("dtype") if isinstance(entry, dict) else None
    if dtype != "F32":
        raise ArtifactError(
            f"{name}: expected dtype F32, found {dtype!r:.80}; store factors in float32"
        )
