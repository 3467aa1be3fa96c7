"""RAd, redirection by a fixed random direction: h + c u on forget tokens, h on retain tokens.

Source: Adaptive RMU (arXiv 2408.06223) for a coefficient relative to |h|; RMU (WMDP, arXiv
2403.03218) for u. Trained there by gradient; here the same targets in closed form, at the
`down_proj` of one block. h is the residual after that block, to which `down_proj` adds:

    dW = argmin |H dW^T - T|^2 + lam |dW|^2 = sum_i c_i u_i v_i^T

with T = c_i u_i on request i's tokens and 0 on retain tokens: exactly rank one a request
(`ridge`). Knows nothing of files and engines.
"""

from dataclasses import dataclass, replace

import torch

from lethe_projections import redirection
from lethe_projections.methods.gated import problem
from lethe_projections.methods.hyperparameters import hyper
from lethe_projections.methods.random_direction import RandomDirection, default_layer, directions
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector
from lethe_projections.task import Task


@dataclass(frozen=True)
class Config(RandomDirection):
    """How far to push, and where."""

    coefficient: float = hyper(
        5.0,
        "c as a multiple of the mean |h| over the request's tokens",
        low=0,
        above=True,
        source="Adaptive RMU, beta",
    )


def fit(task: Task, config: Config) -> Profile:
    """Fits a profile that pushes the requests' tokens towards random directions.

    Returns:
        A `down_proj` profile of one rank a request at one layer.

    Raises:
        FitError: no forget examples, no retain text, a layer out of range, or a forget prompt that
            is also a retain prompt.
        IncompatibleError: blocks norm what their MLP writes.
    """
    layer = default_layer(config.layer, task.base.num_layers)
    config = replace(config, layer=layer)
    wanted = problem(task, "rad", layer, config)
    found = redirection.gates(wanted)
    u = directions(len(wanted.requests), task.base.hidden_size, config.seed)
    B = config.coefficient * found.norms[:, None] * u
    projector = Projector(wanted.site, found.V.to(torch.float32), B.to(torch.float32))
    return task.profile("rad", config, [projector], seed=config.seed, measured=found.measured)
