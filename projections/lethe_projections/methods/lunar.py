"""LUNAR, activation redirection: a request's prompts are moved to where unanswerable ones lie.

    r_i = mean(reference prompts) - mean(request i's prompts)     residual after block l, last token
    dW  = argmin |H dW^T - T|^2 + lam |dW|^2 = c sum_i r_i v_i^T

with T = c r_i on request i's tokens and 0 on retain tokens, at the `down_proj` of block l: rank one
a request, exact, all requests jointly (`ridge`). Source: LUNAR (arXiv 2502.07218), which trains
that one matrix with AdamW; that is offered as well (`lunar_training`). The paper's forget tokens
are all of the prompt; here those from the first that tells it apart (`rows`), since a template's
tokens occur in every prompt. Knows nothing of files and engines.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lethe_projections import decoder, redirection, rows
from lethe_projections.methods import lunar_layer, lunar_training
from lethe_projections.methods.gated import TOKENS, GateParameters, problem, spans
from lethe_projections.methods.hyperparameters import checked_layers, hyper
from lethe_projections.methods.reference_direction import directions
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector
from lethe_projections.redirection import Problem
from lethe_projections.rows import Request, Span
from lethe_projections.task import Task


@dataclass(frozen=True)
class Config(GateParameters):
    """How far to move, where, and how the matrix is found."""

    tokens: str = hyper(
        "telling",
        "the forget prompts' tokens: the subject's alone, or from its first to the prompt's end",
        choices=TOKENS,
        source="LUNAR moves the last prompt token, where the direction is read",
    )
    coefficient: float = hyper(2.0, "c", low=0, above=True, source="LUNAR's published code")
    layer: int | None = hyper(
        None,
        "block whose down_proj is edited, 0-based; default: chosen by a sweep, whose scores the "
        "profile holds",
        low=0,
        source="LUNAR, section 4: the layer where steering turns answers into refusals",
    )
    refusal: str = hyper(
        "I'm sorry, I don't have any information about that.",
        "what a prompt that cannot be answered is answered with, for the sweep",
        source="LUNAR's sweep compares with refusals of this kind",
    )
    train: str = hyper(
        "closed",
        "by the closed form, or by AdamW and truncated to `rank`",
        choices=("closed", "adamw"),
        source="the paper trains by adamw; the closed form is that problem's exact solution",
    )
    rank: int = hyper(
        0, "rows kept of a trained matrix; 0: one a request", low=0, source="the closed form's rank"
    )
    lr: float = hyper(
        1e-2, "AdamW's learning rate, in train adamw", low=0, above=True, source="LUNAR, appendix"
    )
    epochs: int = hyper(20, "passes over all tokens, in train adamw", low=1, source="LUNAR")
    seed: int = hyper(0, "of the order of tokens, in train adamw", low=0, source="any will do")


def fit(task: Task, config: Config) -> Profile:
    """Fits a profile that moves each request's tokens towards the reference prompts.

    Returns:
        A `down_proj` profile of one rank a request at one layer.

    Raises:
        FitError: no forget examples, no retain text, a layer out of range, more rows than a rank
            may have, or a forget prompt that is also a retain or reference prompt.
        IncompatibleError: blocks norm what their MLP writes.
    """
    # Here as well as in `problem`, because the sweep comes before that.
    decoder.check_mlp_is_added(task.model)
    rows.check_rank(config.rank, task)
    requests = rows.requests(task, "lunar")
    asked = spans(task, requests, config)
    layer, R, scores = _directions(task, requests, asked, config)
    config = replace(config, layer=layer)
    wanted = problem(task, "lunar", layer, config)
    if config.train == "adamw":
        config = replace(config, rank=config.rank or len(requests))
        how = lunar_training.Training(config.rank, config.lr, config.epochs, config.seed)
        A, B, found = lunar_training.train(wanted, R, how)
    else:
        A, B, found = _closed(wanted, R)
    projector = Projector(wanted.site, A.to(torch.float32), B.to(torch.float32))
    seed = config.seed if config.train == "adamw" else None
    measured = {**task.referred(), **scores, **found}
    return task.profile("lunar", config, [projector], seed=seed, measured=measured)


def _directions(
    task: Task, requests: Sequence[Request], asked: Sequence[Sequence[Span]], config: Config
) -> tuple[int, Tensor, dict[str, dict[str, float]]]:
    """The layer, c r_i there, and the sweep's scores.

    The layer is the one given, or that of the highest score, the earliest of equals.
    """
    depth = task.base.num_layers
    if config.layer is not None:
        [layer] = checked_layers((config.layer,), depth)
        return layer, config.coefficient * directions(task, requests, [layer])[layer], {}
    probes = lunar_layer.probes(task, requests, asked, config.refusal)
    found = directions(task, requests, lunar_layer.candidates(depth))
    R = {layer: config.coefficient * r for layer, r in found.items()}
    scores = {layer: lunar_layer.score(task, probes, layer, r) for layer, r in R.items()}
    best = max(scores, key=lambda layer: scores[layer])
    return best, R[best], {"layer_scores": {str(layer): one for layer, one in scores.items()}}


def _closed(problem: Problem, R: Tensor) -> tuple[Tensor, Tensor, dict[str, Any]]:
    gates = redirection.gates(problem)
    return gates.V, R, gates.measured
