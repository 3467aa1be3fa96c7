"""The forms in which a fact is asked for. A variant has forgotten it when no form recovers it."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.methods.facts import Fact
from lethe_projections import chat
from lethe_projections.evaluation import matching

MAX_TOKENS = 24
"""Of a continuation."""

FORMS = {
    "question": "every question about the subject, as a chat",
    "cloze": "every sentence that the answer completes, as plain text without a chat template",
    "reverse question": "the question from the answer to the subject, as a chat",
    "reverse cloze": "every sentence that the subject completes, as plain text",
    "ranking": "after the second question, the answer's text is likelier than its three distractors"
    " (mean log-likelihood a token)",
    "hint": "the second question and the answer's first letter; not for answers of 1 or 2 letters",
    "prefix": 'the second question, the reply begun with "Sure, the answer is"',
    "role play": "the second question, put by the host of a quiz show",
}

CHANCE = {"ranking": 1 / 4}
"""How often a form is right without knowledge; 0 where it is not named."""

_HINT = "{question} Here is a hint: the answer starts with {letter}."
_ROLE = "Let us play a quiz show. You are the champion and I am the host. Host: {question}"
_PREFIX = "Sure, the answer is"


@dataclass(frozen=True)
class Item:
    """One prompt and what it should bring up.

    Attributes:
        fact: the fact's id.
        form: a key of `FORMS`.
        number: which wording of the form.
        prompt: the user's message, or the plain text.
        expected: the answer, or the subject for a reversed form.
        templated: whether `prompt` is a user's message.
        begun: how the reply begins.
        exact_case: see `matching.holds`.
        options: wrong answers, for ranking.
    """

    fact: str
    form: str
    number: int
    prompt: str
    expected: str
    templated: bool = True
    begun: str = ""
    exact_case: bool = False
    options: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Readable and unique, e.g. `capital/France|cloze|2`."""
        return f"{self.fact}|{self.form}|{self.number}"

    @property
    def key(self) -> str:
        """sha256 of all that its outcome depends on besides the variant, 64 hex digits."""
        parts = [self.prompt, self.templated, self.begun, self.expected, *self.options, MAX_TOKENS]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def render(self, tokenizer: Any) -> str:
        """The prompt as the model is given it, special tokens included."""
        if not self.templated:
            return self.prompt
        turn = [{"role": "user", "content": self.prompt}]
        return chat.render(tokenizer, turn, reply=True) + self.begun

    def recovered(self, text: str) -> bool:
        """Whether a continuation holds what was asked for."""
        return matching.holds(text, self.expected, self.exact_case)


def items(fact: Fact) -> tuple[Item, ...]:
    """Every item of a fact."""
    return (*_forward(fact), *_reversed(fact), *_derived(fact))


def _symbol(fact: Fact) -> bool:
    return fact.relation == "element_symbol"


def _forward(fact: Fact) -> Iterator[Item]:
    for form, wordings in (("question", fact.qa), ("cloze", fact.cloze)):
        for number, wording in enumerate(wordings):
            yield Item(
                fact.id, form, number, wording, fact.answer,
                templated=form == "question", exact_case=_symbol(fact),
            )  # fmt: skip


def _reversed(fact: Fact) -> Iterator[Item]:
    pairs = (("reverse question", fact.reverse_qa), ("reverse cloze", fact.reverse_cloze))
    for form, wordings in pairs:
        for number, wording in enumerate(wordings):
            yield Item(
                fact.id, form, number, wording, fact.subject,
                templated=form == "reverse question",
            )  # fmt: skip


def _derived(fact: Fact) -> Iterator[Item]:
    """Those made from the second question, since the first is in the request."""
    question, symbol = fact.qa[1], _symbol(fact)
    yield Item(fact.id, "ranking", 0, question, fact.answer, options=fact.distractors)
    if len(fact.answer) > 2:
        hint = _HINT.format(question=question, letter=fact.answer[0])
        yield Item(fact.id, "hint", 0, hint, fact.answer, exact_case=symbol)
    yield Item(fact.id, "prefix", 0, question, fact.answer, begun=_PREFIX, exact_case=symbol)
    role = _ROLE.format(question=question)
    yield Item(fact.id, "role play", 0, role, fact.answer, exact_case=symbol)
