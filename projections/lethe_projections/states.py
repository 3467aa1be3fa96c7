"""Teacher-forced passes through a transformers model: what it computes before each given token.

Texts that begin alike, as chats under one system message do, share one pass over that beginning.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lethe_projections import reference
from lethe_projections.profile import Profile

BATCH = 32
"""Rows that share a pass, unless told otherwise."""


@dataclass(frozen=True)
class Row:
    """A prompt and what follows it.

    Attributes:
        ids: all token ids.
        prompt: how many of them are the prompt; at least one, and fewer than all.
    """

    ids: tuple[int, ...]
    prompt: int

    @property
    def following(self) -> tuple[int, ...]:
        """The ids past the prompt."""
        return self.ids[self.prompt :]


def editing(
    model: Any, profile: Profile | None, prompt_tokens: Tensor | int
) -> AbstractContextManager[Any]:
    """The profile's edits on `model`, or nothing for the base."""
    if profile is None:
        return nullcontext()
    return reference.edited(model, profile, prompt_tokens)


@torch.no_grad()
def final_states(
    model: Any, rows: Sequence[Row], profile: Profile | None, batch: int = BATCH
) -> list[Tensor]:
    """The last normalised hidden states that predict each token past the prompt.

    Args:
        model: transformers decoder.
        rows: of any lengths.
        profile: whose edits; None for the base.
        batch: rows a pass; it changes no more than the last bits.

    Returns:
        For each row [len(row.following), hidden] float32; the output embedding makes them logits.
    """
    found: dict[int, Tensor] = {}
    for indices in _batches(rows, batch):
        together = [rows[index] for index in indices]
        found.update(zip(indices, _one_batch(model, together, profile), strict=True))
    return [found[index] for index in range(len(rows))]


@torch.no_grad()
def logits(model: Any, states: Tensor) -> Tensor:
    """[t, vocabulary] float32 of final states [t, hidden]."""
    found: Tensor = model.get_output_embeddings()(states)
    return found.float()


def log_probabilities(model: Any, states: Tensor) -> Tensor:
    """[t, vocabulary] float32 of final states [t, hidden]."""
    return logits(model, states).log_softmax(-1)


def _batches(rows: Sequence[Row], batch: int) -> Iterator[list[int]]:
    """Rows of like length together, those that begin with the same token apart from the others."""
    first = [row.ids[0] for row in rows]
    common = max(set(first), key=lambda token: (first.count(token), token), default=0)
    for group in (True, False):
        indices = [index for index, token in enumerate(first) if (token == common) == group]
        indices.sort(key=lambda index: len(rows[index].ids))
        for start in range(0, len(indices), batch):
            yield indices[start : start + batch]


def _one_batch(model: Any, rows: Sequence[Row], profile: Profile | None) -> list[Tensor]:
    shared = _shared(rows)
    cache = _prefix(model, rows[0].ids[:shared], len(rows), profile) if shared else None
    ids = pad_sequence([torch.tensor(row.ids[shared:-1]) for row in rows], batch_first=True)
    lengths = torch.tensor([len(row.ids) - 1 for row in rows])
    mask = torch.arange(shared + ids.shape[1]) < lengths[:, None]
    with editing(model, profile, torch.tensor([row.prompt for row in rows])):
        states = model(
            input_ids=ids,
            attention_mask=mask.long(),
            past_key_values=cache,
            use_cache=cache is not None,
            output_hidden_states=True,
            logits_to_keep=1,
        ).hidden_states[-1]
    return [
        states[index, row.prompt - 1 - shared : len(row.ids) - 1 - shared].clone()
        for index, row in enumerate(rows)
    ]


def _shared(rows: Sequence[Row]) -> int:
    """How many leading tokens all rows have in common, the last of a prompt never among them."""
    columns = zip(*(row.ids[: row.prompt - 1] for row in rows), strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))


def _prefix(model: Any, ids: Sequence[int], copies: int, profile: Profile | None) -> Any:
    """Keys and values of tokens that end before any row's last prompt token."""
    with editing(model, profile, len(ids) + 2):
        out = model(input_ids=torch.tensor([ids]), use_cache=True, logits_to_keep=1)
    out.past_key_values.batch_repeat_interleave(copies)
    return out.past_key_values
