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
        "blocks after which it is removed, 0-based; default: the one at 1/30 of the depth",
        low=0,
        source="measured on development subjects; early, as in rocr",
    )
    tokens: str = hyper(
        "subject",
        "what is compared: the names of subject and answer anywhere, the subject in the forget "
        "prompts, or these from there on, with all retain tokens; or both sides' last prompt token",
        choices=TOKENS,
        source="measured on development subjects; Arditi et al. read after the instruction",
    )
    scope: str = hyper(
        "all",
        "on which tokens it is removed; last_prompt_token suits tokens last",
        choices=tuple(SCOPES),
        source="a subject may stand anywhere",
    )


def fit(task: Task, config: Config) -> Profile:
    """Fits a profile that removes what tells forget prompts from retain prompts on average.

    Returns:
        A `block` profile of at most one rank a request at each chosen layer.

    Raises:
        FitError: no forget examples, no retain text, or a layer out of range.
    """
    depth = task.base.num_layers
    layers = checked_layers(config.layers or (round(depth / 30),), depth)
    config = replace(config, layers=layers)
    data = labelled(task, "ablate", config.tokens)
    found = data.read([Site(layer, "block") for layer in layers])
    projectors = [
        Projector.orthogonal(site, concepts.differences(forget, retain), config.scope)
        for site, (forget, retain) in found.items()
    ]
    return task.profile("ablate", config, projectors)
