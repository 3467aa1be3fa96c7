"""Greedy continuations by a transformers model, several prompts at once.

Knows nothing of what is asked.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from lethe_projections.profile import Profile
from lethe_projections.states import editing


@torch.no_grad()
def greedy(
    model: Any,
    prompts: Sequence[Sequence[int]],
    profile: Profile | None,
    max_tokens: int,
    ends: Sequence[int],
) -> list[list[int]]:
    """The likeliest token after the other, padded on the left so that prompts end in one column.

    What the model's own settings of generation say, such as a repetition penalty, has no part.

    Args:
        model: transformers decoder.
        prompts: token ids, of any lengths; all run in one batch.
        profile: whose edits; None for the base.
        max_tokens: of a continuation.
        ends: tokens that end one, which is its last then.
    """
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + [*p] for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    with editing(model, profile, width), _unsettled(model):
        out = model.generate(
            ids, attention_mask=mask, max_new_tokens=max_tokens, do_sample=False,
            eos_token_id=list(ends), pad_token_id=ends[0],
        )  # fmt: skip
    return [_until(ends, row) for row in out[:, width:].tolist()]


@contextmanager
def _unsettled(model: Any) -> Iterator[None]:
    """Without the model's own settings, which transformers fills in where none are given."""
    own = model.generation_config
    model.generation_config = type(own)()
    try:
        yield
    finally:
        model.generation_config = own


def _until(ends: Sequence[int], ids: list[int]) -> list[int]:
    """Up to and with the token that ends a reply."""
    stop = next((at for at, token in enumerate(ids) if token in ends), len(ids))
    return ids[: stop + 1]
