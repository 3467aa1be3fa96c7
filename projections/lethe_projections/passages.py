"""Examples as tokens, the answer told apart from the prompt. Knows nothing of losses."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lethe_projections import chat
from lethe_projections.errors import FitError
from lethe_projections.examples import Example
from lethe_projections.task import Task
from lethe_projections.words import whole


@dataclass(frozen=True)
class Passage:
    """One example, tokenised as the model is served it.

    Attributes:
        text: rendered.
        tokens: of prompt and answer.
        prompt: how many of them are prompt; 1 for plain text, whose every other token is predicted.
        end: past the answer's last own token; what the template puts behind it is no answer.
        begin: first character of the example's own text; before it are the template's words.
    """

    text: str
    tokens: chat.Tokens
    prompt: int
    end: int
    begin: int = 0

    @property
    def answered(self) -> bool:
        """Whether there is a token of an answer."""
        return self.prompt < self.end

    @property
    def answer(self) -> tuple[bool, ...]:
        """For each token, whether it is the answer's own."""
        return tuple(self.prompt <= place < self.end for place in range(len(self.tokens.ids)))

    @property
    def question(self) -> "Passage":
        """The prompt alone."""
        ids, offsets = self.tokens.ids[: self.prompt], self.tokens.offsets[: self.prompt]
        text = self.text[: offsets[-1][1]]
        return Passage(text, chat.Tokens(ids, offsets), self.prompt, self.prompt, self.begin)

    def mentions(self, words: Iterable[str]) -> tuple[bool, ...]:
        """For each token, whether it is of a whole word, or words, among those; in any case.

        The template's words before the example's own are never.
        """
        found = whole(words).finditer(self.text, self.begin)
        spans = [match.span() for match in found]
        return tuple(
            any(start < past and first < end for first, past in spans)
            for start, end in self.tokens.offsets
        )


@dataclass(frozen=True, eq=False)
class Passages:
    """Several, padded on the right.

    Attributes:
        rows: the passages.
        tokens: ids and mask, [b, t].
        prompt: [b], tokens of each row's prompt.
        answer: [b, t] bool, true on the answer's own tokens.
    """

    rows: tuple[Passage, ...]
    tokens: chat.Batch
    prompt: Tensor
    answer: Tensor

    @property
    def real(self) -> Tensor:
        """[b, t] bool, false on padding."""
        return self.tokens.attention_mask.bool()

    @property
    def reply(self) -> Tensor:
        """[b, t] bool: all tokens after the prompt, with those that the template puts behind it."""
        place = torch.arange(self.real.shape[1])
        return self.real & (place >= self.prompt[:, None])

    @property
    def replying(self) -> Tensor:
        """[b, t] bool: the last token of the prompt and those of the reply."""
        place = torch.arange(self.real.shape[1])
        return self.real & (place >= self.prompt[:, None] - 1)

    def after(self, template: int) -> Tensor:
        """[b, t] bool: tokens past a conversation's first `template`, or past a text's first."""
        begin = torch.where(self.prompt > 1, max(1, template), 1)
        return self.real & (torch.arange(self.real.shape[1]) >= begin[:, None])

    def marked(self, mark: Callable[[Passage], Sequence[bool]]) -> Tensor:
        """[b, t] bool: what `mark` says of each passage's tokens, false on padding."""
        return padded([mark(passage) for passage in self.rows])


def read(task: Task, examples: Iterable[Example]) -> list[Passage]:
    """Tokenises examples; a conversation that ends in a question ends where its reply begins.

    Raises:
        FitError: the chat template alters a question or an answer, or `max_tokens` cuts off the
            whole answer.
    """
    return [_passage(task, example) for example in examples]


def read_answered(task: Task, examples: Iterable[Example]) -> list[Passage]:
    """As `read`, of examples with an answer or plain text.

    Raises:
        FitError: an example ends in a question; or as `read`.
    """
    examples = tuple(examples)
    for example in examples:
        if example.messages and not example.answer:
            raise FitError(
                f"forget, line {example.line}: expected a question with its answer, since that is "
                "what is unlearned, found none; add it"
            )
    return read(task, examples)


def padded(marks: Sequence[Sequence[bool]]) -> Tensor:
    """[b, t] bool of rows of differing lengths, false past their ends."""
    return pad_sequence([torch.tensor(row) for row in marks], batch_first=True)


def with_answer(task: Task, example: Example, answer: str) -> Passage:
    """The example's question, answered otherwise.

    Raises:
        FitError: as `read`.
    """
    return _passage(task, Example((*example.prompt, ("assistant", answer)), line=example.line))


def continued(task: Task, head: str, rest: str) -> Passage:
    """Plain text that is a prompt up to the end of `head`."""
    text = chat.plain(task.tokenizer, head + rest)
    tokens = _encode(task, text)
    begin = len(text) - len(rest)
    prompt = sum(1 for _, end in tokens.offsets if end <= begin)
    return Passage(text, tokens, prompt, len(tokens.ids))


def collate(passages: Sequence[Passage]) -> Passages:
    """Joins passages to one batch."""
    tokens = chat.pad([passage.tokens for passage in passages])
    place = torch.arange(tokens.input_ids.shape[1])
    prompt = torch.tensor([passage.prompt for passage in passages])
    end = torch.tensor([passage.end for passage in passages])
    answer = (place >= prompt[:, None]) & (place < end[:, None])
    return Passages(tuple(passages), tokens, prompt, answer)


def template_tokens(passages: Iterable[Passage]) -> int:
    """How many tokens every conversation among them begins with."""
    ids = sorted(passage.tokens.ids for passage in passages if passage.prompt > 1)
    # All between the first and the last in order share at least what those two share.
    return chat.shared_prefix(ids[0], ids[-1]) if len(ids) > 1 else 0


def _passage(task: Task, example: Example) -> Passage:
    if not example.answer:
        text = task.render_prompt(example)
        tokens = _encode(task, text)
        prompt = len(tokens.ids) if example.messages else 1
        return Passage(text, tokens, prompt, len(tokens.ids), task.begin(example, text))
    text, head = task.render(example), task.render_prompt(example)
    begin = text.find(example.answer.strip(), len(head)) if text.startswith(head) else -1
    if begin < 0:
        raise FitError(
            f"line {example.line}: expected the chat template to keep question and answer as they "
            f"are, found them altered in {text!r:.200}; use plain {{'text'}} lines"
        )
    tokens = _encode(task, text)
    past = begin + len(example.answer.strip())
    prompt = sum(1 for _, end in tokens.offsets if end <= len(head))
    end = sum(1 for start, _ in tokens.offsets if start < past)
    found = Passage(text, tokens, prompt, end, task.begin(example, text))
    if not found.answered:
        raise FitError(
            f"line {example.line}: expected tokens of the answer among the first "
            f"{task.limits.max_tokens}, found none; shorten the question or raise max_tokens"
        )
    return found


def _encode(task: Task, text: str) -> chat.Tokens:
    return chat.encode(task.tokenizer, [text], task.limits.max_tokens)[0]
