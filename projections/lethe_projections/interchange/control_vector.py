"""A GGUF control vector, as repeng and llama.cpp exchange them, as a profile that steers.

    metadata   general.architecture = "controlvector", controlvector.model_hint (text),
               controlvector.layer_count (how many directions)
    tensors    direction.{l}  [d]  float32 or float16: added to the residual stream after block l

    y += strength * direction.{l}     so A = 0, a = 1, B = strength * direction.{l}, hook block

`l` is 0-based. repeng wraps `layers[l]` and adds to its output (control.py, `ControlModel`; trained
on `hidden_states[l + 1]`, which is that output); llama.cpp adds `direction.l` to the output of
graph layer l (llama-adapter.cpp, where the two shifts by one cancel). Both begin at 1 in what they
write, repeng by choice, llama.cpp because its buffer has no place for block 0.
"""

import re
from pathlib import Path

import torch

from lethe_projections.base_model import BaseModel
from lethe_projections.errors import InterchangeError
from lethe_projections.interchange import steering
from lethe_projections.interchange.foreign import Foreign
from lethe_projections.interchange.gguf_file import GGUF
from lethe_projections.profile import Profile
from lethe_projections.projector import Site

MAX_BYTES = 64 * 2**20
"""512 blocks of width 16384 take half of it."""

ARCHITECTURE = "controlvector"
_HINT, _COUNT = f"{ARCHITECTURE}.model_hint", f"{ARCHITECTURE}.layer_count"
_NAME = re.compile(r"direction\.(0|[1-9][0-9]{0,5})")


def read(path: str | Path, base: BaseModel, strength: float = 1.0) -> Profile:
    """Reads a control vector as a profile of method "control-vector".

    Args:
        path: the .gguf file.
        base: the model that it was made for. The file says no more of it than a hint, which is
            kept in the provenance.
        strength: factor; negative steers the other way.

    Raises:
        InterchangeError: the file is malformed, no control vector, or says something that is not
            understood and might change its meaning; or the strength is zero or not finite.
        IncompatibleError: it has other dimensions than `base`.
    """
    steering.check_strength(strength)
    source = Foreign.read(path, MAX_BYTES)
    try:
        content = GGUF.parse(source.data)
    except ValueError as error:
        raise _wrong(source.path, "a sound GGUF file", str(error)) from error
    _check_metadata(source.path, content)
    return Profile(
        base=base,
        projectors=tuple(
            steering.projector(_site(source.path, name), torch.tensor(values), base, strength)
            for name, values in content.tensors.items()
        ),
        method="control-vector",
        hyperparameters={"strength": strength},
        provenance={
            "source_format": "gguf-control-vector",
            "source_sha256": source.sha256,
            "model_hint": content.metadata[_HINT],
        },
    )


def _wrong(path: Path, expected: str, found: str) -> InterchangeError:
    return InterchangeError(
        f"{path}: expected {expected}, found {found:.200}; export the control vector with repeng "
        "or llama.cpp's cvector-generator"
    )


def _check_metadata(path: Path, content: GGUF) -> None:
    metadata = content.metadata
    architecture = metadata.get("general.architecture")
    if architecture != ARCHITECTURE:
        raise _wrong(path, f"general.architecture {ARCHITECTURE!r}", repr(architecture))
    for key in metadata:
        # A program's own key may say that its vector is not one to add.
        if key not in (_HINT, _COUNT) and not key.startswith("general."):
            raise _wrong(path, "metadata of a control vector alone", f"the key {key!r}")
    if not isinstance(metadata.get(_HINT), str):
        raise _wrong(path, f"{_HINT} as text", repr(metadata.get(_HINT)))
    count = len(content.tensors)
    if not count or metadata.get(_COUNT) != count:
        raise _wrong(path, f"as many tensors as {_COUNT}, {metadata.get(_COUNT)!r}", f"{count}")


def _site(path: Path, name: str) -> Site:
    match = _NAME.fullmatch(name)
    if match is None:
        raise _wrong(path, "tensors direction.N alone", repr(name))
    return Site(int(match[1]), "block")
