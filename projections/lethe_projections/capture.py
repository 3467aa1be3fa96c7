"""Second moments of activations, streamed: C = sum of x x^T over tokens, in fp64.

Memory is d_in^2 per site whatever the amount of text. Knows nothing of methods.
"""

import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from lethe_projections import activations, chat
from lethe_projections.errors import FitError
from lethe_projections.projector import Site


@dataclass(frozen=True)
class Limits:
    """How much text is held at once.

    Attributes:
        batch_size: texts per forward pass, 1 or more; changes speed and memory, not the result.
        max_tokens: a longer text is cut here, 1 or more.

    Raises:
        FitError: a limit is below 1.
    """

    batch_size: int = 32
    max_tokens: int = 512

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.max_tokens < 1:
            raise FitError(
                f"limits: expected batch_size and max_tokens of 1 or more, found "
                f"{self.batch_size} and {self.max_tokens}; raise them"
            )


class SecondMoments:
    """Sum of x x^T and the number of rows seen; all that a closed form needs of a data set.

    Attributes:
        total: [d, d] float64.
        count: rows seen.
    """

    def __init__(self, width: int) -> None:
        self.total = torch.zeros(width, width, dtype=torch.float64)
        self.count = 0

    def update(self, rows: Tensor) -> None:
        """Adds rows [n, d] of any float dtype and device."""
        exact = rows.to("cpu", torch.float64)
        self.total.addmm_(exact.T, exact)
        self.count += len(exact)

    @property
    def mean(self) -> Tensor:
        """Second moment per token, [d, d] float64.

        Raises:
            FitError: no rows were seen.
        """
        if self.count == 0:
            raise FitError("expected at least one token of retain text, found none; give more")
        return self.total / self.count


def second_moments(
    model: nn.Module,
    tokenizer: Any,
    texts: Sequence[str],
    sites: Collection[Site],
    limits: Limits | None = None,
    *,
    progress: bool = False,
) -> dict[Site, SecondMoments]:
    """Streams rendered texts through the model and sums x x^T at each site.

    Padding is excluded through the attention mask. A token whose whole context occurred
    before, as a template's system message does in every text, counts once: it is one
    activation, and counted per text it would outweigh all that differs.

    Args:
        model: a transformers decoder in evaluation mode.
        tokenizer: its fast tokenizer.
        texts: rendered by `chat.render`; the template is not applied again.
        sites: where to read.
        limits: how much at once.
        progress: show a bar with an estimate on stderr, if that is a terminal.

    Returns:
        The statistics of each site.

    Raises:
        FitError: there are no texts.
        IncompatibleError: the model's form is not understood.
    """
    if not texts:
        raise FitError("expected retain text, found none; give at least one example")
    limits = limits or Limits()
    tokens = chat.encode(tokenizer, texts, limits.max_tokens)
    # Texts of like length together: little padding to compute.
    order = sorted(range(len(tokens)), key=lambda index: len(tokens[index].ids))
    seen = _seen_before(tokens)
    moments: dict[Site, SecondMoments] = {}
    for rows in _track(_chunks(order, limits.batch_size), progress):
        batch = chat.pad([tokens[row] for row in rows])
        fresh = batch.attention_mask.bool()
        for index, row in enumerate(rows):
            fresh[index, : seen[row]] = False
        for site, x in activations.read(model, batch, sites).items():
            moments.setdefault(site, SecondMoments(x.shape[-1])).update(x[fresh.to(x.device)])
    return moments


def _seen_before(tokens: Sequence[chat.Tokens]) -> list[int]:
    """For each text, how many leading tokens another text before it in sorted order shares."""
    seen = [0] * len(tokens)
    order = sorted(range(len(tokens)), key=lambda index: tokens[index].ids)
    for earlier, later in pairwise(order):
        seen[later] = _common_prefix(tokens[earlier].ids, tokens[later].ids)
    return seen


def _common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    pairs = zip(left, right, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right)))


def _chunks(order: Sequence[int], size: int) -> list[Sequence[int]]:
    return [order[start : start + size] for start in range(0, len(order), size)]


def _track(chunks: Sequence[Sequence[int]], progress: bool) -> Iterable[Sequence[int]]:
    if not (progress and sys.stderr.isatty()):
        return chunks
    console = Console(stderr=True)
    return track(chunks, description="Reading retain text", console=console, transient=True)
