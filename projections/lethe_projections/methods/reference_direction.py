"""From each request's prompts to the reference prompts: the difference of their mean residuals."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lethe_projections import rows
from lethe_projections.errors import FitError
from lethe_projections.projector import Site
from lethe_projections.rows import Request, Span
from lethe_projections.task import Task


def directions(task: Task, requests: Sequence[Request], layers: Sequence[int]) -> dict[int, Tensor]:
    """r_i = mean(reference) - mean(request i), the residual after each block, last prompt token.

    Returns:
        For each layer [n, hidden] float64, not normalised.

    Raises:
        FitError: a request's prompts read as the reference prompts do.
    """
    sites = [Site(layer, "block") for layer in layers]
    goal = _means(task, rows.last(task, task.reference), sites)
    starts = [_means(task, rows.last(task, request.examples), sites) for request in requests]
    found = {s.layer: torch.stack([goal[s] - start[s] for start in starts]) for s in sites}
    if not all(bool((R.norm(dim=1) > 0).all()) for R in found.values()):
        raise FitError(
            "forget: expected prompts that the model reads unlike the reference prompts, found the "
            "same; give other prompts in one of the two"
        )
    return found


def _means(task: Task, spans: Sequence[Span], sites: Sequence[Site]) -> dict[Site, Tensor]:
    batches = list(rows.read(task, spans, sites))
    return {site: torch.cat([found[site] for found in batches]).mean(dim=0) for site in sites}
