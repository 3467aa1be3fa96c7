"""Directions from any program, in a plain safetensors file, as a profile.

    tensors    layers.{l}.{hook}   [d], or [k, d] with a direction a row; float32, float16, bfloat16

`l` counts decoder blocks from 0; the hooks are `projector.HOOKS`; d is the hidden size. The file
does not say what to do with them:

    ablate     y -= P y, with P the orthogonal projection onto the rows' span (block, attn, mlp)
    steer      y += strength * direction, one a site

Metadata is not looked at: it has no agreed meaning.
"""

from pathlib import Path

from torch import Tensor

from lethe_projections.base_model import BaseModel
from lethe_projections.errors import ArtifactError, InterchangeError
from lethe_projections.interchange import steering
from lethe_projections.interchange.foreign import Foreign
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site

USES = ("ablate", "steer")


def read(path: str | Path, base: BaseModel, use: str, strength: float = 1.0) -> Profile:
    """Reads directions as a profile of method "directions".

    Args:
        path: the .safetensors file.
        base: the model that they were made for.
        use: one of `USES`.
        strength: factor for "steer"; an ablation has none.

    Raises:
        InterchangeError: the file is malformed, or cannot be used like this.
        IncompatibleError: it has other dimensions than `base`.
    """
    _check_use(use, strength)
    source = Foreign.read(path)
    return Profile(
        base=base,
        projectors=tuple(
            _projector(_site(source.path, name), directions, base, use, strength)
            for name, directions in source.tensors().items()
        ),
        method="directions",
        hyperparameters={"use": use, "strength": strength},
        provenance={"source_format": "safetensors-directions", "source_sha256": source.sha256},
    )


def _check_use(use: str, strength: float) -> None:
    if use not in USES:
        raise InterchangeError(f"use: expected one of {', '.join(USES)}, found {use!r}; say which")
    if use == "ablate" and strength != 1:
        raise InterchangeError(
            f"strength: expected 1 for an ablation, which takes a direction out wholly, found "
            f"{strength}; leave it out, or steer"
        )
    steering.check_strength(strength)


def _site(path: Path, name: str) -> Site:
    try:
        return Site.parse(name)
    except ArtifactError as error:
        raise InterchangeError(f"{path}: {error}") from error


def _projector(
    site: Site, directions: Tensor, base: BaseModel, use: str, strength: float
) -> Projector:
    rows = directions if directions.ndim == 2 else directions[None]
    if use == "steer":
        return steering.projector(site, _single(site, rows), base, strength)
    steering.check_fits(site, tuple(rows.shape), (len(rows), base.hidden_size), base)
    try:
        return Projector.orthogonal(site, rows)
    except ArtifactError as error:
        raise InterchangeError(str(error)) from error


def _single(site: Site, rows: Tensor) -> Tensor:
    if len(rows) != 1:
        raise InterchangeError(
            f"{site}: expected one direction to steer by, found {len(rows)}; add them up, or ablate"
        )
    return rows[0]
