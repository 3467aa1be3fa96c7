"""What is fitted on as text to keep, and what is held out from every fit to measure KL on.

Starts from the text that ships with Lethe. Left out altogether are lines that ask an evaluated
question in its own words, and lines that state an evaluated fact, its subject and answer together:
neighbours would be no test of what was never shown.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.methods.facts import Fact
from lethe_projections import examples
from lethe_projections.examples import Example

HELD_OUT = 5
"""One in so many of the lines with a reply or plain text is held out, by its sha256."""


@dataclass(frozen=True)
class Retain:
    """The packaged retain text, parted.

    Attributes:
        fit: what methods are given.
        held_out: what KL is measured on.
        asked: how many lines were left out for an evaluated wording.
        stated: how many for stating an evaluated fact.
    """

    fit: tuple[Example, ...]
    held_out: tuple[Example, ...]
    asked: int
    stated: int


def parted(facts: Sequence[Fact]) -> Retain:
    """Parts the packaged text, given every fact that is evaluated in either split."""
    lines = examples.packaged("retain")
    wordings = (wording for fact in facts for wording in _wordings(fact))
    asked, stated = left_out(lines, wordings, {(fact.subject, fact.answer) for fact in facts})
    clean = [e for e in lines if e not in asked | stated]
    held_out = {e for e in clean if (e.answer or e.text) and _chosen(e)}
    fit = tuple(e for e in clean if e not in held_out)
    return Retain(fit, tuple(e for e in clean if e in held_out), len(asked), len(stated))


def left_out(
    lines: Iterable[Example], wordings: Iterable[str], facts: Collection[tuple[str, str]]
) -> tuple[set[Example], set[Example]]:
    """Lines that ask an evaluated question in its own words, and others that state a fact.

    Args:
        lines: of retain text.
        wordings: all that is evaluated.
        facts: pairs of a subject and an answer.
    """
    worded = set(map(_normal, wordings))
    found = list(lines)
    asked = {line for line in found if any(_normal(text) in worded for text in _texts(line))}
    stated = {line for line in found if any(_states(line, *fact) for fact in facts)}
    return asked, stated - asked


def _chosen(example: Example) -> bool:
    return int(examples.digest([example])[:8], 16) % HELD_OUT == 0


def _states(line: Example, subject: str, answer: str) -> bool:
    return line.mentions(subject) and line.mentions(answer)


def _wordings(fact: Fact) -> Iterable[str]:
    return (*fact.qa, *fact.cloze, *fact.reverse_qa, *fact.reverse_cloze)


def _texts(example: Example) -> Iterable[str]:
    return (example.text, *(content for _, content in example.messages))


def _normal(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))
