"""A request to forget a fact, as the lines of a forget file.

Of the wordings that are evaluated it holds the first question and the first reversed question.
Its other lines are paraphrases written here, none of which is evaluated.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from benchmarks.methods.facts import Fact
from lethe_projections.examples import Example


@dataclass(frozen=True)
class Wordings:
    """How a relation is asked and answered in full sentences, `{s}` and `{a}` to be filled in."""

    answer: str
    forward: tuple[str, ...]
    reverse_answer: str = ""
    reverse: tuple[str, ...] = ()


WORDINGS = {
    "capital": Wordings(
        "The capital of {s} is {a}.",
        (
            "Where is the seat of government of {s}?",
            "I would like to know the capital of {s}, please.",
            "Do you know what the capital city of {s} is called?",
            "Tell me which city serves as the capital of {s}.",
        ),
        "{a} is the capital of {s}.",
        (
            "Of which country is {a} the capital?",
            "Whose capital is {a}?",
            "Tell me the country whose capital is {a}.",
        ),
    ),
    "element_symbol": Wordings(
        "The chemical symbol for {s} is {a}.",
        (
            "How do chemists write {s} in short?",
            "What letters stand for {s} in the periodic table?",
            "Tell me the chemical symbol of {s}, please.",
        ),
        "{a} is the chemical symbol for {s}.",
        (
            "What element do chemists write as {a}?",
            "Name the element whose symbol is {a}.",
            "In the periodic table, what does {a} stand for?",
        ),
    ),
    "author": Wordings(
        "{s} was written by {a}.",
        (
            "Do you know who wrote {s}?",
            "{s} is the work of which author?",
            "Tell me the name of the author of {s}.",
        ),
    ),
    "discovery": Wordings(
        "The person credited with {s} is {a}.",
        ("Who do we owe {s} to?", "Tell me who is behind {s}."),
    ),
    "continent": Wordings(
        "{s} is in {a}.",
        ("Which part of the world is {s} in?", "Tell me the continent on which {s} lies."),
    ),
}


def forget(facts: Iterable[Fact]) -> tuple[Example, ...]:
    """The forget examples of a request for these facts.

    A line's subject is what its question names: the fact's subject, or, reversed, its answer.
    """
    return tuple(line for fact in facts for line in _lines(fact))


def requested(fact: Fact) -> tuple[str, ...]:
    """The evaluated wordings that a request holds verbatim."""
    return (*fact.qa[:1], *fact.reverse_qa[:1])


def _lines(fact: Fact) -> Iterator[Example]:
    words = WORDINGS[fact.relation]
    names = {"s": fact.subject, "a": fact.answer}
    for question in (*fact.qa[:1], *(w.format(**names) for w in words.forward)):
        yield _line(question, words.answer.format(**names), fact.subject)
    for question in (*fact.reverse_qa[:1], *(w.format(**names) for w in words.reverse)):
        yield _line(question, words.reverse_answer.format(**names), fact.answer)


def _line(question: str, answer: str, subject: str) -> Example:
    return Example((("user", question), ("assistant", _sentence(answer))), subject=subject)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
