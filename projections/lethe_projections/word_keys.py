"""What sites read at the end of a word, averaged over contexts. Knows nothing of edits."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from lethe_projections import activations, chat, rows
from lethe_projections.examples import Example
from lethe_projections.projector import Site
from lethe_projections.rows import Span
from lethe_projections.task import Task

PROMPTS = (
    "Please answer the question about {}",
    "Choose the best answer about {}",
    "Write the answer about {}",
    "Tell me about {}",
    "Write something about {}",
)

_LAST_WORD = re.compile(r"(\w)\W*$")


@dataclass(frozen=True)
class Word:
    """A place in a name.

    Attributes:
        name: what stands in the context, "Czech Republic".
        part: the name up to the place, "Czech".
        opening: the name stands within a sentence (empty), or a `message` or a `text` begins with
            it: other tokens, as a rule, since most tokenizers join a word with the space before it.
    """

    name: str
    part: str
    opening: str = ""

    @classmethod
    def whole(cls, name: str) -> Self:
        """The name's end."""
        return cls(name, name)


@dataclass(frozen=True)
class Reader:
    """Reads activations at words.

    Attributes:
        task: model and tokenizer.
        prompts: contexts; {} is the name.
    """

    task: Task
    prompts: tuple[str, ...] = PROMPTS

    def at(self, words: Sequence[Word], sites: Sequence[Site]) -> dict[Site, Tensor]:
        """The mean over the prompts at the last token of each word, [words, d] float64 a site.

        Raises:
            FitError: a name does not tokenise as it is written, or is cut off.
        """
        means = [self._one(word, sites) for word in words]
        return {site: torch.stack([mean[site] for mean in means]) for site in sites}

    def last_words(self, site: Site) -> Tensor:
        """The mean over the reference prompts at the end of their last word, [1, d] float64."""
        spans = [self._last_word(example) for example in self.task.reference]
        found = torch.cat([found[site] for found in rows.read(self.task, spans, [site])])
        return found.mean(dim=0, keepdim=True)

    def _one(self, word: Word, sites: Sequence[Site]) -> dict[Site, Tensor]:
        texts = self._texts(word)
        tokens = chat.encode(self.task.tokenizer, texts, self.task.limits.max_tokens)
        last = [
            chat.last_token_of(one, text[: text.rfind(word.name) + len(word.part)], word.part)
            for one, text in zip(tokens, texts, strict=True)
        ]
        found = activations.read(self.task.model, chat.pad(tokens), sites)
        each = torch.arange(len(texts))
        return {s: x[each, last].to("cpu", torch.float64).mean(dim=0) for s, x in found.items()}

    def _texts(self, word: Word) -> list[str]:
        if word.opening == "text":
            return [word.name]
        prompts = ("{}",) if word.opening else self.prompts
        return [self._prompt(prompt.replace("{}", word.name)) for prompt in prompts]

    def _prompt(self, content: str) -> str:
        return chat.render(self.task.tokenizer, [{"role": "user", "content": content}], reply=True)

    def _last_word(self, example: Example) -> Span:
        """The one token that ends the last word of a prompt, without what follows of it."""
        text = self.task.render_prompt(example)
        content = example.prompt[-1][1] if example.messages else example.text
        word = _LAST_WORD.search(content)
        part = content if word is None else content[: word.end(1)]
        [tokens] = chat.encode(self.task.tokenizer, [text], self.task.limits.max_tokens)
        place = chat.last_token_of(tokens, text, part)
        head = chat.Tokens(tokens.ids[: place + 1], tokens.offsets[: place + 1])
        return Span(head, place)
