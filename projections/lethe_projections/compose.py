"""Several profiles as one that does what all of them do. Knows no names, files or requests.

All edits of a site read what the model wrote there, never each other's result, and their changes
add up; so composing means, site by site and scope by scope,

    orthogonal projections     stack the rows and orthonormalise again: the projection onto the
                               complement of everything that any of them removes
    other ungated edits        concatenate A, B and a: the sum of the changes
    gated edits                kept side by side, each with its gate

One orthogonal projection after another would be a different map for each order wherever their
subspaces overlap without being equal or orthogonal, and their summed changes would remove shared
directions twice. What differs in scope or kind stays apart, and adds up: an edit beside an
orthogonal projection still reads, and may write, what the projection removes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import groupby
from typing import Any

import torch

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import CompositionError, IncompatibleError
from lethe_projections.profile import Profile, rank_bound
from lethe_projections.projector import Projector, Site

METHOD = "composed"


def compose(profiles: Sequence[Profile]) -> Profile:
    """One profile with the edits of all, the same to the byte whatever their order.

    Equal profiles count once, and the composition of one distinct profile is that profile.

    Args:
        profiles: one or more, for one base model.

    Returns:
        Method "composed"; `hyperparameters["of"]` has the digests of the single profiles in it,
        sorted, and `provenance["of"]` says where each of `profiles` comes from.

    Raises:
        IncompatibleError: they are for different base models.
        CompositionError: there is none, one of them is in another already, or the rank at a site
            would be above `rank_bound`.
        ArtifactError: the composition would be too large for an artifact.
    """
    parts = _by_digest(profiles)
    if len(parts) == 1:
        return next(iter(parts.values()))
    _check_bases(parts)
    singles = _singles(parts)
    base = next(iter(parts.values())).base
    edits = tuple(_joined(p for profile in parts.values() for p in profile.projectors))
    _check_ranks(edits, parts, base)
    return Profile(
        base=base,
        projectors=edits,
        method=METHOD,
        hyperparameters={"of": singles},
        provenance={"of": {digest: _origin(profile) for digest, profile in parts.items()}},
    )


def _by_digest(profiles: Iterable[Profile]) -> dict[str, Profile]:
    """Each distinct profile, in order of digest."""
    found = {artifact.digest(artifact.to_bytes(profile)): profile for profile in profiles}
    if not found:
        raise CompositionError("compose: expected a profile or more, found none; give one")
    return dict(sorted(found.items()))


def _origin(profile: Profile) -> dict[str, Any]:
    return {
        "method": profile.method,
        "hyperparameters": profile.hyperparameters,
        "provenance": profile.provenance,
    }


def _joined(projectors: Iterable[Projector]) -> Iterator[Projector]:
    """The projectors, those that can be one made one; their order decides that of the rows."""
    ordered = sorted(projectors, key=_place)
    for _, group in groupby(ordered, key=_place):
        found = list(group)
        if found[0].gate is not None or len(found) == 1:
            yield from found
        elif found[0].orthonormal:
            rows = torch.cat([projector.A.to(torch.float64) for projector in found])
            yield Projector.orthogonal(found[0].site, rows, found[0].scope)
        else:
            yield _concatenated(found)


def _place(projector: Projector) -> tuple[Site, str, bool, bool]:
    """What projectors must share to be made one."""
    gated = projector.gate is not None
    return projector.site, projector.scope, gated, projector.orthonormal


def _concatenated(projectors: Sequence[Projector]) -> Projector:
    a = None
    if any(projector.a is not None for projector in projectors):
        a = torch.cat([torch.zeros(p.rank) if p.a is None else p.a for p in projectors])
    return Projector(
        projectors[0].site,
        torch.cat([projector.A for projector in projectors]),
        torch.cat([projector.B for projector in projectors]),
        a,
        scope=projectors[0].scope,
    )


def _singles(parts: Mapping[str, Profile]) -> list[str]:
    """Digests of the single profiles, those inside parts that are compositions included."""
    found: list[str] = []
    for digest, profile in parts.items():
        of = profile.hyperparameters.get("of") if profile.method == METHOD else None
        found += [str(one) for one in of] if isinstance(of, list) else [digest]
    twice = sorted({digest for digest in found if found.count(digest) > 1})
    if twice:
        raise CompositionError(
            f"compose: expected each profile once, found {', '.join(d[:12] for d in twice[:5])} "
            "in several of the profiles given; compose the single profiles instead"
        )
    return sorted(found)


def _check_bases(parts: Mapping[str, Profile]) -> None:
    differences = []
    for field in fields(BaseModel):
        values = {digest: getattr(profile.base, field.name) for digest, profile in parts.items()}
        if len(set(values.values())) > 1:
            each = ", ".join(f"{value} for {digest[:12]}" for digest, value in values.items())
            differences.append(f"{field.name}: {each}")
    if differences:
        raise IncompatibleError(
            "compose: expected profiles for one base model, found different ones: "
            f"{'; '.join(differences)}. Fit them on the same checkpoint"
        )


def _check_ranks(
    projectors: Sequence[Projector], parts: Mapping[str, Profile], base: BaseModel
) -> None:
    ranks: dict[Site, int] = {}
    for projector in projectors:
        ranks[projector.site] = ranks.get(projector.site, 0) + projector.rank
    site, rank = max(ranks.items(), key=lambda item: item[1])
    if rank > rank_bound(base):
        each = ", ".join(
            f"{sum(p.rank for p in profile.projectors if p.site == site)} of {digest[:12]}"
            for digest, profile in parts.items()
        )
        raise CompositionError(
            f"{site}: expected rank {rank_bound(base)} or less for all profiles together, found "
            f"{rank} ({each}); compose fewer, or fit one profile for all of the requests"
        )
