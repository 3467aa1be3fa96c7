"""LEACE, least-squares concept erasure: which request a token belongs to, linearly unreadable.

    h' = h - D^T A (h - m),    A = (D S^-1 D^T)^-1 D S^-1

after each chosen block, with D [n, d] the differences of the n requests' means from the retain
mean, S the covariance of all rows and m their mean. A D^T = I, so the classes' means are equal
afterwards, which is when no linear probe does better than a constant; and of all affine maps that
do so this one changes h least in mean square. Source: Belrose et al., "LEACE: Perfect linear
concept erasure in closed form" (arXiv 2306.03819), theorem 4.3, which whitens with S^(-1/2) and
projects orthogonally there; written out for class labels the roots cancel to the above.
Knows nothing of files and engines.
"""

from dataclasses import dataclass, replace

import torch

from lethe_projections import concepts
from lethe_projections.concepts import Concept
from lethe_projections.methods.hyperparameters import Hyperparameters, checked_layers, hyper
from lethe_projections.methods.labelled import TOKENS, labelled
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site
from lethe_projections.ridge import key_factor
from lethe_projections.scope import SCOPES
from lethe_projections.task import Task


@dataclass(frozen=True)
class Config(Hyperparameters):
    """Where to read the classes and where to erase them."""

    layers: tuple[int, ...] = hyper(
        (),
        "blocks after which they are erased, 0-based; default: the one at 1/30 of the depth",
        low=0,
        source="measured on development subjects; early, as in rocr",
    )
    tokens: str = hyper(
        "names",
        "what is compared: the names of subject and answer anywhere, the subject in the forget "
        "prompts, or these from there on, with all retain tokens; or both sides' last prompt token",
        choices=TOKENS,
        source="measured on development subjects: erased at a prompt's end, the answer still comes",
    )
    ridge: float = hyper(
        1e-6,
        "added to S's diagonal, as a share of its mean, for fewer rows than dimensions; the "
        "classes' means are equal afterwards whatever it is",
        low=0,
        above=True,
        source="the paper takes a pseudo-inverse",
    )
    scope: str = hyper(
        "all",
        "on which tokens they are erased; last_prompt_token suits tokens last",
        choices=tuple(SCOPES),
        source="a subject may stand anywhere",
    )


def fit(task: Task, config: Config) -> Profile:
    """Fits a profile after which no linear probe tells forget tokens from retain tokens.

    Returns:
        A `block` profile of one rank a request at each chosen layer.

    Raises:
        FitError: no forget examples, no retain text, a layer out of range, or two requests with
            nearly the same mean.
    """
    depth = task.base.num_layers
    layers = checked_layers(config.layers or (round(depth / 30),), depth)
    config = replace(config, layers=layers)
    data = labelled(task, "leace", config.tokens)
    found = data.read([Site(layer, "block") for layer in layers])
    projectors = [eraser(site, *classes, config) for site, classes in found.items()]
    return task.profile("leace", config, projectors)


def eraser(
    site: Site, forget: list[Concept], retain: Concept, config: Config | None = None
) -> Projector:
    """The erasure at one site: A, B = -D and a = -A m.

    Raises:
        FitError: two classes have nearly the same mean.
    """
    config = config or Config()
    D = concepts.differences(forget, retain)
    everything = concepts.joined([*forget, retain])
    A = key_factor(D, everything.scatter / everything.count, config.ridge)
    a = -A @ everything.mean
    A, D, a = (tensor.to(torch.float32) for tensor in (A, D, a))
    return Projector(site, A, -D, a, scope=config.scope)
