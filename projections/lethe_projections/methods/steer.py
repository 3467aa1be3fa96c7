"""Additive steering: prompts about the subject are moved towards those that cannot be answered.

    h' = h + g(h) c |h| s / |s|,    s = mean(reference prompts) - mean(forget prompts)

after one block; s is read at the last prompt token, |h| is the root mean square over what is
steered, and g is 1, or a linear discriminant between forget and retain tokens, as a sigmoid or a
threshold. Source: Turner et al., "Steering language models with activation engineering" (arXiv
2308.10248) for the vector, LUNAR (arXiv 2502.07218) for where it points.
Knows nothing of files and engines.
"""

from dataclasses import dataclass, replace

import torch

from lethe_projections import concepts, rows
from lethe_projections.methods.hyperparameters import Hyperparameters, checked_layers, hyper
from lethe_projections.methods.labelled import TOKENS, labelled
from lethe_projections.methods.reference_direction import directions
from lethe_projections.profile import Profile
from lethe_projections.projector import Gate, Projector, Site
from lethe_projections.scope import SCOPES
from lethe_projections.task import Task


@dataclass(frozen=True)
class Config(Hyperparameters):
    """How far to move, where, and which tokens."""

    coefficient: float = hyper(
        4.0,
        "c, the length of what is added as a multiple of |h|",
        low=0,
        above=True,
        source="measured on a development subject: 0.5 left every answer, 3.3 none",
    )
    layer: int | None = hyper(
        None,
        "block after which it is added, 0-based; default: at 2/15 of the depth",
        low=0,
        source="measured on development subjects: after block 7 of 30 later tokens already hold "
        "what they read of a name, after 2 and 3 the gates open to other names",
    )
    gate: str = hyper(
        "hard",
        "on which prompts: all (none), or those that the discriminant takes for the request's, by "
        "degrees (sigmoid) or outright (hard)",
        choices=("none", "sigmoid", "hard"),
        source="without a gate every prompt is steered",
    )
    tokens: str = hyper(
        "names",
        "what is compared: the names of subject and answer anywhere, the subject in the forget "
        "prompts, or these from there on, with all retain tokens; or both sides' last prompt token",
        choices=TOKENS,
        source="measured on development subjects: a gate fitted at the last token opens to all "
        "questions of a kind",
    )
    ridge: float = hyper(
        1e-6,
        "added to the discriminant's covariance, as a share of its mean diagonal",
        low=0,
        above=True,
        source="as for leace: a few dimensions of a residual are so large that more hides the rest",
    )
    scope: str = hyper(
        "all",
        "on which tokens it is added; last_prompt_token suits tokens last",
        choices=tuple(SCOPES),
        source="a subject may stand anywhere",
    )


def fit(task: Task, config: Config) -> Profile:
    """Fits a profile that moves forget prompts towards the reference prompts.

    Returns:
        A `block` profile at one layer: a projector with a gate of its own for each class of forget
        tokens, or, without gates, one for all.

    Raises:
        FitError: no forget examples, no retain text, or a layer out of range.
    """
    layer = _layer(config.layer, task.base.num_layers)
    config = replace(config, layer=layer)
    site = Site(layer, "block")
    gated = config.gate != "none"
    data = labelled(task, "steer", config.tokens, gated=gated)
    forget, retain = data.read([site])[site]
    S = directions(task, rows.requests(task, "steer"), [layer])[layer]
    s = torch.nn.functional.normalize(S.mean(dim=0), dim=0)
    if not gated:
        length = config.coefficient * concepts.joined(forget).norm
        projectors = [_steering(site, length * s, None, config)]
        return task.profile("steer", config, projectors, measured=task.referred())
    projectors = [
        _steering(
            site,
            config.coefficient * one.norm * s,
            concepts.discriminant(one, retain, config.ridge, config.gate == "hard"),
            config,
        )
        for one in forget
    ]
    return task.profile("steer", config, projectors, measured=task.referred())


def _layer(layer: int | None, depth: int) -> int:
    """`layer` itself, or for None the block at 2/15 of the depth: 4 of 30, 4 of 32."""
    return checked_layers((round(depth * 2 / 15) if layer is None else layer,), depth)[0]


def _steering(site: Site, vector: torch.Tensor, gate: Gate | None, config: Config) -> Projector:
    B = vector[None].to(torch.float32)
    return Projector(site, torch.zeros_like(B), B, torch.ones(1), gate, config.scope)
