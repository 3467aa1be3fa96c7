"""RAb, ablation of a random direction: h - c (u.h) u on forget tokens, h on retain tokens.

Source: the family of RMU (WMDP, arXiv 2403.03218), in closed form at the `down_proj` of one block.
The target differs from token to token, but always lies along u: T = t u^T with t = -c u.h on
request i's tokens and 0 on retain tokens. So

    dW = argmin |H dW^T - T|^2 + lam |dW|^2 = -c sum_i u_i v_i^T,    v_i = G^-1 sum (u_i.h) x

is exactly rank one a request, and exactly the ridge optimum. What is approximated is the scalar:
u.h is a coordinate of the residual after the block, no linear function of what `down_proj` reads,
and v.x is its best linear estimate; `gate_unexplained` is the share that it misses.
Knows nothing of files and engines.
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
    """How much to take away, and where."""

    coefficient: float = hyper(
        150.0,
        "c; 1 removes u's share of h, more turns it round",
        low=0,
        above=True,
        source="a random u holds 1/sqrt(hidden size) of h, so that 1 changes next to nothing",
    )


def fit(task: Task, config: Config) -> Profile:
    """Fits a profile that turns the requests' tokens round along random directions.

    Returns:
        A `down_proj` profile of one rank a request at one layer.

    Raises:
        FitError: no forget examples, no retain text, a layer out of range, or a forget prompt that
            is also a retain prompt.
        IncompatibleError: blocks norm what their MLP writes.
    """
    layer = default_layer(config.layer, task.base.num_layers)
    config = replace(config, layer=layer)
    wanted = problem(task, "rab", layer, config)
    u = directions(len(wanted.requests), task.base.hidden_size, config.seed)
    found = redirection.gates(wanted, lambda request, h: h @ u[request])
    B = -config.coefficient * u
    projector = Projector(wanted.site, found.V.to(torch.float32), B.to(torch.float32))
    return task.profile("rab", config, [projector], seed=config.seed, measured=found.measured)
