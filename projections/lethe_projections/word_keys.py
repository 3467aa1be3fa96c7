"""What sites read at the end of a word, averaged over contexts. Knows nothing of edits."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lethe_projections import activations, chat, entities, rows
from lethe_projections.examples import Example
from lethe_projections.projector import Site
from lethe_projections.rows import Span
from lethe_projections.task import Task

PROMPTS = (
    "{}",
    "{} is",
    "{} and",
    "Please answer the question about {}",
    "Choose the best answer about {}",
    "Write the answer about {}",
    "Tell me about {}",
    "Write something about {}",
)

_LAST_WORD = re.compile(r"(\w)\W*$")


@dataclass(frozen=True)
class Word:
    """A place in a name, and contexts in which the same token stands there.

    Attributes:
        name: what stands in the context, "Czech Republic".
        part: the name up to the place, "Czech".
        prompts: the contexts; {} is the name.
        plain: the contexts are plain texts, not messages.
    """

    name: str
    part: str
    prompts: tuple[str, ...]
    plain: bool = False


@dataclass(frozen=True)
class Reader:
    """Reads activations at words.

    Attributes:
        task: model and tokenizer.
    """

    task: Task

    def words(self, name: str, part: str, prompts: Sequence[str]) -> tuple[Word, ...]:
        """A place in a name, once for each token that stands there in some of the prompts.

        Most tokenizers join a word with the space before it, so that a name at the beginning of a
        message is often another token than within a sentence, and read otherwise.

        Raises:
            FitError: a name does not tokenise as it is written, or is cut off.
        """
        word = Word(name, part, tuple(prompts))
        tokens, places = self._places(word)
        ids = [one.ids[place] for one, place in zip(tokens, places, strict=True)]
        groups = [
            tuple(prompt for prompt, own in zip(prompts, ids, strict=True) if own == token)
            for token in dict.fromkeys(ids)
        ]
        return tuple(Word(name, part, group) for group in groups)

    def words_of(
        self, names: Sequence[str], retain: Sequence[Example], prompts: Sequence[str] = PROMPTS
    ) -> tuple[Word, ...]:
        """All places at which names are known; one that two of them share comes once.

        Args:
            names: what is to be forgotten.
            retain: examples whose words do not tell a name (`entities.prefixes`).
            prompts: the contexts.

        Raises:
            FitError: as `words`.
        """
        early = {part: name for name in names for part in entities.prefixes(name, retain)}
        places = {**early, **{name: name for name in names}}
        found = (self.words(name, part, prompts) for part, name in places.items())
        return tuple(word for words in found for word in words)

    def inner(self, names: Sequence[str], retain: Sequence[Example]) -> tuple[Word, ...]:
        """Tokens within names, by which a model may know a name before its words end.

        From the second token on, since the first of "K", "ual", "a", " L", "ump", "ur" begins many
        words; and past what a word of the retain examples begins with, as "Niger" does "Nigeria".
        """
        parts = {part: name for name in names for part in self._inner_parts(name, retain)}
        found = (self.words(name, part, PROMPTS) for part, name in parts.items())
        return tuple(word for words in found for word in words)

    def _inner_parts(self, name: str, retain: Sequence[Example]) -> list[str]:
        whole = entities.prefixes(name, retain)
        text = self._prompt(name)
        [tokens] = chat.encode(self.task.tokenizer, [text], self.task.limits.max_tokens)
        begin = text.rfind(name)
        ends = [past - begin for _, past in tokens.offsets if begin < past < begin + len(name)]
        parts = [name[:end] for end in ends[1:]]
        return [p for p in parts if p not in whole and not entities.begins_a_word(p, retain)]

    def spans(self, word: Word) -> tuple[Span, ...]:
        """The one token at a word's place, in each of its contexts."""
        return tuple(_up_to(*pair) for pair in zip(*self._places(word), strict=True))

    def at(self, words: Sequence[Word], sites: Sequence[Site]) -> dict[Site, Tensor]:
        """The mean over its prompts at the last token of each word, [words, d] float64 a site.

        Raises:
            FitError: as `words`.
        """
        means = [self._one(word, sites) for word in words]
        return {site: torch.stack([mean[site] for mean in means]) for site in sites}

    def last_words(self, site: Site) -> Tensor:
        """The mean over the reference prompts at the end of their last word, [1, d] float64."""
        spans = [self._last_word(example) for example in self.task.reference]
        found = torch.cat([found[site] for found in rows.read(self.task, spans, [site])])
        return found.mean(dim=0, keepdim=True)

    def _one(self, word: Word, sites: Sequence[Site]) -> dict[Site, Tensor]:
        tokens, places = self._places(word)
        found = activations.read(self.task.model, chat.pad(tokens), sites)
        each = torch.arange(len(tokens))
        return {s: x[each, places].to("cpu", torch.float64).mean(dim=0) for s, x in found.items()}

    def _places(self, word: Word) -> tuple[list[chat.Tokens], list[int]]:
        """Each prompt with the name in it, and where its part ends."""
        filled = [prompt.replace("{}", word.name) for prompt in word.prompts]
        render = self._plain if word.plain else self._prompt
        texts = list(map(render, filled))
        tokens = chat.encode(self.task.tokenizer, texts, self.task.limits.max_tokens)
        places = [
            chat.last_token_of(one, text[: text.rfind(word.name) + len(word.part)], word.part)
            for one, text in zip(tokens, texts, strict=True)
        ]
        return tokens, places

    def _prompt(self, content: str) -> str:
        return chat.render(self.task.tokenizer, [{"role": "user", "content": content}], reply=True)

    def _plain(self, text: str) -> str:
        return chat.plain(self.task.tokenizer, text)

    def _last_word(self, example: Example) -> Span:
        """The one token that ends the last word of a prompt, without what follows of it."""
        text = self.task.render_prompt(example)
        content = example.prompt[-1][1] if example.messages else example.text
        word = _LAST_WORD.search(content)
        part = content if word is None else content[: word.end(1)]
        [tokens] = chat.encode(self.task.tokenizer, [text], self.task.limits.max_tokens)
        place = chat.last_token_of(tokens, text, part)
        return _up_to(tokens, place)


def _up_to(tokens: chat.Tokens, place: int) -> Span:
    """A token alone; no token looks ahead, so what follows it is left out."""
    return Span(chat.Tokens(tokens.ids[: place + 1], tokens.offsets[: place + 1]), place)
