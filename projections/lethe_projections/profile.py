"""A set of projectors for one base model: what one artifact file holds. Knows no files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from lethe_projections import strict_json
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import ArtifactError
from lethe_projections.projector import Projector, Site

MAX_RANK = 512
SCOPES = ("all",)
"""Which tokens of a request are edited. Only every token, for now."""

ORTHONORMAL_TOLERANCE = 1e-4
"""Largest |A A^T - I| entry, in units of the identity's 1. fp64 QR cast to fp32 leaves 1e-6."""

_METHOD = re.compile(r"[a-z0-9][a-z0-9_.+-]{0,63}")


@dataclass(frozen=True, eq=False)
class Profile:
    """A named variant's edits, before it has a name.

    Two profiles are the same when `artifact.to_bytes` gives the same bytes.

    Attributes:
        base: the model it was made for.
        projectors: one per site; kept in order of site.
        method: how it was made, e.g. "rocr".
        hyperparameters: JSON object; a copy is kept.
        scope: one of `SCOPES`.
        orthonormal: claims that every A has orthonormal rows and that B = -A, without a.
        provenance: JSON object: data digests, library versions, seed; a copy is kept.

    Raises:
        ArtifactError: as `validate`.
    """

    base: BaseModel
    projectors: tuple[Projector, ...]
    method: str
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    scope: str = "all"
    orthonormal: bool = False
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.projectors, key=lambda projector: projector.site))
        object.__setattr__(self, "projectors", ordered)
        for name in ("hyperparameters", "provenance"):
            object.__setattr__(self, name, _json_object(name, getattr(self, name)))
        self.validate()

    @property
    def sites(self) -> tuple[Site, ...]:
        """Where it acts, in order."""
        return tuple(projector.site for projector in self.projectors)

    @property
    def rank(self) -> int:
        """The largest rank over its sites."""
        return max(projector.rank for projector in self.projectors)

    @property
    def nbytes(self) -> int:
        """Size of all factors in bytes, as stored (float32)."""
        return sum(projector.nbytes for projector in self.projectors)

    def validate(self) -> None:
        """Checks the whole against the base model's dimensions.

        Raises:
            ArtifactError: no projector, two at one site, a layer, width or rank out of range,
                an unknown scope, or rows not orthonormal where that is claimed.
        """
        _check_labels(self.method, self.scope, self.orthonormal)
        if not self.projectors:
            raise ArtifactError("profile: expected at least one projector, found none; add one")
        for site, following in zip(self.sites, self.sites[1:], strict=False):
            if site == following:
                raise ArtifactError(
                    f"{site}: expected one projector, found two; stack their rows into one"
                )
        for projector in self.projectors:
            _check_dimensions(projector, self.base)
            if self.orthonormal:
                _check_orthonormal(projector)


def _check_labels(method: object, scope: object, orthonormal: object) -> None:
    if not isinstance(method, str) or not _METHOD.fullmatch(method):
        raise ArtifactError(
            f"method: expected up to 64 of a-z 0-9 _ . + -, found {method!r:.80}; "
            "name it like 'rocr'"
        )
    if not isinstance(scope, str) or scope not in SCOPES:
        raise ArtifactError(
            f"scope: expected one of {', '.join(SCOPES)}, found {scope!r:.80}; "
            "use one, or a newer Lethe"
        )
    if not isinstance(orthonormal, bool):
        raise ArtifactError(
            f"orthonormal: expected true or false, found {orthonormal!r:.80}; set one"
        )


def _json_object(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    try:
        # Through text and back: a copy that equals what a reader of the artifact will see.
        copy = strict_json.loads(strict_json.dumps(dict(value)))
    except (TypeError, ValueError) as error:
        raise ArtifactError(
            f"{name}: expected a JSON object, found {error}; keep to plain values"
        ) from error
    if not isinstance(copy, dict):
        raise ArtifactError(f"{name}: expected a JSON object, found {type(copy).__name__}")
    return copy


def _check_dimensions(projector: Projector, base: BaseModel) -> None:
    site = projector.site
    if site.layer >= base.num_layers:
        raise ArtifactError(
            f"{site}: expected a layer below {base.num_layers}, the base model's depth, "
            f"found {site.layer}; count blocks from 0"
        )
    d_in = base.intermediate_size if site.hook == "down_proj" else base.hidden_size
    for name, found, expected in (
        ("A", projector.d_in, d_in),
        ("B", projector.d_out, base.hidden_size),
    ):
        if found != expected:
            raise ArtifactError(
                f"{site}.{name}: expected width {expected} for this base model, "
                f"found {found}; fit the profile on this model"
            )
    bound = min(MAX_RANK, projector.d_in, projector.d_out)
    if projector.rank > bound:
        raise ArtifactError(
            f"{site}: expected rank {bound} or less, found {projector.rank}; drop directions"
        )


def _check_orthonormal(projector: Projector) -> None:
    A = projector.A.to(torch.float64)
    gram_error = (A @ A.T - torch.eye(projector.rank, dtype=torch.float64)).abs().max()
    mirrored = projector.a is None and projector.A.shape == projector.B.shape
    mirror_error = (projector.A + projector.B).abs().max() if mirrored else torch.inf
    worst = max(float(gram_error), float(mirror_error))
    if not worst <= ORTHONORMAL_TOLERANCE:
        raise ArtifactError(
            f"{projector.site}: expected orthonormal rows with B = -A within "
            f"{ORTHONORMAL_TOLERANCE:g}, found an error of {worst:.3g}; build it with "
            "Projector.orthogonal, or do not claim orthonormal"
        )
