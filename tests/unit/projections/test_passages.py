"""Prompt, answer and padding are told apart token by token."""

from typing import Any

import pytest
import torch

from lethe_projections import passages
from lethe_projections.base_model import BaseModel
from lethe_projections.capture import Limits
from lethe_projections.errors import FitError
from lethe_projections.examples import Example
from lethe_projections.passages import Passage

from .tasks import task, turn

ASKED = turn("where is Arda ?", "Arda is north")


def words(tokenizer: Any, passage: Passage, marks: Any) -> str:
    ids = [id for id, mark in zip(passage.tokens.ids, marks, strict=True) if mark]
    return str(tokenizer.decode(ids))


def test_the_answer_is_its_own_words_and_not_what_the_template_puts_around_them(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    [passage] = passages.read(task(model, tokenizer, base), [ASKED])
    assert (
        tokenizer.decode(passage.tokens.ids) == "user where is Arda ? . assistant Arda is north ."
    )
    assert words(tokenizer, passage, passage.answer) == "Arda is north"
    assert tokenizer.decode(passage.question.tokens.ids) == "user where is Arda ? . assistant"
    assert passage.question.text == "user where is Arda ? . assistant"


def test_a_question_alone_ends_where_its_reply_begins_and_a_text_is_all_answer(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    question, text = passages.read(
        task(model, tokenizer, base),
        [Example((("user", "where is Arda ?"),)), Example(text="Arda is north")],
    )
    assert question.text.endswith("assistant")
    assert not question.answered
    assert text.answer == (False, True, True)


def test_a_batch_keeps_the_masks_of_its_rows_and_none_of_its_padding(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    rows = passages.read(task(model, tokenizer, base), [ASKED, Example(text="one two three")])
    batch = passages.collate(rows)
    width = len(rows[0].tokens.ids)
    assert batch.real.tolist() == [[True] * width, [True] * 3 + [False] * (width - 3)]
    assert batch.answer[0].tolist() == list(rows[0].answer)
    assert batch.reply[0].sum() == batch.answer[0].sum() + 1, "the template's full stop"
    assert batch.replying[1].tolist() == batch.real[1].tolist()
    assert batch.after(6).sum(dim=1).tolist() == [width - 6, 2]
    assert batch.marked(lambda row: row.answer).equal(batch.answer)


def test_mentions_are_whole_words_in_any_case(model: Any, tokenizer: Any, base: BaseModel) -> None:
    [passage] = passages.read(task(model, tokenizer, base), [ASKED])
    assert words(tokenizer, passage, passage.mentions(["ARDA"])) == "Arda Arda"
    assert not any(passage.mentions(["Ard"]))
    assert not any(passage.mentions([]))


def test_the_template_is_what_all_conversations_begin_with(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    job = task(model, tokenizer, base)
    found = passages.read(job, [ASKED, turn("where was Brel ?", "a"), Example(text="moon")])
    assert passages.template_tokens(found) == 2
    assert passages.template_tokens(found[:1]) == 0


def test_a_prompt_continued_otherwise_keeps_its_tokens(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    job = task(model, tokenizer, base)
    told = passages.with_answer(job, ASKED, "what")
    assert told.question.tokens.ids == passages.read(job, [ASKED])[0].question.tokens.ids
    assert words(tokenizer, told, told.answer) == "what"
    begun = passages.continued(job, "Arda is", " what .")
    assert tokenizer.decode(begun.question.tokens.ids) == "Arda is"
    assert begun.answer == (False, False, True, True)


def test_what_has_no_answer_to_train_on_is_refused(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    job = task(model, tokenizer, base)
    with pytest.raises(FitError, match="line 3: expected a question with its answer"):
        passages.read_answered(job, [Example((("user", "where is Arda ?"),), line=3)])
    with pytest.raises(FitError, match="line 4: expected tokens of the answer"):
        short = task(model, tokenizer, base, limits=Limits(max_tokens=6))
        passages.read(short, [turn("where is Arda ?", "north", line=4)])


def test_a_template_that_alters_the_answer_is_refused(
    model: Any, tokenizer: Any, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = tokenizer.chat_template.replace("m['content']", "m['content'] | upper")
    monkeypatch.setattr(tokenizer, "chat_template", template)
    with pytest.raises(FitError, match="line 7: expected the chat template to keep"):
        passages.read(task(model, tokenizer, base), [turn("where is Arda ?", "north", line=7)])


def test_padding_marks_nothing() -> None:
    assert passages.padded([[True], [False, True]]).equal(
        torch.tensor([[True, False], [False, True]])
    )
