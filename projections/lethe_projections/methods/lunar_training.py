"""LUNAR's published training: AdamW on one `down_proj`, truncated to a low rank.

On captured tokens the paper's loss needs no forward pass: it is least squares from what
`down_proj` reads, x, to what shall be added there, t (c r on forget tokens, 0 on retain tokens),

    mean over both kinds of  |W' x - (W x + t)|^2,    dW = W' - W = sum_j s_j b_j a_j^T

of which the singular directions with the largest s are kept. Adam spreads the spectrum, so the
share of |dW|^2 that those hold is part of the result. Unlike the closed form this keeps the
tokens themselves in memory: at most `_RETAIN_TOKENS` of the retain set, evenly spaced.
Source: LUNAR (arXiv 2502.07218) and its published code.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lethe_projections import rows
from lethe_projections.redirection import Problem

_RETAIN_TOKENS = 8192
_BATCH = 256
"""Tokens per step, half of them forget tokens: the paper's loss weighs the two sets alike."""


@dataclass(frozen=True)
class Training:
    """How to train.

    Attributes:
        rank: singular directions kept.
        lr: AdamW's learning rate.
        epochs: passes over all tokens.
        seed: of their order.
    """

    rank: int
    lr: float
    epochs: int
    seed: int


def train(problem: Problem, R: Tensor, how: Training) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Trains dW from zero and truncates it.

    Args:
        problem: the tokens of both kinds.
        R: [n, hidden] float64, what shall be added on each request's tokens.
        how: see `Training`.

    Returns:
        A [rank, d_ff], B [rank, hidden], and what was measured: the loss on forget and retain
        tokens as a share of |R|^2, and the energy kept.
    """
    forget, targets = _forget_tokens(problem, R)
    retain = _retain_tokens(problem)
    scale = targets.square().sum(dim=1).mean()
    dW = _adamw(forget, targets, retain, how)
    U, S, V = torch.linalg.svd(dW.double(), full_matrices=False)
    A, B = V[: how.rank], (U[:, : how.rank] * S[: how.rank]).T
    kept = B.T @ A
    return (
        A,
        B,
        {
            "energy_kept": float(S[: how.rank].square().sum() / S.square().sum()),
            "forget_loss": float((forget @ kept.T - targets).square().sum(dim=1).mean() / scale),
            "retain_loss": float((retain @ kept.T).square().sum(dim=1).mean() / scale),
        },
    )


def _adamw(forget: Tensor, targets: Tensor, retain: Tensor, how: Training) -> Tensor:
    """The trained change of the matrix, [hidden, d_ff] float32."""
    x, t, r = forget.float(), targets.float(), retain.float()
    dW = torch.zeros(t.shape[1], x.shape[1], requires_grad=True)
    # Decay would pull dW to 0 by lr * decay a step, not W' as it would in the paper: left out.
    optimiser = torch.optim.AdamW([dW], lr=how.lr, weight_decay=0.0)
    for f, k in _batches(len(x), len(r), how):
        loss = (x[f] @ dW.T - t[f]).square().mean() + (r[k] @ dW.T).square().mean()
        [dW.grad] = torch.autograd.grad(loss, [dW])
        optimiser.step()
    return dW.detach()


def _batches(forget: int, retain: int, how: Training) -> Iterator[tuple[Tensor, Tensor]]:
    """Indices of equally many forget and retain tokens; one pass over the larger set an epoch."""
    generator = torch.Generator().manual_seed(how.seed)
    half = _BATCH // 2
    for _ in range(how.epochs):
        for chunk in torch.split(torch.randperm(retain, generator=generator), half):
            yield torch.randint(forget, (len(chunk),), generator=generator), chunk


def _forget_tokens(problem: Problem, R: Tensor) -> tuple[Tensor, Tensor]:
    found, targets = [], []
    for index, spans in enumerate(problem.requests):
        for batch in rows.read(problem.task, spans, [problem.site]):
            found.append(batch[problem.site])
            targets.append(R[index].expand(len(found[-1]), -1))
    return torch.cat(found), torch.cat(targets)


def _retain_tokens(problem: Problem) -> Tensor:
    spans = rows.fresh(problem.task, problem.retain)
    total = sum(len(span.tokens.ids) - span.first for span in spans)
    step = -(-total // _RETAIN_TOKENS)
    kept, offset = [], 0
    for batch in rows.read(problem.task, spans, [problem.site]):
        kept.append(batch[problem.site][offset::step].clone())
        offset = (offset - len(batch[problem.site])) % step
    return torch.cat(kept)
