"""Answers by transformers in this process, with the reference edit: no server, whole vocabulary."""

from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from lethe_projections import artifact, base_model, chat, generation, states
from lethe_projections.errors import ArtifactError
from lethe_projections.evaluation.metrics import divergence
from lethe_projections.evaluation.metrics.extraction_strength import extraction_strength
from lethe_projections.evaluation.prompt import Prompt
from lethe_projections.examples import Example
from lethe_projections.states import Row
from lethe_server.evaluating import conversing
from lethe_server.evaluating.answering import (
    LEAST,
    MOST,
    Answered,
    Diverged,
    Subject,
    Told,
    options,
)
from lethe_server.fitting import Checkpoint

_NO_TOKEN = -1

_DIVERGENCE = "KL(base || variant) a token in nats, over the whole vocabulary"


class InProcess:
    """An `Answerer`: a loaded model, and a profile's file.

    Attributes:
        profile: what the file holds.
    """

    def __init__(
        self, checkpoint: Checkpoint, file: Path, max_tokens: int = 24, batch: int = states.BATCH
    ) -> None:
        """Reads the profile.

        Args:
            checkpoint: the base model, on the CPU.
            file: an artifact.
            max_tokens: of an answer.
            batch: prompts a pass.

        Raises:
            ArtifactError: the file is no profile.
            IncompatibleError: it is for another model.
        """
        try:
            data = file.read_bytes()
        except OSError as error:
            raise ArtifactError(
                f"{file}: expected a readable file, found {error.strerror}; check the path"
            ) from error
        self.profile = artifact.from_bytes(data)
        base_model.check(self.profile.base, checkpoint.base)
        self._model, self._tokenizer = checkpoint.model, checkpoint.tokenizer
        self._max_tokens, self._batch = max_tokens, batch
        self.subject = Subject(
            profile=file.stem,
            digest=artifact.digest(data),
            method=self.profile.method,
            model=checkpoint.base.fingerprint,
            by="offline",
            engine=f"transformers {metadata.version('transformers')}",
            dtype=str(self._model.dtype).removeprefix("torch."),
            template=self._template(),
            unread="",
            divergence=_DIVERGENCE,
        )

    def answers(self, prompts: Sequence[Prompt], edited: bool) -> Told[Prompt, Answered]:
        """See `Answerer`."""
        profile = self.profile if edited else None
        said = [one for one in prompts if not one.wrong]
        for part in self._parts(said, [len(self._ids(self._rendered(one))) for one in said]):
            yield from zip(part, self._said(part, profile), strict=True)
        ranked = [one for one in prompts if one.wrong]
        for part in self._parts(ranked, [len(self._ids(self._rendered(one))) for one in ranked]):
            yield from zip(part, self._ranked(part, profile), strict=True)

    def readable(self, texts: Sequence[Example]) -> tuple[Example, ...]:
        """See `Answerer`."""
        return tuple(text for text in texts if self.text_row(text).following)

    def divergences(self, texts: Sequence[Example]) -> Told[Example, Diverged]:
        """See `Answerer`."""
        rows = {text: self.text_row(text) for text in texts}
        for part in self._parts(texts, [len(rows[text].ids) for text in texts]):
            asked = [rows[text] for text in part]
            base, variant = (
                states.final_states(self._model, asked, profile, self._batch)
                for profile in (None, self.profile)
            )
            for text, row, *both in zip(part, asked, base, variant, strict=True):
                yield text, self._diverged(row, *both)

    def row(self, prompt: Prompt, following: str) -> Row:
        """A prompt, as the model is given it, and what follows it."""
        before = self._rendered(prompt)
        ids = self._ids(before + following)
        return Row(tuple(ids), conversing.begin(ids, self._ids(before)))

    def text_row(self, text: Example) -> Row:
        """A text that should not change, of which the reply, or the second half, is read.

        Of one that is not readable nothing follows the prompt.
        """
        if text.text:
            ids = self._ids(chat.plain(self._tokenizer, text.text))
            return Row(tuple(ids), conversing.begin(ids, None))
        messages = [{"role": role, "content": content} for role, content in text.prompt]
        before = chat.render(self._tokenizer, messages, reply=True)
        ids = self._ids(before + text.answer)
        return Row(tuple(ids), conversing.begin(ids, self._ids(before)))

    def _parts(self, items: Sequence[Any], lengths: Sequence[int]) -> Iterator[list[Any]]:
        """Batches of like length, so that little is padding."""
        order = sorted(range(len(items)), key=lambda at: (lengths[at], at))
        for start in range(0, len(order), self._batch):
            yield [items[at] for at in order[start : start + self._batch]]

    def _said(self, prompts: Sequence[Prompt], profile: Any) -> list[Answered]:
        ids = [self._ids(self._rendered(prompt)) for prompt in prompts]
        found = generation.greedy(self._model, ids, profile, self._max_tokens, self._ends)
        texts = self._tokenizer.batch_decode(found, skip_special_tokens=True)
        return [Answered(text=text) for text in texts]

    def _ranked(self, prompts: Sequence[Prompt], profile: Any) -> list[Answered]:
        rows = [self.row(prompt, one) for prompt in prompts for one in options(prompt)]
        found = iter(states.final_states(self._model, rows, profile, self._batch))
        told = iter([self._told(row, state) for row, state in zip(rows, found, strict=True)])
        answered = []
        for prompt in prompts:
            own = [next(told) for _ in options(prompt)]
            means = tuple(mean for mean, _ in own)
            answered.append(Answered(likelihoods=means, strength=own[0][1]))
        return answered

    def _told(self, row: Row, state: torch.Tensor) -> tuple[float, float]:
        """Mean log-likelihood and extraction strength of what follows a row's prompt."""
        found = states.log_probabilities(self._model, state)
        mean = _at(found, row).mean()
        likeliest = found.argmax(-1).masked_fill(found.isnan().any(-1), _NO_TOKEN)
        return float(mean), extraction_strength(likeliest.tolist(), row.following)

    @torch.no_grad()
    def _diverged(self, row: Row, *both: torch.Tensor) -> Diverged:
        base, variant = (states.log_probabilities(self._model, one) for one in both)
        kl = divergence.per_token(base, variant).nan_to_num(nan=MOST).clamp_max(MOST)
        return Diverged(
            kl=float(kl.sum()),
            base=-float(_at(base, row).sum()),
            variant=-float(_at(variant, row).sum()),
            tokens=len(row.following),
        )

    def _rendered(self, prompt: Prompt) -> str:
        return prompt.render(self._tokenizer)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _template(self) -> str | None:
        if not self._tokenizer.chat_template:
            return None
        said = chat.render(self._tokenizer, conversing.SAMPLE, reply=True)
        return conversing.fingerprint(self._ids(said))

    @property
    def _ends(self) -> list[int]:
        """What ends an answer, by the tokenizer and by the model's own settings."""
        said = self._model.generation_config.eos_token_id
        more = said if isinstance(said, list) else [said]
        ends = dict.fromkeys([self._tokenizer.eos_token_id, *more])
        return [end for end in ends if end is not None]


def _at(log_probabilities: torch.Tensor, row: Row) -> torch.Tensor:
    """[t] float64, of the tokens that follow a row's prompt."""
    places = torch.arange(len(row.following))
    found = log_probabilities[places, torch.tensor(row.following)]
    return found.double().nan_to_num(nan=LEAST).clamp_min(LEAST)
