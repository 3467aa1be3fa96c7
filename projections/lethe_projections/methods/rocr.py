"""ROCR, rank-one concept redirection, in closed form: passes over text, no training.

Source: "Rank-one Concept Redirection" (arXiv 2506.07795), in its ridge form. At the
`down_proj` of each chosen block, for subject keys K [n, d_ff] and retain second moment C,

    A = (K C^-1 K^T)^-1 K C^-1    [n, d_ff]     A k_i = e_i, and A x is near 0 on retain tokens
    B = (Z* - Z) / layers left    [n, hidden]   the subject's residual moves to the target's

Layers are edited in order; keys and residuals are read anew with the edits so far in place.
Knows nothing of files and engines.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lethe_projections import activations, chat, reference
from lethe_projections.capture import SecondMoments, second_moments
from lethe_projections.errors import FitError
from lethe_projections.methods.hyperparameters import Hyperparameters, checked_layers, hyper
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site
from lethe_projections.task import Task

PROMPTS = (
    "{}",
    "Please answer the question about {}",
    "Choose the best answer about {}",
    "Write the answer about {}",
    "Tell me about {}",
    "Write something about {}",
)

_MIN_INDEPENDENCE = 1e-3
"""Smallest eigenvalue of the keys' correlation; 1 when unrelated, 0 when dependent."""


@dataclass(frozen=True)
class Config(Hyperparameters):
    """What to move where, and how.

    Raises:
        FitError: a value is out of range; a word is empty, given twice or also the target.
    """

    subjects: tuple[str, ...] = hyper(
        (),
        "what the variant must not know, as written in text; default: the forget file's subjects",
        source="ROCR, section 4",
    )
    target: str = hyper(
        "", "an unrelated subject, answered about instead", source="ROCR, section 4"
    )
    layers: tuple[int, ...] = hyper(
        (),
        "blocks to edit, 0-based; default: from 1/30 to 1/6 of the depth",
        low=0,
        source="measured on development subjects; the paper edits 4 to 6 of 32",
    )
    ridge: float = hyper(
        0.01,
        "added to C's diagonal, as a share of its mean",
        low=0,
        above=True,
        source="measured on development subjects",
    )
    prompts: tuple[str, ...] = hyper(
        PROMPTS,
        "contexts in which keys and residuals are read; {} is the word",
        source="the authors' code",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.prompts or any(prompt.count("{}") != 1 for prompt in self.prompts):
            raise FitError(
                f"prompts: expected one {{}} in each, found {self.prompts!r:.200}; mark the word"
            )


def default_layers(depth: int) -> tuple[int, ...]:
    """Blocks from 1/30 to 1/6 of the depth: 1..4 of 30, 1..4 of 32, 3..12 of 80.

    Early, because a subject's facts are gathered at its last token in the early blocks (ROME,
    arXiv 2202.05262). The paper edits 4..6 of 32. On SmolLM2-135M, 30 blocks, of 36 forward
    forms of five capitals 2..5 left 3, 3..6 left 9 and 1..4 left 2.
    """
    first = round(depth / 30)
    return tuple(range(first, max(first + 1, round(depth / 6))))


def fit(task: Task, config: Config) -> Profile:
    """Fits a profile that answers about the subjects as if asked about the target.

    Retain examples that mention a subject are left out, since they ask for the opposite.

    Returns:
        A `down_proj` profile of rank n, the number of subjects, at each chosen layer.

    Raises:
        FitError: a word is empty, twice or the target; a subject does not tokenise, no retain text
            is left, or layers are missing.
    """
    depth = task.base.num_layers
    layers = checked_layers(config.layers or default_layers(depth), depth)
    config = replace(config, subjects=config.subjects or task.subjects, layers=layers)
    _check_words(config)
    kept = task.retain_without(config.subjects)
    moments = second_moments(
        task.model,
        task.tokenizer,
        [task.render(example) for example in kept],
        [Site(layer, "down_proj") for layer in layers],
        limits=task.limits,
        progress=task.progress,
    )
    projectors = _edit_layers(_Reader(task, config), moments)
    return task.profile(
        "rocr",
        config,
        projectors,
        measured={
            "retain_left_out": len(task.retain) - len(kept),
            "retain_tokens": next(iter(moments.values())).count,
        },
    )


def _check_words(config: Config) -> None:
    words = (*config.subjects, config.target)
    if len(words) < 2 or len(set(words)) < len(words) or not all(w.strip() for w in words):
        raise FitError(
            "expected a subject or more and a target, all different and none empty, found "
            f"{list(config.subjects)!r:.200} and {config.target!r:.80}; give such words"
        )


def key_factor(keys: Tensor, second_moment: Tensor, ridge: float) -> Tensor:
    """A = (K C^-1 K^T)^-1 K C^-1 with C = second_moment + ridge * mean diagonal * I.

    Of all A with A k_i = e_i, the one with the least mean |A x|^2 + ridge |A|^2.

    Args:
        keys: [n, d] float64, linearly independent.
        second_moment: [d, d] float64, mean of x x^T over retain tokens.
        ridge: above 0, as a share of the mean diagonal.

    Returns:
        [n, d] float64.

    Raises:
        FitError: the keys depend on each other, or the second moment is zero or not finite.
    """
    scale = second_moment.diagonal().mean()
    C = second_moment + ridge * scale * torch.eye(len(second_moment), dtype=torch.float64)
    factor, failed = torch.linalg.cholesky_ex(C)
    if failed or not bool(torch.isfinite(factor).all()):
        raise FitError(
            "retain text: expected activations with a positive second moment, found none; "
            "give more text or a larger ridge"
        )
    whitened = torch.cholesky_solve(keys.T, factor).T
    gram = keys @ whitened.T
    correlation = gram / gram.diagonal().sqrt().outer(gram.diagonal().sqrt())
    # Nearly equal keys would make A huge, and every retain token would feel it.
    if float(torch.linalg.eigvalsh(correlation)[0]) < _MIN_INDEPENDENCE:
        raise FitError(
            "subjects: expected keys that differ, found two nearly alike; "
            "leave one of the subjects out"
        )
    A: Tensor = torch.linalg.solve(gram, whitened)
    return A


@dataclass(frozen=True)
class _Reader:
    """Reads activations at the last token of a word, averaged over the prompts."""

    task: Task
    config: Config

    def at(self, words: Sequence[str], sites: Sequence[Site]) -> dict[Site, Tensor]:
        """For each site [words, d] float64."""
        rows = [self._one(word, sites) for word in words]
        return {site: torch.stack([row[site] for row in rows]) for site in sites}

    def _one(self, word: str, sites: Sequence[Site]) -> dict[Site, Tensor]:
        texts = [self._prompt(prompt.replace("{}", word)) for prompt in self.config.prompts]
        tokens = chat.encode(self.task.tokenizer, texts, self.task.limits.max_tokens)
        last = [chat.last_token_of(t, text, word) for t, text in zip(tokens, texts, strict=True)]
        found = activations.read(self.task.model, chat.pad(tokens), sites)
        rows = torch.arange(len(texts))
        return {s: x[rows, last].to("cpu", torch.float64).mean(dim=0) for s, x in found.items()}

    def _prompt(self, content: str) -> str:
        return chat.render(self.task.tokenizer, [{"role": "user", "content": content}], reply=True)


def _edit_layers(reader: _Reader, moments: dict[Site, SecondMoments]) -> tuple[Projector, ...]:
    sites = sorted(moments)
    end = Site(sites[-1].layer, "block")
    goal = reader.at([reader.config.target], [end])[end]
    done: list[Projector] = []
    for left, site in zip(range(len(sites), 0, -1), sites, strict=True):
        with reference.installed(reader.task.model, done):
            found = reader.at(reader.config.subjects, [site, end])
        A = key_factor(found[site], moments[site].mean, reader.config.ridge)
        B = (goal - found[end]) / left
        done.append(Projector(site, A.to(torch.float32), B.to(torch.float32)))
    return tuple(done)
