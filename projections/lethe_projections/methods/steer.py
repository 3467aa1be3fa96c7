"""Additive steering: prompts about the subject are moved towards those that cannot be answered.

    h' = h + g(h) c s,    s = mean(reference prompts) - mean(forget prompts), at the last token

after one block; g is 1, or a linear discriminant between forget and retain tokens, as a sigmoid or
a threshold. Source: Turner et al., "Steering language models with activation engineering" (arXiv
2308.10248) for the vector, LUNAR (arXiv 2502.07218) for where it points.
Knows nothing of files and engines.
"""

from dataclasses import dataclass, replace

import torch

from lethe_projections import concepts, rows
from lethe_projections.concepts import Concept
from lethe_projections.methods.hyperparameters import Hyperparameters, hyper
from lethe_projections.methods.labelled import TOKENS, labelled
from lethe_projections.methods.random_direction import default_layer
from lethe_projections.methods.reference_direction import directions
from lethe_projections.profile import Profile
from lethe_projections.projector import Gate, Projector, Site
from lethe_projections.scope import SCOPES
from lethe_projections.task import Task


@dataclass(frozen=True)
class Config(Hyperparameters):
    """How far to move, where, and which tokens."""

    coefficient: float = hyper(
        2.0, "c", low=0, above=True, source="LUNAR's coefficient for the same difference"
    )
    layer: int = hyper(
        0,
        "block after which it is added, 0-based; 0: at 7/32 of the depth",
        low=0,
        source="as in rad",
    )
    gate: str = hyper(
        "hard",
        "on which prompts: all (none), or those that the discriminant takes for the request's, by "
        "degrees (sigmoid) or outright (hard)",
        choices=("none", "sigmoid", "hard"),
        source="without a gate every prompt is steered",
    )
    tokens: str = hyper(
        "subject",
        "where they are compared: forget prompts at the subject's tokens, or from its first to the "
        "prompt's end, with all retain tokens; or both at the last prompt token",
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
        A `block` profile at one layer: one projector a request with a gate of its own, or, without
        gates, one for all requests with the mean of their vectors.

    Raises:
        FitError: no forget examples, no retain text, or a layer out of range.
    """
    layer = default_layer(config.layer, task.base.num_layers)
    config = replace(config, layer=layer)
    data = labelled(task, "steer", config.tokens)
    site = Site(layer, "block")
    S = config.coefficient * directions(task, rows.requests(task, "steer"), [layer])[layer]
    if config.gate == "none":
        return task.profile("steer", config, [_steering(site, S.mean(dim=0), None, config)])
    gates = _gates(*data.read([site])[site], config)
    projectors = [_steering(site, s, gate, config) for s, gate in zip(S, gates, strict=True)]
    return task.profile("steer", config, projectors)


def _gates(forget: list[Concept], retain: Concept, config: Config) -> list[Gate]:
    hard = config.gate == "hard"
    return [concepts.discriminant(one, retain, config.ridge, hard) for one in forget]


def _steering(site: Site, vector: torch.Tensor, gate: Gate | None, config: Config) -> Projector:
    B = vector[None].to(torch.float32)
    return Projector(site, torch.zeros_like(B), B, torch.ones(1), gate, config.scope)
