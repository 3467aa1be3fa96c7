"""Which tokens of a forget prompt are read, and that nothing else is."""

import copy
import dataclasses
from typing import Any

import pytest
import torch

from lethe_projections import chat, passages, retained, rows
from lethe_projections.activations import read
from lethe_projections.base_model import BaseModel
from lethe_projections.capture import Limits, second_moments
from lethe_projections.errors import FitError
from lethe_projections.examples import Example
from lethe_projections.projector import Site
from lethe_projections.rows import Request

from .tasks import RETAIN, about, task, turn

SITES = [Site(1, "down_proj"), Site(1, "block")]


def words(tokenizer: Any, span: rows.Span) -> str:
    return str(tokenizer.decode(span.tokens.ids[span.first :]))


def test_a_prompt_is_read_from_its_subject_on(model: Any, tokenizer: Any, base: BaseModel) -> None:
    request = Request("Arda", about("Arda"))
    spans = rows.telling(task(model, tokenizer, base), request, RETAIN)
    assert [words(tokenizer, span) for span in spans] == [
        "Arda ? . assistant",
        "Arda please . assistant",
    ]


def test_a_subject_alone_is_read_as_in_its_whole_prompt(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    job, request = task(model, tokenizer, base), Request("Arda", about("Arda"))
    alone = rows.telling(job, request, RETAIN, subject_alone=True)
    assert [words(tokenizer, span) for span in alone] == ["Arda", "Arda"]
    [found], [whole] = (
        list(rows.read(job, spans, SITES[:1]))
        for spans in (alone, rows.telling(job, request, RETAIN))
    )
    assert torch.allclose(found[SITES[0]], whole[SITES[0]][[0, 4]], atol=1e-5)


@pytest.mark.parametrize("subject", ["user", "assistant"])
def test_a_subject_that_is_also_a_word_of_the_template_is_read_in_the_prompt(
    model: Any, tokenizer: Any, base: BaseModel, subject: str
) -> None:
    """The template writes "user" before the prompt and "assistant" behind it."""
    job = task(model, tokenizer, base)
    request = Request(subject, (turn(f"tell me about {subject} please", "x", subject),))
    [span] = rows.telling(job, request, RETAIN, subject_alone=True)
    assert words(tokenizer, span) == subject
    before = tokenizer.decode(span.tokens.ids[: span.first])
    assert before == "user tell me about"
    [passage] = passages.read(job, request.examples)
    marked = [place for place, mark in enumerate(passage.mentions([subject])) if mark]
    assert span.first in marked
    assert 0 not in marked


def test_a_subject_within_another_word_is_passed_over(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    asked = turn("tell me about sunny sun please", "x", "sun")
    [span] = rows.telling(task(model, tokenizer, base), Request("sun", (asked,)), RETAIN)
    assert words(tokenizer, span).startswith("sun please")


def test_without_a_subject_a_prompt_is_read_from_where_no_other_prompt_reads_the_same(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    request = Request("", (turn("tell me about Cora in the city", "one"), Example(text="sun moon")))
    spans = rows.telling(task(model, tokenizer, base), request, RETAIN)
    assert [words(tokenizer, span) for span in spans] == ["city . assistant", "sun moon"]
    # Control: a subject that the prompt does not hold says nothing about where to begin.
    other = dataclasses.replace(request, subject="Gond")
    assert rows.telling(task(model, tokenizer, base), other, RETAIN) == spans


def test_a_forget_prompt_that_is_also_retained_is_refused_with_its_line(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    same = turn("tell me about Cora in the north", "one", line=3)
    with pytest.raises(FitError, match="line 3: expected a prompt that is not also a retain"):
        rows.telling(task(model, tokenizer, base), Request("", (same,)), RETAIN)


def test_only_the_spans_tokens_are_read_whatever_the_batch_size(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    request = Request("Arda", (*about("Arda"), turn("Arda", "x", "Arda")))
    for size in (1, 2, 8):
        job = task(model, tokenizer, base, limits=Limits(size))
        spans = rows.telling(job, request, RETAIN)
        found = list(rows.read(job, spans, SITES))
        for site in SITES:
            together = torch.cat([batch[site] for batch in found])
            alone = [
                read(model, chat.pad([span.tokens]), [site])[site][0, span.first :].double()
                for span in sorted(spans, key=lambda span: len(span.tokens.ids))
            ]
            assert together.dtype == torch.float64
            assert torch.allclose(together, torch.cat(alone), atol=1e-5)
            assert len(together) == 3 + 4 + 4


def test_no_context_is_read_twice(model: Any, tokenizer: Any, base: BaseModel) -> None:
    job = task(model, tokenizer, base)
    spans = rows.fresh(job, (*RETAIN, *RETAIN))
    contexts = [
        span.tokens.ids[: end + 1]
        for span in spans
        for end in range(span.first, len(span.tokens.ids))
    ]
    assert len(contexts) == len(set(contexts)) > 50


def test_the_template_is_what_every_prompt_begins_with(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    job = task(model, tokenizer, base)
    [span] = rows.template(job)
    assert words(tokenizer, span) == "user"
    site = Site(2, "down_proj")
    [found] = rows.read(job, [span], [site])
    counted = retained.moments(job, RETAIN, [site])[site]
    once = second_moments(model, tokenizer, [job.render(e) for e in RETAIN], [site])[site]
    expected = once.total + 30 * found[site].T @ found[site]
    assert counted.count == once.count + 30
    assert torch.allclose(counted.total, expected, rtol=1e-5)
    tokenizer = copy.copy(tokenizer)
    tokenizer.chat_template = None
    assert rows.template(dataclasses.replace(job, tokenizer=tokenizer)) == ()


def test_requests_go_by_subject_in_order(model: Any, tokenizer: Any, base: BaseModel) -> None:
    job = task(model, tokenizer, base, "Gond", "Arda")
    job = dataclasses.replace(job, forget=(*job.forget, turn("who ?", "a"), about("Gond")[0]))
    found = rows.requests(job, "m")
    assert [(request.subject, len(request.examples)) for request in found] == [
        ("Gond", 3), ("Arda", 2), ("", 1),
    ]  # fmt: skip


def test_more_subjects_than_rows_are_refused(model: Any, tokenizer: Any, base: BaseModel) -> None:
    names = [f"n{number}" for number in range(base.hidden_size + 1)]
    with pytest.raises(FitError, match="up to 32 rows"):
        rows.requests(task(model, tokenizer, base, *names), "m")
    assert len(rows.requests(task(model, tokenizer, base, *names[1:]), "m")) == 32
