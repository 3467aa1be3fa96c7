"""Profiles made for tests: random edits at every hook, strong enough to be told from the base."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile
from lethe_projections.projector import Gate, Projector, Site


def low_rank(
    base: BaseModel, hook: str, layers: tuple[int, ...], rank: int, scale: float, seed: int
) -> Profile:
    """Random A, B and a at each layer, entries of standard deviation `scale`."""
    generator = torch.Generator().manual_seed(seed)

    def factor(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) * scale

    width = base.intermediate_size if hook == "down_proj" else base.hidden_size
    return Profile(
        base,
        tuple(
            Projector(
                Site(layer, hook), factor(rank, width), factor(rank, base.hidden_size), factor(rank)
            )
            for layer in layers
        ),
        "synthetic",
        {"seed": seed},
    )


def without_bias(profile: Profile) -> Profile:
    """The same edits without `a`: what can be merged into a linear layer that has no bias."""
    return Profile(
        profile.base, tuple(Projector(p.site, p.A, p.B) for p in profile.projectors), "synthetic"
    )


def orthogonal(base: BaseModel, layers: tuple[int, ...], rank: int, seed: int) -> Profile:
    """Removes a random subspace from the residual stream."""
    generator = torch.Generator().manual_seed(seed)
    return Profile(
        base,
        tuple(
            Projector.orthogonal(
                Site(layer, "block"), torch.randn(rank, base.hidden_size, generator=generator)
            )
            for layer in layers
        ),
        "synthetic",
        {"seed": seed},
    )


def rescoped(profile: Profile, scope: str) -> Profile:
    """The same edits for some tokens alone."""
    return changed(profile, scope=scope)


def gated(profile: Profile, hard: bool, seed: int) -> Profile:
    """The same edits behind a random gate that is open on about half of all tokens."""
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(profile.projectors[0].d_in, generator=generator)
    return changed(profile, gate=Gate(w, 0.1, hard))


def changed(profile: Profile, **fields: Any) -> Profile:
    projectors = tuple(replace(projector, **fields) for projector in profile.projectors)
    return Profile(profile.base, projectors, profile.method, profile.hyperparameters)


def blocks(base: BaseModel, *of_thirty: int) -> tuple[int, ...]:
    """These blocks of the embedded model, or those at their places in one of fewer."""
    return tuple(sorted({block * base.num_layers // 30 for block in of_thirty}))


def conditional(base: BaseModel) -> dict[str, Profile]:
    """Gates and scopes, and everything at once in two blocks."""
    block = low_rank(base, "block", blocks(base, 10, 20), rank=4, scale=0.12, seed=11)
    mlp = low_rank(base, "mlp", blocks(base, 3, 12), rank=4, scale=0.16, seed=12)
    down = low_rank(base, "down_proj", blocks(base, 3, 4, 5), rank=8, scale=0.22, seed=13)
    last, generated = rescoped(block, "last_prompt_token"), rescoped(block, "generated")
    mixed = (
        *rescoped(orthogonal(base, blocks(base, 10, 20), rank=3, seed=14), "prompt").projectors,
        *last.projectors,
        *generated.projectors,
        *gated(block, hard=False, seed=15).projectors,
        *gated(rescoped(block, "prompt"), hard=True, seed=16).projectors,
    )
    return {
        "sigmoid": gated(block, hard=False, seed=17),
        "hard": gated(down, hard=True, seed=18),
        "prompt": rescoped(mlp, "prompt"),
        "last": last,
        "generated": generated,
        "mixed": Profile(base, mixed, "synthetic"),
    }


def contrasting(base: BaseModel) -> dict[str, Profile]:
    """A few of both kinds for paths on which time is short: hooks that differ, gates, scopes."""
    every = assorted(base) | conditional(base)
    return {name: every[name] for name in ("block", "mlp", "down", "mixed")}


def assorted(base: BaseModel) -> dict[str, Profile]:
    """One profile per kind of edit, at early, middle and late layers and different ranks."""
    return {
        "block": low_rank(base, "block", blocks(base, 10, 20), rank=4, scale=0.08, seed=1),
        "projection": orthogonal(base, blocks(base, 8, 16, 29), rank=3, seed=2),
        "attn": low_rank(base, "attn", blocks(base, 5, 15), rank=2, scale=0.25, seed=3),
        "mlp": low_rank(base, "mlp", blocks(base, 0, 12), rank=4, scale=0.12, seed=4),
        "down": low_rank(base, "down_proj", blocks(base, 3, 4, 5), rank=16, scale=0.12, seed=5),
        "merged": without_bias(
            low_rank(base, "down_proj", blocks(base, 2, 18), rank=5, scale=0.12, seed=6)
        ),
    }
