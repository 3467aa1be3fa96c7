"""Directional ablation: the difference of means between forget and retain prompts is projected out.

    h' = h - Q^T Q h,    Q an orthonormal basis of the differences, one a request

after each chosen block. Source: Arditi et al., "Refusal in language models is mediated by a single
direction" (arXiv 2406.11717), section 2, there for refusal. Knows nothing of files and engines.
"""

from dataclasses import dataclass, replace

from lethe_projections import concepts
from lethe_projections.methods.hyperparameters import Hyperparameters, checked_layers, hyper
from lethe_projections.methods.labelled import TOKENS, labelled
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site
from lethe_projections.scope import SCOPES
from lethe_projections.task import Task


@dataclass(frozen=True)
class Config(Hyperparameters):
    """Where to read the direction and where to remove it."""

    layers: tuple[int, ...] = hyper(
        (),
        "blocks after which it is removed, 0-based; default: the one at half of the depth",
        low=0,
        source="the middle, where a prompt's last token has gathered what is asked",
    )
    tokens: str = hyper(
        "last",
        "where forget and retain prompts are compared: at the last prompt token, or forget prompts "
        "from the first token that tells them apart and all retain tokens",
        choices=TOKENS,
        source="Arditi et al., section 2: after the instruction",
    )
    scope: str = hyper(
        "last_prompt_token",
        "on which tokens it is removed",
        choices=tuple(SCOPES),
        source="where it is read; on all tokens, as in Arditi et al., it cost 0.6 nats a token on "
        "retain text of the embedded model",
    )


def fit(task: Task, config: Config) -> Profile:
    """Fits a profile that removes what tells forget prompts from retain prompts on average.

    Returns:
        A `block` profile of at most one rank a request at each chosen layer.

    Raises:
        FitError: no forget examples, no retain text, or a layer out of range.
    """
    depth = task.base.num_layers
    layers = checked_layers(config.layers or (depth // 2,), depth)
    config = replace(config, layers=layers)
    data = labelled(task, "ablate", config.tokens)
    projectors = []
    for layer in layers:
        forget, retain = data.read(Site(layer, "block"))
        D = concepts.differences(forget, retain)
        projectors.append(Projector.orthogonal(Site(layer, "block"), D, config.scope))
    return task.profile("ablate", config, projectors)
