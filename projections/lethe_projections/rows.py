"""Which tokens of an example stand for it, and what sites read there.

A chat template and the words of a question occur in forget and retain prompts alike. Counted as
forget rows they open a gate to every prompt (measured: 0.64 on forget and 0.40 on retain tokens),
so a forget prompt is read from the first token that tells it apart. Knows nothing of methods.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

import torch
from torch import Tensor

from lethe_projections import activations, chat
from lethe_projections.errors import FitError
from lethe_projections.examples import Example
from lethe_projections.profile import rank_bound
from lethe_projections.projector import Site
from lethe_projections.task import Task
from lethe_projections.words import whole

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Span:
    """The tokens of one text from `first` on; those before it are its context alone."""

    tokens: chat.Tokens
    first: int


@dataclass(frozen=True)
class Request:
    """What is forgotten together: a subject's examples, or all those that name no subject.

    Attributes:
        subject: empty if the examples name none.
        examples: one or more.
    """

    subject: str
    examples: tuple[Example, ...]


def requests(task: Task, method: str) -> tuple[Request, ...]:
    """The forget examples by subject, in order of first appearance.

    Raises:
        FitError: there are none, or more requests than an edit may have rows, or the task comes
            after another profile, which `method` takes no account of.
    """
    if task.after is not None:
        raise FitError(
            f"after: expected no profile, since {method} fits on the base alone, found one made by "
            f"{task.after.method}; give both requests' examples to one fit, or compose the profiles"
        )
    subjects = dict.fromkeys(example.subject for example in task.needs_forget())
    check_rank(len(subjects), task)
    return tuple(
        Request(subject, tuple(e for e in task.forget if e.subject == subject))
        for subject in subjects
    )


def check_rank(wanted: int, task: Task) -> None:
    """Raises FitError if an edit of the model may not have so many rows."""
    bound = rank_bound(task.base)
    if wanted > bound:
        raise FitError(
            f"rank: expected up to {bound} rows of the edit, found {wanted}; forget less in one "
            "profile"
        )


def last(task: Task, examples: Iterable[Example]) -> tuple[Span, ...]:
    """The last token of each prompt, where the reply begins."""
    texts = [task.render_prompt(example) for example in examples]
    tokens = chat.encode(task.tokenizer, texts, task.limits.max_tokens)
    return tuple(Span(one, len(one.ids) - 1) for one in tokens)


def telling(
    task: Task, request: Request, others: Iterable[Example], *, subject_alone: bool = False
) -> tuple[Span, ...]:
    """Each prompt of a request from the first token that tells it apart to its end.

    That is the subject's first token, or, where the prompt does not hold the subject, the first
    token up to which no prompt of `others` reads the same. With `subject_alone`, a prompt that
    holds the subject ends with it: no token looks ahead, so nothing that is read changes.

    Raises:
        FitError: a prompt is also one of `others`, or the beginning of one.
    """
    texts = [task.render_prompt(example) for example in request.examples]
    encoded = chat.encode(task.tokenizer, texts, task.limits.max_tokens)
    rendered = [task.render_prompt(example) for example in others]
    known = sorted(one.ids for one in chat.encode(task.tokenizer, rendered, task.limits.max_tokens))
    spans = []
    for example, text, tokens in zip(request.examples, texts, encoded, strict=True):
        place = _place(text, task.begin(example, text), request.subject)
        first = _token_at(tokens, place) if place >= 0 else _shared(tokens.ids, known)
        if first >= len(tokens.ids):
            raise FitError(
                f"forget, line {example.line}: expected a prompt that is not also a retain or "
                f"reference prompt, nor cut off, found {text[-80:]!r}; take it out of those"
            )
        if subject_alone and place >= 0:
            past = 1 + _token_at(tokens, place + len(request.subject) - 1)
            tokens = chat.Tokens(tokens.ids[:past], tokens.offsets[:past])  # noqa: PLW2901
        spans.append(Span(tokens, first))
    return tuple(spans)


def fresh(task: Task, examples: Iterable[Example]) -> tuple[Span, ...]:
    """Each whole text without the beginning that another one has, so that no context is twice."""
    texts = [task.render(example) for example in examples]
    tokens = sorted(chat.encode(task.tokenizer, texts, task.limits.max_tokens), key=lambda t: t.ids)
    rest = [Span(new, chat.shared_prefix(old.ids, new.ids)) for old, new in pairwise(tokens)]
    spans = [Span(one, 0) for one in tokens[:1]] + rest
    return tuple(span for span in spans if span.first < len(span.tokens.ids))


def template(task: Task) -> tuple[Span, ...]:
    """The tokens that every conversation of one user turn begins with, if there are any."""
    texts = [
        chat.render(task.tokenizer, [{"role": "user", "content": content}]) for content in "a1"
    ]
    one, other = chat.encode(task.tokenizer, texts, task.limits.max_tokens)
    shared = chat.shared_prefix(one.ids, other.ids)
    return (Span(chat.Tokens(one.ids[:shared], one.offsets[:shared]), 0),) if shared else ()


def read(task: Task, spans: Sequence[Span], sites: Sequence[Site]) -> Iterator[dict[Site, Tensor]]:
    """What each site reads at the spans' tokens, batch by batch: [n, d] float64 on the CPU.

    Texts of like length go together; which rows share a batch is the same for all sites.
    """
    ordered = sorted(spans, key=lambda span: len(span.tokens.ids))
    for start in range(0, len(ordered), task.limits.batch_size):
        chunk = ordered[start : start + task.limits.batch_size]
        batch = chat.pad([span.tokens for span in chunk])
        wanted = batch.attention_mask.bool()
        for index, span in enumerate(chunk):
            wanted[index, : span.first] = False
        found = activations.read(task.model, batch, sites)
        yield {site: x[wanted.to(x.device)].to("cpu", torch.float64) for site, x in found.items()}


def _place(text: str, begin: int, subject: str) -> int:
    """Where the subject first stands as a word of its own from `begin` on, or -1."""
    found = whole([subject], exact_case=True).search(text, begin) if subject else None
    return found.start() if found else -1


def _token_at(tokens: chat.Tokens, place: int) -> int:
    """The first token that reaches past a character's place; the number of tokens, if none."""
    return sum(1 for _ in takewhile(lambda offset: offset[1] <= place, tokens.offsets))


def _shared(ids: Ids, known: Sequence[Ids]) -> int:
    """The longest beginning shared with any of `known`, sorted: its neighbours in order have it."""
    place = bisect_left(known, ids)
    beside = known[max(0, place - 1) : place + 1]
    return max((chat.shared_prefix(ids, other) for other in beside), default=0)
