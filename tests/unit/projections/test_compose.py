"""Composition against dense fp64 formulas that know nothing of factors or of bases."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from lethe_projections import artifact, reference
from lethe_projections.base_model import BaseModel
from lethe_projections.compose import compose
from lethe_projections.errors import CompositionError, IncompatibleError
from lethe_projections.profile import Profile
from lethe_projections.projector import Gate, Projector, Site

from .conftest import D_FF, HIDDEN, edit, logits, rows

TOLERANCE = 1e-5
EFFECT = 1e-2
BLOCK, DOWN = Site(1, "block"), Site(2, "down_proj")


@pytest.fixture
def of(base: BaseModel) -> Any:
    def make(*projectors: Projector, seed: int = 0) -> Profile:
        return Profile(base, projectors, "test", {"seed": seed})

    return make


def low_rank(site: Site, seed: int, rank: int = 2, **more: Any) -> Projector:
    d_in = D_FF if site.hook == "down_proj" else HIDDEN
    return Projector(site, rows(seed, rank, d_in), rows(seed + 50, rank, HIDDEN), **more)


def change(profile: Profile, site: Site, x: Tensor, scope: str = "all") -> Tensor:
    """What the profile adds at a site, by the reference, to tokens of one scope alone."""
    return sum(
        (
            reference.change(projector, x)
            for projector in profile.projectors
            if (projector.site, projector.scope) == (site, scope)
        ),
        torch.zeros(len(x), HIDDEN, dtype=x.dtype),
    )


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def complement(*subspaces: Tensor) -> Tensor:
    """The dense projection onto what is orthogonal to all rows, by the pseudo-inverse."""
    M = torch.cat(subspaces).double()
    return torch.eye(M.shape[1], dtype=torch.float64) - torch.linalg.pinv(M, rtol=1e-5) @ M


def digest(profile: Profile) -> str:
    return artifact.digest(artifact.to_bytes(profile))


def test_edits_of_a_down_proj_add_up(of: Any) -> None:
    bias = rows(9, 1, 3)[0]
    parts = [low_rank(DOWN, 1), low_rank(DOWN, 2, 3, a=bias), low_rank(DOWN, 3)]
    x = rows(8, 7, D_FF).double()
    dense = sum(p.B.double().T @ p.A.double() for p in parts)
    expected = x @ dense.T + bias.double() @ parts[1].B.double()
    found = change(compose([of(p) for p in parts]), DOWN, x)
    assert relative(found, expected) < 1e-12
    for part in parts:
        assert relative(change(of(part), DOWN, x), expected) > 0.1


def overlapping() -> tuple[Tensor, Tensor]:
    """Two subspaces of dimension 3 that share one direction and are oblique otherwise."""
    first, other = rows(70, 3, HIDDEN), rows(71, 2, HIDDEN)
    return first, torch.stack([first.sum(0), first[1] + other[0], other[1] - first[2]])


def test_projections_remove_the_union_of_their_subspaces(of: Any) -> None:
    first, second = overlapping()
    parts = [of(Projector.orthogonal(BLOCK, Q)) for Q in (first, second)]
    composed = compose(parts)
    assert composed.rank == 5
    assert composed.projectors[0].orthonormal
    x = rows(8, 7, HIDDEN).double()
    expected = x @ complement(first, second)
    assert relative(x + change(composed, BLOCK, x), expected) < 1e-6
    # What the shortcuts would have done instead.
    in_turn = [x @ complement(a) @ complement(b) for a, b in ((first, second), (second, first))]
    summed = x + sum(change(part, BLOCK, x) for part in parts)
    assert all(relative(wrong, expected) > 0.05 for wrong in (*in_turn, summed))
    assert relative(*in_turn) > 0.05


@pytest.mark.parametrize("noise", [0.0, 1e-8])
def test_one_subspace_twice_is_removed_once(of: Any, noise: float) -> None:
    Q = rows(1, 4, HIDDEN)
    turned = rows(2, 4, 4) @ Q + noise * rows(3, 4, HIDDEN)
    parts = [of(Projector.orthogonal(BLOCK, one)) for one in (Q, turned)]
    assert digest(parts[0]) != digest(parts[1])
    composed = compose(parts)
    x = rows(8, 7, HIDDEN).double()
    assert composed.rank == 4
    assert relative(x + change(composed, BLOCK, x), x @ complement(Q)) < 1e-5
    assert relative(x @ complement(Q), x) > 0.1


def assorted(of: Any) -> list[Profile]:
    first, second = overlapping()
    w = rows(5, 1, HIDDEN)[0]
    return [
        of(Projector.orthogonal(BLOCK, first), low_rank(DOWN, 1), seed=1),
        of(Projector.orthogonal(BLOCK, second), low_rank(BLOCK, 2, gate=Gate(w, 0.1)), seed=2),
        of(low_rank(BLOCK, 3), low_rank(DOWN, 4), low_rank(Site(3, "mlp"), 5), seed=3),
        of(low_rank(BLOCK, 6, gate=Gate(-w, hard=True)), low_rank(DOWN, 7, a=w[:2]), seed=4),
    ]


def test_the_order_of_the_parts_leaves_no_trace(of: Any) -> None:
    parts = assorted(of)
    found = {digest(compose(order)) for order in itertools.permutations(parts)}
    assert len(found) == 1
    assert found.isdisjoint(map(digest, parts))


def test_the_grouping_of_the_parts_changes_nothing_but_rounding(of: Any, model: Any) -> None:
    a, b, c, d = assorted(of)
    groupings = [[compose([a, b]), c, d], [a, compose([compose([b, d]), c])], [a, b, c, d]]

    def outputs(parts: Sequence[Profile]) -> Tensor:
        with reference.edited(model, compose(parts)):
            return logits(model)

    found = [outputs(parts) for parts in groupings]
    assert compose(groupings[0]).hyperparameters == compose(groupings[2]).hyperparameters
    for other in found[:2]:
        assert relative(other, found[2]) < TOLERANCE
    for without in itertools.combinations([a, b, c, d], 3):
        assert relative(outputs(without), found[2]) > EFFECT


def test_one_profile_however_often_is_itself(of: Any) -> None:
    profile = of(edit("mlp"))
    again = artifact.from_bytes(artifact.to_bytes(profile))
    other = of(edit("block"))
    assert digest(compose([profile])) == digest(compose([profile, again])) == digest(profile)
    assert digest(compose([other, profile, again])) == digest(compose([profile, other]))


def test_a_lone_projection_keeps_its_bits(of: Any) -> None:
    projection = Projector.orthogonal(BLOCK, rows(1, 3, HIDDEN))
    composed = compose([of(projection), of(low_rank(DOWN, 1))])
    assert torch.equal(composed.projectors[0].A, projection.A)


def test_gates_stay_with_their_edits(of: Any) -> None:
    w = rows(5, 1, HIDDEN)[0]
    parts = [
        low_rank(BLOCK, 1, gate=Gate(w, 0.3)),
        low_rank(BLOCK, 2, gate=Gate(-2 * w, hard=True)),
        low_rank(BLOCK, 3),
    ]
    composed = compose([of(part) for part in parts])
    x = rows(8, 40, HIDDEN).double()
    s = x @ w.double()
    gates = [torch.sigmoid(s + 0.3), (s < 0).double(), torch.ones(40)]
    expected = sum(
        g[:, None] * (x @ p.A.double().T @ p.B.double()) for g, p in zip(gates, parts, strict=True)
    )
    assert len(composed.projectors) == 3
    assert relative(change(composed, BLOCK, x), expected) < 1e-6


def test_scopes_stay_apart(of: Any) -> None:
    first, second = overlapping()
    parts = [
        of(Projector.orthogonal(BLOCK, first, "prompt"), low_rank(DOWN, 1, scope="generated")),
        of(Projector.orthogonal(BLOCK, second, "prompt"), low_rank(DOWN, 2)),
        of(Projector.orthogonal(BLOCK, second, "generated"), low_rank(DOWN, 3, scope="generated")),
    ]
    composed = compose(parts)
    x, read = rows(8, 7, HIDDEN).double(), rows(9, 7, D_FF).double()
    for scope, subspaces in (("prompt", (first, second)), ("generated", (second,))):
        expected = x @ complement(*subspaces)
        assert relative(x + change(composed, BLOCK, x, scope), expected) < 1e-6
    for scope in ("all", "generated"):
        summed = sum(change(part, DOWN, read, scope) for part in parts)
        assert relative(change(composed, DOWN, read, scope), summed) < 1e-12
    assert composed.scopes == ("all", "generated", "prompt")


def test_projections_and_other_edits_of_a_site_stay_apart(of: Any) -> None:
    first, second = overlapping()
    parts = [
        of(Projector.orthogonal(BLOCK, first)),
        of(low_rank(BLOCK, 1)),
        of(Projector.orthogonal(BLOCK, second)),
        of(low_rank(BLOCK, 2)),
    ]
    composed = compose(parts)
    assert [p.orthonormal for p in composed.projectors] == [False, True]
    x = rows(8, 7, HIDDEN).double()
    added = change(parts[1], BLOCK, x) + change(parts[3], BLOCK, x)
    assert relative(x + change(composed, BLOCK, x), x @ complement(first, second) + added) < 1e-6


def test_a_composition_says_what_is_in_it(of: Any) -> None:
    parts = assorted(of)
    composed = artifact.from_bytes(artifact.to_bytes(compose(parts)))
    digests = sorted(map(digest, parts))
    assert composed.method == "composed"
    assert composed.hyperparameters == {"of": digests}
    assert sorted(composed.provenance["of"]) == digests
    assert composed.provenance["of"][digest(parts[0])]["hyperparameters"] == {"seed": 1}


def test_a_profile_that_is_in_another_already_is_refused(of: Any) -> None:
    a, b, c, _ = assorted(of)
    for parts in ([compose([a, b]), a], [compose([a, b]), compose([b, c])]):
        with pytest.raises(CompositionError, match="expected each profile once"):
            compose(parts)


def test_a_rank_past_the_bound_is_refused_with_each_share(of: Any) -> None:
    parts = [of(low_rank(DOWN, seed, HIDDEN // 2)) for seed in (1, 2)]
    assert compose(parts).rank == HIDDEN
    third = of(low_rank(DOWN, 3, 1))
    says = rf"layers\.2\.down_proj: expected rank {HIDDEN} or less.*found {HIDDEN + 1} .*compose f"
    with pytest.raises(CompositionError, match=says) as caught:
        compose([*parts, third])
    assert f"1 of {digest(third)[:12]}" in str(caught.value)


def test_the_bound_counts_what_projections_share_once(of: Any) -> None:
    Q = rows(1, HIDDEN - 1, HIDDEN)
    turned = rows(2, HIDDEN - 1, HIDDEN - 1).double() @ Q.double()
    parts = [of(Projector.orthogonal(BLOCK, one)) for one in (Q, turned)]
    assert compose(parts).rank == HIDDEN - 1


def test_different_base_models_are_listed(of: Any, base: BaseModel) -> None:
    other = dataclasses.replace(base, fingerprint="cd" * 32)
    parts = [of(edit("mlp")), Profile(other, (edit("mlp", 2),), "test")]
    with pytest.raises(IncompatibleError, match="fingerprint: ") as caught:
        compose(parts)
    for part in parts:
        assert f"{part.base.fingerprint} for {digest(part)[:12]}" in str(caught.value)
    assert "num_layers" not in str(caught.value)


def test_nothing_composes_to_nothing() -> None:
    with pytest.raises(CompositionError, match="found none"):
        compose([])


@pytest.mark.parametrize("of_what", [None, 3, [[]], ["x" * 64, 4]])
def test_a_file_that_only_claims_to_be_composed_is_a_profile_like_any_other(
    base: BaseModel, of: Any, of_what: object
) -> None:
    claiming = Profile(base, (edit("mlp"),), "composed", {"of": of_what})
    composed = compose([claiming, of(edit("mlp", 2))])
    assert len(composed.sites) == 2
