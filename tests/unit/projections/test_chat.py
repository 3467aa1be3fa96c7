"""The template once, BOS once, with tokenizers that write them in every combination."""

import copy
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from lethe_projections import chat
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import FitError
from lethe_projections.examples import Example
from lethe_projections.task import Task

from .conftest import WORDS

MARKED = (
    "{{ bos_token }}{% for m in messages %}{{ '<turn> ' + m['role'] + ' ' + m['content'] }}"
    "{{ ' </turn>' }}{% endfor %}{% if add_generation_prompt %}{{ '<turn> assistant' }}{% endif %}"
)
ASK = [{"role": "user", "content": "the moon"}]


def with_bos(template: str | None, adds: bool = True) -> Any:
    """The tiny tokenizer with <s>, put before texts by the tokenizer itself if it `adds`."""
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    marks = [AddedToken(mark, special=True, normalized=False) for mark in ("<turn>", "</turn>")]
    words.add_special_tokens([AddedToken("<s>", special=True, normalized=False), *marks])
    if adds:
        bos = words.token_to_id("<s>")
        words.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", bos)]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", bos_token="<s>"
    )
    fast.chat_template = template
    return fast


def tokens_of(tokenizer: Any, text: str) -> list[str]:
    [tokens] = chat.encode(tokenizer, [text], 512)
    found: list[str] = tokenizer.convert_ids_to_tokens(tokens.ids)
    return found


@pytest.mark.parametrize("adds", [True, False])
def test_a_bos_that_the_template_writes_is_not_written_again(adds: bool) -> None:
    tokenizer = with_bos(MARKED, adds)
    text = chat.render(tokenizer, ASK, reply=True)
    found = tokens_of(tokenizer, text)
    assert found == ["<s>", "<turn>", "user", "the", "moon", "</turn>", "<turn>", "assistant"]
    # Control: the tokenizer's own way would write a second one.
    assert tokenizer(text)["input_ids"].count(tokenizer.bos_token_id) == 1 + adds


def test_a_base_models_text_begins_with_bos_once() -> None:
    tokenizer = with_bos(None)
    text = chat.render(tokenizer, [*ASK, {"role": "assistant", "content": "the sun"}])
    assert tokens_of(tokenizer, text) == ["<s>", "the", "moon", "the", "sun"]
    assert chat.plain(tokenizer, text) == text
    assert chat.plain(tokenizer, "moon") == "<s>moon"


def test_a_tokenizer_that_begins_texts_without_bos_gets_none(tokenizer: Any) -> None:
    assert chat.plain(with_bos(None, adds=False), "moon") == "moon"
    assert chat.plain(tokenizer, "moon") == "moon"


def test_plain_text_of_a_chat_model_is_not_templated_and_templated_text_not_again(
    model: Any, base: BaseModel
) -> None:
    tokenizer = with_bos(MARKED)
    task = Task(model, tokenizer, base)
    assert task.render(Example(text="the moon")) == "<s>the moon"
    rendered = chat.render(tokenizer, ASK, reply=True)
    assert rendered.count("<turn>") == 2
    assert task.render(Example(text=rendered)) == rendered
    assert task.render_prompt(Example(text=rendered)) == rendered


def test_a_message_that_is_templated_already_is_refused() -> None:
    tokenizer = with_bos(MARKED)
    rendered = chat.render(tokenizer, ASK)
    with pytest.raises(FitError, match=r"without the template's own .*\"text\""):
        chat.render(tokenizer, [{"role": "user", "content": rendered}])
    with pytest.raises(FitError, match="</turn>"):
        chat.render(tokenizer, [*ASK, {"role": "assistant", "content": "moon </turn>"}])
    # A special token that no template writes is ordinary text.
    assert "[PAD]" in chat.render(tokenizer, [{"role": "user", "content": "what is [PAD]"}])


def test_messages_that_the_template_refuses_are_an_error_with_its_reason(tokenizer: Any) -> None:
    strict = copy.deepcopy(tokenizer)
    strict.chat_template = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(FitError, match=r"found System role not supported for .*moon"):
        chat.render(strict, [{"role": "system", "content": "moon"}])


def test_special_tokens_are_those_of_structure_and_not_unknown_text() -> None:
    tokenizer = with_bos(MARKED)
    names = tokenizer.convert_ids_to_tokens(chat.special_ids(tokenizer))
    assert sorted(names) == ["</turn>", "<s>", "<turn>", "[PAD]"]


def test_the_template_is_applied_once(tokenizer: Any) -> None:
    text = chat.render(tokenizer, [{"role": "user", "content": "the moon"}], reply=True)
    assert text == "user the moon . assistant"
    assert tokens_of(tokenizer, text) == text.split()


def test_the_last_token_of_a_word_is_found_by_its_place(tokenizer: Any) -> None:
    text = "Arda is in the north of Arda and the south"
    [tokens] = chat.encode(tokenizer, [text], 512)
    assert chat.last_token_of(tokens, text, "Arda") == 6
    assert chat.last_token_of(tokens, text, "the north") == 4
    with pytest.raises(FitError, match="altered or missing"):
        chat.last_token_of(tokens, text, "Brel")
    [cut] = chat.encode(tokenizer, [text], 3)
    with pytest.raises(FitError, match="cut off"):
        chat.last_token_of(cut, text, "south")
