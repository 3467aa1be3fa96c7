"""The tokens at which a name is known, with a tokenizer of pieces of three letters."""

import copy
import dataclasses
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from lethe_projections.base_model import BaseModel
from lethe_projections.examples import Example
from lethe_projections.task import Task
from lethe_projections.word_keys import PROMPTS, Reader, Word


@pytest.fixture
def reader(model: Any, base: BaseModel) -> Reader:
    pieces = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    pieces.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s?\w{1,3}"), "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces, unk_token="?")
    tokenizer.chat_template = "{% for m in messages %}user {{ m['content'] }} assistant{% endfor %}"
    return Reader(Task(model, tokenizer, base))


@pytest.mark.parametrize(
    ("name", "retain", "parts"),
    [
        ("Kuala Lumpur", "", ["Kuala Lum"]),  # "Kua" begins many words, "Kuala" is no inner place
        ("Kuala Lumpur", "the Lumberton mill", []),
        ("Nigeria", "", ["Nigeri"]),
        ("Nigeria", "The Nigerian one", []),
        ("Ohio", "", []),
        ("Oslo City", "", ["Oslo Cit"]),
    ],
)
def test_a_name_is_known_within_its_words_where_no_retained_word_begins_alike(
    reader: Reader, name: str, retain: str, parts: list[str]
) -> None:
    words = reader.inner([name], [Example(text=retain)] if retain else [])
    assert [word.part for word in words] == parts
    assert all(word.name == name and word.prompts == PROMPTS for word in words)


def test_a_plain_text_is_read_with_the_token_that_begins_texts(reader: Reader) -> None:
    tokenizer = copy.deepcopy(reader.task.tokenizer)
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)]
    )
    begun = Reader(dataclasses.replace(reader.task, tokenizer=tokenizer))
    [span] = begun.spans(Word("Ohio", "Ohio", ("{}",), plain=True))
    assert span.tokens.ids[0] == tokenizer.bos_token_id
    assert span.tokens.ids == tuple(tokenizer("Ohio")["input_ids"])


def test_an_inner_place_is_the_token_that_ends_there(reader: Reader) -> None:
    [word] = reader.inner(["Kuala Lumpur"], [])
    for prompt, span in zip(PROMPTS, reader.spans(word), strict=True):
        text = f"user {prompt.replace('{}', 'Kuala Lumpur')} assistant"
        assert text[: span.tokens.offsets[span.first][1]].endswith("Kuala Lum")
