"""ROCR, rank-one concept redirection, in closed form: passes over text, no training.

Source: "Rank-one Concept Redirection" (arXiv 2506.07795), in its ridge form. At the
`down_proj` of each chosen block, for subject keys K [n, d_ff] and retain second moment C,

    A = (K C^-1 K^T)^-1 K C^-1    [n, d_ff]     A k_i = e_i, and A x is near 0 on retain tokens
    B = (Z* - Z) / layers left    [n, hidden]   the subject's residual moves to the target's

Layers are edited in order; keys and residuals are read anew with the edits so far in place.
Knows nothing of files and engines.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

import torch
from torch import Tensor, nn

from lethe_projections import activations, chat, decoder, reference, retain
from lethe_projections.base_model import BaseModel
from lethe_projections.capture import Limits, SecondMoments, second_moments
from lethe_projections.errors import FitError
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site

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

_LIBRARIES = ("torch", "transformers", "safetensors")


@dataclass(frozen=True)
class RocrConfig:
    """What to move where, and how.

    Attributes:
        subjects: what the variant must not know, each as written in text; one key each.
        target: an unrelated subject, answered about instead.
        layers: blocks to edit, 0-based and rising; default by `default_layers`.
        ridge: added to C's diagonal, as a share of its mean; above 0.
        prompts: contexts in which keys and residuals are read; `{}` is the word.
        limits: how much text at once; long texts are cut, else without effect on the result.

    Raises:
        FitError: a value is out of range; a word is empty, given twice or also the target.
    """

    subjects: tuple[str, ...]
    target: str
    layers: tuple[int, ...] | None = None
    ridge: float = 0.01
    prompts: tuple[str, ...] = PROMPTS
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        words = (*self.subjects, self.target)
        if len(words) < 2 or len(set(words)) < len(words) or not all(w.strip() for w in words):
            raise FitError(
                "expected a subject or more and a target, all different and none empty, found "
                f"{list(self.subjects)!r:.200} and {self.target!r:.80}; give such words"
            )
        if not 0 < self.ridge < float("inf"):
            raise FitError(f"ridge: expected a number above 0, found {self.ridge}; try 0.01")
        if not self.prompts or any(prompt.count("{}") != 1 for prompt in self.prompts):
            raise FitError(
                f"prompts: expected one {{}} in each, found {self.prompts!r:.200}; mark the word"
            )
        if self.layers is not None and list(self.layers or (0, 0)) != sorted(set(self.layers)):
            raise FitError(
                f"layers: expected one or more rising numbers, found {self.layers}; sort them"
            )


def default_layers(depth: int) -> tuple[int, ...]:
    """Blocks from 1/30 to 1/6 of the depth: 1..4 of 30, 1..4 of 32, 3..12 of 80.

    Early, because a subject's facts are gathered at its last token in the early blocks (ROME,
    arXiv 2202.05262). The paper edits 4..6 of 32. On SmolLM2-135M, 30 blocks, of 36 forward
    forms of five capitals 2..5 left 3, 3..6 left 9 and 1..4 left 2.
    """
    first = round(depth / 30)
    return tuple(range(first, max(first + 1, round(depth / 6))))


def fit(
    model: nn.Module,
    tokenizer: Any,
    base: BaseModel,
    config: RocrConfig,
    examples: Sequence[retain.Example] | None = None,
    *,
    progress: bool = False,
) -> Profile:
    """Fits a profile that answers about the subjects as if asked about the target.

    Deterministic: the same inputs on the same machine give the same digest.

    Args:
        model: transformers decoder, evaluation mode, best in float32; left as it was.
        tokenizer: its fast tokenizer.
        base: `BaseModel.from_checkpoint` of the same checkpoint.
        config: subjects, target and options.
        examples: retain text; default is the text that ships with the package. Examples that
            mention a subject are left out, since they ask for the opposite.
        progress: show a bar on stderr, if that is a terminal.

    Returns:
        A `down_proj` profile of rank n, the number of subjects, at each chosen layer.

    Raises:
        FitError: a subject does not tokenise, no retain text is left, or layers are missing.
        IncompatibleError: the model is not `base`'s, or its form is not understood.
    """
    decoder.check_dimensions(base, model)
    layers = _layers(config, base)
    given = retain.load_retain() if examples is None else tuple(examples)
    kept = [e for e in given if not any(e.mentions(subject) for subject in config.subjects)]
    if not kept:
        raise FitError(
            f"expected retain text that does not mention {', '.join(config.subjects)}, "
            f"found none in {len(given)} examples; give text about other things"
        )
    moments = second_moments(
        model,
        tokenizer,
        [_text(tokenizer, example) for example in kept],
        [Site(layer, "down_proj") for layer in layers],
        limits=config.limits,
        progress=progress,
    )
    projectors = _edit_layers(_Reader(model, tokenizer, config), moments)
    return Profile(
        base=base,
        projectors=projectors,
        method="rocr",
        hyperparameters={**asdict(config), "layers": layers},
        provenance={
            "retain_sha256": retain.digest(kept),
            "retain_examples": len(kept),
            "retain_left_out": len(given) - len(kept),
            "retain_tokens": next(iter(moments.values())).count,
            "dtype": str(model.dtype).removeprefix("torch."),
            "libraries": {name: metadata.version(name) for name in _LIBRARIES},
            "seed": None,
        },
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


def _layers(config: RocrConfig, base: BaseModel) -> tuple[int, ...]:
    layers = config.layers or default_layers(base.num_layers)
    if layers[0] < 0 or layers[-1] >= base.num_layers:
        raise FitError(
            f"layers: expected 0 to {base.num_layers - 1}, found {layers}; count blocks from 0"
        )
    return layers


def _text(tokenizer: Any, example: retain.Example) -> str:
    messages = [{"role": role, "content": content} for role, content in example.messages]
    return chat.render(tokenizer, messages) if messages else example.text


@dataclass(frozen=True)
class _Reader:
    """Reads activations at the last token of a word, averaged over the prompts."""

    model: nn.Module
    tokenizer: Any
    config: RocrConfig

    def at(self, words: Sequence[str], sites: Sequence[Site]) -> dict[Site, Tensor]:
        """For each site [words, d] float64."""
        rows = [self._one(word, sites) for word in words]
        return {site: torch.stack([row[site] for row in rows]) for site in sites}

    def _one(self, word: str, sites: Sequence[Site]) -> dict[Site, Tensor]:
        texts = [self._prompt(prompt.replace("{}", word)) for prompt in self.config.prompts]
        tokens = chat.encode(self.tokenizer, texts, self.config.limits.max_tokens)
        last = [chat.last_token_of(t, text, word) for t, text in zip(tokens, texts, strict=True)]
        found = activations.read(self.model, chat.pad(tokens), sites)
        rows = torch.arange(len(texts))
        return {s: x[rows, last].to("cpu", torch.float64).mean(dim=0) for s, x in found.items()}

    def _prompt(self, content: str) -> str:
        return chat.render(self.tokenizer, [{"role": "user", "content": content}], reply=True)


def _edit_layers(reader: _Reader, moments: dict[Site, SecondMoments]) -> tuple[Projector, ...]:
    sites = sorted(moments)
    end = Site(sites[-1].layer, "block")
    goal = reader.at([reader.config.target], [end])[end]
    done: list[Projector] = []
    for left, site in zip(range(len(sites), 0, -1), sites, strict=True):
        with reference.installed(reader.model, done):
            found = reader.at(reader.config.subjects, [site, end])
        A = key_factor(found[site], moments[site].mean, reader.config.ridge)
        B = (goal - found[end]) / left
        done.append(Projector(site, A.to(torch.float32), B.to(torch.float32)))
    return tuple(done)
