"""The artifact: a profile as one safetensors file, named by its sha256. Format version 2.

    tensors    layers.{l}.{hook}.{n}.A  [k, d_in]     float32; n counts a site's projectors from 0
               layers.{l}.{hook}.{n}.B  [k, d_out]    float32
               layers.{l}.{hook}.{n}.a  [k]           float32, may be left out
               layers.{l}.{hook}.{n}.gate.w  [d_in]   float32, with gate.b [1] or not at all
    metadata   one key, "lethe": one JSON document with the keys
               format_version, base, method, hyperparameters, provenance, and projectors: for each
               layers.{l}.{hook}.{n} its scope, gate ("sigmoid", "hard" or null), orthonormal

Version 2 added gates, scopes and several projectors a site. One metadata key, sorted JSON and
sorted sites make the bytes, and so the digest, a function of
the profile alone. Reading trusts nothing: it returns a valid profile or raises ArtifactError.
No code in the file is ever run.
"""

import hashlib
import os
import re
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from lethe_projections import strict_json
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import ArtifactError
from lethe_projections.profile import Profile
from lethe_projections.projector import Gate, Projector, Site

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
_PARTS = ("A", "B", "a", "gate.w", "gate.b")
_GATES = {"sigmoid": False, "hard": True}
_NAME = re.compile(r"(layers\.[0-9]+\.[a-z_]+\.(?:0|[1-9][0-9]{0,3}))\.(A|B|a|gate\.w|gate\.b)")
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
        ArtifactError: the artifact would be larger than `MAX_BYTES`.
    """
    projectors = _named(profile)
    # Cloned because the library refuses tensors that share memory, as A and B may.
    cloned = {
        f"{name}.{part}": tensor.clone()
        for name, projector in projectors.items()
        for part, tensor in _tensors(projector).items()
    }
    document = {
        "format_version": FORMAT_VERSION,
        "base": asdict(profile.base),
        "method": profile.method,
        "hyperparameters": profile.hyperparameters,
        "projectors": {name: _labels(projector) for name, projector in projectors.items()},
        "provenance": profile.provenance,
    }
    data = safetensors.torch.save(cloned, {METADATA_KEY: strict_json.dumps(document)})
    _check_size(len(data), MAX_BYTES)
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
        projectors=_projectors(tensors, _object("projectors", document)),
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
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes it private; an artifact is as readable as any other file here.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    _fsync_folder(path.parent)
    return digest(data)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
    _parse_name(name)
    dtype = entry.get("dtype") if isinstance(entry, dict) else None
    if dtype != "F32":
        raise ArtifactError(
            f"{name}: expected dtype F32, found {dtype!r:.80}; store factors in float32"
        )


def _parse_name(name: str) -> tuple[str, str]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise ArtifactError(
            f"artifact: expected tensor names layers.N.HOOK.n and one of {', '.join(_PARTS)}, "
            f"found {name[:80]!r}; remove it, or use the Lethe that wrote it"
        )
    return match[1], match[2]


def _named(profile: Profile) -> dict[str, Projector]:
    return {
        f"{site}.{index}": projector
        for site, projectors in profile.by_site()
        for index, projector in enumerate(projectors)
    }


def _tensors(projector: Projector) -> dict[str, Tensor]:
    found = {"A": projector.A, "B": projector.B}
    if projector.a is not None:
        found["a"] = projector.a
    if projector.gate is not None:
        found["gate.w"] = projector.gate.w
        found["gate.b"] = torch.tensor([projector.gate.b], dtype=torch.float32)
    return found


def _labels(projector: Projector) -> dict[str, Any]:
    gate = None if projector.gate is None else "hard" if projector.gate.hard else "sigmoid"
    return {"scope": projector.scope, "gate": gate, "orthonormal": projector.orthonormal}


def _projectors(tensors: dict[str, Tensor], labels: dict[str, Any]) -> tuple[Projector, ...]:
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        projector, part = _parse_name(name)
        parts.setdefault(projector, {})[part] = tensor
    if set(parts) != set(labels):
        differing = sorted(set(parts) ^ set(labels))
        raise ArtifactError(
            f"projectors: expected one entry for each projector with tensors, found a difference "
            f"at {differing!s:.120}; write the file again"
        )
    # By number, not by name: a tenth projector of a site comes after the second.
    order = sorted(parts, key=lambda name: (name.rpartition(".")[0], int(name.rpartition(".")[2])))
    _check_counted(order)
    return tuple(_projector(name, parts[name], labels[name]) for name in order)


def _check_counted(names: list[str]) -> None:
    counted: Counter[str] = Counter()
    for name in names:
        site, _, number = name.rpartition(".")
        if int(number) != counted[site]:
            raise ArtifactError(
                f"{name}: expected a site's projectors counted from 0 without a gap, found "
                f"{number} after {counted[site]}; number them anew"
            )
        counted[site] += 1


def _projector(name: str, parts: dict[str, Tensor], labels: Any) -> Projector:
    if not isinstance(labels, dict) or set(labels) != {"scope", "gate", "orthonormal"}:
        raise ArtifactError(
            f"{name}: expected scope, gate and orthonormal, found {labels!r:.120}; write those"
        )
    if not {"A", "B"} <= set(parts):
        raise ArtifactError(
            f"{name}: expected the tensors A and B, found {sorted(parts)}; store both"
        )
    return Projector(
        site=Site.parse(name.rpartition(".")[0]),
        A=parts["A"],
        B=parts["B"],
        a=parts.get("a"),
        gate=_gate(name, parts, labels["gate"]),
        scope=labels["scope"],
        orthonormal=labels["orthonormal"],
    )


def _gate(name: str, parts: dict[str, Tensor], kind: Any) -> Gate | None:
    w, b = parts.get("gate.w"), parts.get("gate.b")
    if kind is None and w is None and b is None:
        return None
    known = isinstance(kind, str) and kind in _GATES
    if not known or w is None or b is None or b.shape != (1,):
        raise ArtifactError(
            f"{name}: expected gate null without tensors, or {' or '.join(_GATES)} with gate.w "
            f"[d_in] and gate.b [1], found {kind!r:.80} with {sorted(parts)}; store both or none"
        )
    return Gate(w, float(b), _GATES[kind])
