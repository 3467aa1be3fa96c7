"""Measures one variant, or the base, item by item; what the work folder has is not done again."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.methods import greedy, likelihood, store
from benchmarks.methods.forms import Item
from benchmarks.methods.likelihood import Passage
from benchmarks.methods.states import Row, final_states
from benchmarks.methods.store import Records
from lethe_projections.evaluation import scoring
from lethe_projections.examples import Example
from lethe_projections.profile import Profile
from lethe_projections.task import Task
from lethe_server.fitting import Checkpoint

BASE = "base"


@dataclass(frozen=True)
class Shelf:
    """Where the measurements of one base model are kept.

    Attributes:
        folder: of that model, in the work folder.
        answered: by what answers were generated, "engine" or "transformers".
    """

    folder: Path
    answered: str

    def answers(self, digest: str) -> Records:
        """Continuations of a variant, or of `BASE`."""
        return Records(self.folder / f"answers-{self.answered}" / f"{digest}.jsonl")

    def likelihood(self, digest: str) -> Records:
        """Rankings and divergences."""
        return Records(self.folder / "likelihood" / f"{digest}.jsonl")

    def known(self, items: Sequence[Item]) -> list[Item]:
        """Those that the base recovers, once it has been measured."""
        answers, rankings = self.answers(BASE), self.likelihood(BASE)
        return [item for item in items if recovered(item, answers, rankings)]

    def missing(self, items: Sequence[Item], digest: str) -> list[Item]:
        """Items to be answered by generation that are not there yet."""
        found = self.answers(digest)
        return [item for item in items if not item.options and item.key not in found]


def recovered(item: Item, answers: Records, rankings: Records) -> bool:
    """Whether the measured model brought up what the item asks for."""
    if item.options:
        return scoring.ranked_first(rankings[item.key]["scores"])
    return item.recovered(answers[item.key]["text"])


@dataclass(frozen=True)
class Measurer:
    """Measures with transformers on one loaded model.

    Attributes:
        checkpoint: the base model.
        shelf: where results go.
        items: every item that is evaluated.
        texts: held out from fits, for KL.
    """

    checkpoint: Checkpoint
    shelf: Shelf
    items: tuple[Item, ...]
    texts: tuple[Example, ...]

    def base(self) -> None:
        """The base: rankings, and answers unless an engine gives them."""
        self._rank(self.items, BASE, None)
        missing = self.shelf.missing(self.items, BASE)
        if missing and self.shelf.answered == "transformers":
            self.shelf.answers(BASE).add(greedy.base_answers(*self._model, missing))
        self._base_states  # noqa: B018

    def variant(self, profile: Profile, digest: str) -> None:
        """A variant: rankings, divergences, and answers unless an engine gives them."""
        self._rank(self.shelf.known([item for item in self.items if item.options]), digest, profile)
        self._diverge(digest, profile)
        if self.shelf.answered == "transformers":
            self._answer(digest, profile)

    @property
    def _model(self) -> tuple[Any, Any]:
        return self.checkpoint.model, self.checkpoint.tokenizer

    def _rank(self, items: Sequence[Item], digest: str, profile: Profile | None) -> None:
        found = self.shelf.likelihood(digest)
        missing = [item for item in items if item.options and item.key not in found]
        if missing:
            found.add(likelihood.rankings(*self._model, missing, profile))

    def _answer(self, digest: str, profile: Profile) -> None:
        base = self.shelf.answers(BASE)
        missing = self.shelf.missing(self.shelf.known(self.items), digest)
        if missing:
            pairs = [(item, base[item.key]) for item in missing]
            self.shelf.answers(digest).add(greedy.answers(*self._model, pairs, profile))

    def _diverge(self, digest: str, profile: Profile) -> None:
        found = self.shelf.likelihood(digest)
        missing = [text for text in self.texts if likelihood.text_key(text) not in found]
        if missing:
            base = dict(zip(self.texts, self._base_states, strict=True))
            rows = dict(zip(self.texts, self._rows, strict=True))
            passages = [Passage(text, rows[text], base[text]) for text in missing]
            found.add(likelihood.divergences(self.checkpoint.model, passages, profile))

    @cached_property
    def _rows(self) -> list[Row]:
        task = Task(self.checkpoint.model, self.checkpoint.tokenizer, self.checkpoint.base)
        return [likelihood.text_row(task, text) for text in self.texts]

    @cached_property
    def _base_states(self) -> list[Tensor]:
        name = store.key([row.ids for row in self._rows])[:32]
        path = self.shelf.folder / "states" / f"{name}.safetensors"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            states = final_states(self.checkpoint.model, self._rows, None)
            part = path.with_suffix(".part")
            save_file({f"{index}": state for index, state in enumerate(states)}, part)
            part.replace(path)
        found = load_file(path)
        return [found[f"{index}"] for index in range(len(self._rows))]
