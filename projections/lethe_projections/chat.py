"""From messages to token batches: the chat template applied once, special tokens written once.

Special tokens are written into the text, by the template or, where there is none, by `plain`;
`encode` reads them there and adds none.

Knows nothing of models. A tokenizer is any "fast" one of transformers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Protocol

import torch
from jinja2 import TemplateError
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lethe_projections.errors import FitError

Message = dict[str, str]
"""`{"role": "user", "content": "..."}`"""


@dataclass(frozen=True)
class Tokens:
    """One tokenised text.

    Attributes:
        ids: token ids.
        offsets: each token's first and past-the-end character in the text.
    """

    ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]


class HasIds(Protocol):
    """`Tokens`, or whatever else has token ids."""

    @property
    def ids(self) -> tuple[int, ...]: ...


@dataclass(frozen=True, eq=False)
class Batch:
    """Texts padded on the right to the longest.

    Attributes:
        input_ids: [b, t] int64.
        attention_mask: [b, t] int64, 1 on real tokens.
    """

    input_ids: Tensor
    attention_mask: Tensor


def render(tokenizer: Any, messages: Sequence[Message], reply: bool = False) -> str:
    """The conversation as the model is served it, special tokens included.

    Without a chat template (a base model), the contents joined by newlines, as `plain` text.

    Args:
        tokenizer: with or without a chat template.
        messages: one conversation.
        reply: end where the assistant's reply begins.

    Raises:
        FitError: a message holds a special token that the template writes, as text does to which
            a template was applied before.
    """
    if not tokenizer.chat_template:
        return plain(tokenizer, "\n".join(message["content"] for message in messages))
    for message in messages:
        _check_untemplated(tokenizer, message["content"])
    return _templated(tokenizer, messages, reply)


def plain(tokenizer: Any, text: str) -> str:
    """Text as a model is served it without a template: with BOS, if the tokenizer begins with it.

    Not a second one: text that begins with it stays as it is.
    """
    bos = tokenizer.bos_token
    if not bos or text.startswith(bos):
        return text
    begins = tokenizer("x")["input_ids"][:1] == [tokenizer.bos_token_id]
    return f"{bos}{text}" if begins else text


def special_ids(tokenizer: Any) -> tuple[int, ...]:
    """Ids of the tokens that mark structure, rising; the one for unknown text is none of them."""
    added = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special}
    return tuple(sorted((added | set(tokenizer.all_special_ids)) - {tokenizer.unk_token_id}))


def encode(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> list[Tokens]:
    """Tokenises rendered texts, with no special token added to those they have.

    Raises:
        FitError: the tokenizer cannot tell where its tokens lie, or a text has no token.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise FitError(
            f"expected a fast tokenizer, which knows each token's place in the text, "
            f"found {type(tokenizer).__name__}; load it with use_fast=True"
        )
    if not texts:
        return []
    encoded = tokenizer(
        list(texts),
        add_special_tokens=False,
        truncation=True,
        max_length=max_tokens,
        return_offsets_mapping=True,
    )
    pairs = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
    tokens = [Tokens(tuple(ids), tuple(map(tuple, offsets))) for ids, offsets in pairs]
    for text, found in zip(texts, tokens, strict=True):
        if not found.ids:
            raise FitError(f"expected a text with tokens, found none in {text!r:.80}; drop it")
    return tokens


def pad(rows: Sequence[HasIds]) -> Batch:
    """Joins texts to one batch; what stands in the padding is masked, so it is id 0."""
    ids = [torch.tensor(row.ids) for row in rows]
    masks = [torch.ones(len(row.ids), dtype=torch.int64) for row in rows]
    return Batch(pad_sequence(ids, batch_first=True), pad_sequence(masks, batch_first=True))


def shared_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two texts begin with alike."""
    pairs = zip(left, right, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def last_token_of(tokens: Tokens, text: str, part: str) -> int:
    """Index of the token that holds the last character of the last `part` in `text`.

    Raises:
        FitError: `part` does not occur, or no token covers its end.
    """
    begin = text.rfind(part)
    if begin < 0:
        raise FitError(
            f"expected {part!r:.80} in the rendered prompt, found it altered or missing; "
            "give the subject as it is written in plain text"
        )
    end = begin + len(part) - 1
    for index in range(len(tokens.ids) - 1, -1, -1):
        first, past = tokens.offsets[index]
        if first <= end < past:
            return index
    raise FitError(
        f"expected a token at the end of {part!r:.80}, found none; the prompt is cut off "
        "before it or the tokenizer drops it, give a shorter or another subject"
    )


def _templated(tokenizer: Any, messages: Sequence[Message], reply: bool) -> str:
    try:
        text = tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=reply
        )
    except (TemplateError, ValueError) as error:
        raise FitError(
            f"expected messages that the model's chat template takes, found {error} for "
            f"{messages!r:.200}; write them as the template wants them, or as a plain text"
        ) from error
    return str(text)


def _check_untemplated(tokenizer: Any, content: str) -> None:
    tokens = tokenizer.convert_ids_to_tokens(special_ids(tokenizer))
    found = [token for token in tokens if token in content]
    # One that the template does not write, such as [PAD], may well stand in ordinary text.
    written = _templated(tokenizer, [{"role": "user", "content": ""}], True) if found else ""
    for token in found:
        if token in written:
            raise FitError(
                f"expected a message without the template's own {token}, found it in "
                f'{content!r:.80}; give text that is templated already as {{"text": ...}}'
            )
