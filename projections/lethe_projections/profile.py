"""A set of projectors for one base model: what one artifact file holds. Knows no files."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from lethe_projections import strict_json
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import ArtifactError
from lethe_projections.projector import Projector, Site
from lethe_projections.scope import SCOPES

MAX_RANK = 512
"""Of all projectors at a site together."""

_METHOD = re.compile(r"[a-z0-9][a-z0-9_.+-]{0,63}")


@dataclass(frozen=True, eq=False)
class Profile:
    """A named variant's edits, before it has a name.

    Two profiles are the same when `artifact.to_bytes` gives the same bytes.

    Attributes:
        base: the model it was made for.
        projectors: in order of site. Those of one site all read what the model wrote there, not
            each other's edits, and their changes add up; two that could be one are refused.
        method: how it was made, e.g. "rocr".
        hyperparameters: JSON object; a copy is kept.
        provenance: JSON object: data digests, library versions, seed; a copy is kept.

    Raises:
        ArtifactError: as `validate`.
    """

    base: BaseModel
    projectors: tuple[Projector, ...]
    method: str
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.projectors, key=lambda p: (p.site, p.scope, p.orthonormal)))
        object.__setattr__(self, "projectors", ordered)
        for name in ("hyperparameters", "provenance"):
            object.__setattr__(self, name, _json_object(name, getattr(self, name)))
        self.validate()

    @property
    def sites(self) -> tuple[Site, ...]:
        """Where it acts, in order, each site once."""
        return tuple(site for site, _ in self.by_site())

    def by_site(self) -> Iterator[tuple[Site, tuple[Projector, ...]]]:
        """The projectors of each site, in order."""
        for site, projectors in groupby(self.projectors, key=lambda projector: projector.site):
            yield site, tuple(projectors)

    @property
    def rank(self) -> int:
        """The largest rank over its sites."""
        return max(sum(p.rank for p in projectors) for _, projectors in self.by_site())

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes of its projectors, each once, sorted."""
        return tuple(sorted({projector.scope for projector in self.projectors}))

    @property
    def positional(self) -> bool:
        """Whether an edit depends on a token's place in the request."""
        return any(projector.positional for projector in self.projectors)

    @property
    def covers_every_token(self) -> bool:
        """Whether no kind of token, by its place in the request, is spared by every edit."""
        scopes = [SCOPES[projector.scope] for projector in self.projectors]
        return all(any(taken) for taken in zip(*scopes, strict=True))

    @property
    def gated(self) -> bool:
        """Whether an edit has a gate."""
        return any(projector.gate is not None for projector in self.projectors)

    @property
    def nbytes(self) -> int:
        """Size of all factors in bytes, as stored (float32)."""
        return sum(projector.nbytes for projector in self.projectors)

    def validate(self) -> None:
        """Checks the whole against the base model's dimensions.

        Raises:
            ArtifactError: no projector, two at one site that could be one, or a layer, width or
                rank out of range.
        """
        if not _METHOD.fullmatch(_text(self.method)):
            raise ArtifactError(
                f"method: expected up to 64 of a-z 0-9 _ . + -, found {self.method!r:.80}; "
                "name it like 'rocr'"
            )
        if not self.projectors:
            raise ArtifactError("profile: expected at least one projector, found none; add one")
        for projector in self.projectors:
            _check_dimensions(projector, self.base)
        for site, projectors in self.by_site():
            _check_site(site, projectors, self.base)


def rank_bound(base: BaseModel) -> int:
    """The largest rank that all projectors of a site may have together."""
    return min(MAX_RANK, base.hidden_size)


def _text(value: object) -> str:
    """The value if it is text, else what matches no name."""
    return value if isinstance(value, str) else ""


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


def _check_site(site: Site, projectors: tuple[Projector, ...], base: BaseModel) -> None:
    plain = [(p.scope, p.orthonormal) for p in projectors if p.gate is None]
    if len(set(plain)) < len(plain):
        raise ArtifactError(
            f"{site}: expected one ungated projector for a scope, found two; stack their rows "
            "into one, as lethe compose does"
        )
    bound, rank = rank_bound(base), sum(p.rank for p in projectors)
    if rank > bound:
        raise ArtifactError(f"{site}: expected rank {bound} or less, found {rank}; drop directions")
