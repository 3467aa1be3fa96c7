"""One pass of text through a model: second moments of what sites read, text streamed.

Memory is d_in^2 per site and one window of text, whatever the amount of text. Knows nothing of
methods.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lethe_projections import activations, chat, moments_store
from lethe_projections.errors import FitError
from lethe_projections.moments import SecondMoments
from lethe_projections.moments_store import Place, Store, Sums
from lethe_projections.progress import Progress
from lethe_projections.projector import Site
from lethe_projections.windows import Row, Window, windows

__all__ = ["Limits", "SecondMoments", "second_moments"]


@dataclass(frozen=True)
class Limits:
    """How text is read.

    Attributes:
        batch_size: texts per forward pass, 1 or more; changes speed and memory, not the result.
        max_tokens: a longer text is cut here, 1 or more.
        special_tokens: whether special tokens count. They do by default: with them left out
            nothing holds an edit shut there, and on SmolLM2-135M a rank-one edit's gate opened 2
            to 7 times as far on them (mean over blocks 1 to 4 on <|im_start|>: 0.011 to 0.048),
            with no gain elsewhere.
        store: a folder where sums are kept, so that a pass that was killed goes on and a finished
            one is not made twice; None for neither. One file a pass, 8 d^2 bytes per site.
        save_every: seconds between two saves.

    Raises:
        FitError: a limit is out of range.
    """

    batch_size: int = 32
    max_tokens: int = 512
    special_tokens: bool = True
    store: Path | None = None
    save_every: float = 60.0

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.max_tokens < 1:
            raise FitError(
                f"limits: expected batch_size and max_tokens of 1 or more, found "
                f"{self.batch_size} and {self.max_tokens}; raise them"
            )
        if not self.save_every >= 0:
            raise FitError(
                f"limits: expected save_every of 0 seconds or more, found {self.save_every}; "
                "raise it"
            )


def second_moments(
    model: nn.Module,
    tokenizer: Any,
    texts: Iterable[str],
    sites: Collection[Site],
    limits: Limits | None = None,
    *,
    progress: bool = False,
) -> dict[Site, SecondMoments]:
    """Streams rendered texts through the model and sums x x^T at each site.

    Sums are fp64 on the model's device. Padding is excluded. A token whose whole context occurred
    before in its window of some 2000 texts, as a template's system message does in every text,
    counts once: it is one activation, and counted per text it would outweigh all that differs.

    Args:
        model: a transformers decoder in evaluation mode. With hooks on it is another function than
            its weights say, so its sums are neither stored nor taken from the store.
        tokenizer: its fast tokenizer.
        texts: rendered by `chat.render`; the template is not applied again. Read as needed.
        sites: where to read, at least one.
        limits: how much at once, what counts, and where sums are kept.
        progress: show on stderr how far it is and how long it will take.

    Returns:
        The statistics of each site.

    Raises:
        FitError: there are no texts; or the store holds another text's sums, or a damaged file.
        IncompatibleError: the model's form is not understood.
        OSError: the store cannot be written.
    """
    reader = _Reader(model, tokenizer, tuple(sorted(set(sites))), limits or Limits())
    stream = windows(tokenizer, texts, reader.limits.max_tokens)
    first = next(stream, None)
    if first is None:
        raise FitError("expected retain text, found none; give at least one example")
    with ExitStack() as stack:
        store = reader.open_store(stack, first)
        shown = stack.enter_context(Progress(texts, "reading retain text", progress))
        return reader.sums(chain([first], stream), store, shown).moments


@dataclass(frozen=True)
class _Reader:
    """Where to read and how."""

    model: nn.Module
    tokenizer: Any
    sites: tuple[Site, ...]
    limits: Limits

    def open_store(self, stack: ExitStack, first: Window) -> Store | None:
        """This pass's file, locked until the stack closes; None where nothing is kept."""
        if self.limits.store is None or _hooked(self.model):
            return None
        key = moments_store.key(
            self.model,
            sites=[str(site) for site in self.sites],
            limits=[self.limits.batch_size, self.limits.max_tokens, self.limits.special_tokens],
            special_ids=chat.special_ids(self.tokenizer),
            first=first.digest.hex(),
        )
        opened = moments_store.opened(self.limits.store, key, self.limits.save_every)
        return stack.enter_context(opened)

    def sums(self, stream: Iterable[Window], store: Store | None, shown: Progress) -> Sums:
        """Goes on from what is stored to the end of the stream."""
        device = next(self.model.parameters()).device
        sums = Sums() if store is None else store.load(self.sites, device)
        number, texts = -1, ""
        for number, window in enumerate(stream):
            texts = moments_store.follow(texts, window)
            skip = sums.place.rows_to_skip(number, window, texts)
            for rows in self._batches(window, skip, shown):
                self._add(rows, sums.moments)
                skip += len(rows)
                sums.place = Place(number, skip, texts)
                if store is not None:
                    store.save_if_due(sums)
        sums.place.end(number)
        if store is not None and not sums.place.finished:
            sums.place = replace(sums.place, finished=True)
            store.save(sums)
        return sums

    def _batches(self, window: Window, skip: int, shown: Progress) -> Iterator[Sequence[Row]]:
        shown.expect(window.texts, window.tokens)
        shown.skip(window.texts - len(window.rows) + skip, _tokens(window.rows[:skip]))
        for start in range(skip, len(window.rows), self.limits.batch_size):
            rows = window.rows[start : start + self.limits.batch_size]
            yield rows
            shown.advance(len(rows), _tokens(rows))

    def _add(self, rows: Sequence[Row], moments: dict[Site, SecondMoments]) -> None:
        batch = chat.pad(rows)
        counted = self._counted(rows, batch)
        for site, x in activations.read(self.model, batch, self.sites).items():
            if site not in moments:
                moments[site] = SecondMoments(x.shape[-1], x.device)
            moments[site].update(x[counted.to(x.device)])

    def _counted(self, rows: Sequence[Row], batch: chat.Batch) -> Tensor:
        """[b, t] bool."""
        place = torch.arange(batch.input_ids.shape[1])
        counted = batch.attention_mask.bool() & (
            place >= torch.tensor([row.seen for row in rows])[:, None]
        )
        if self.limits.special_tokens:
            return counted
        special = torch.tensor(chat.special_ids(self.tokenizer))
        return counted & ~torch.isin(batch.input_ids, special)


def _tokens(rows: Sequence[Row]) -> int:
    return sum(len(row.ids) for row in rows)


def _hooked(model: nn.Module) -> bool:
    return any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
