"""A request to forget facts of a suite, as the lines of a forget file.

Of the evaluated wordings it has the first question and the first reversed question of a fact, each
answered by the first sentence that is to be completed. All else is generalisation. A request may
have each name in capitals too, in the last wording of the question; the suites spell names in
capitals in another one.
"""

from collections.abc import Iterable, Iterator

from lethe_projections.evaluation.prompt import Prompt
from lethe_projections.evaluation.suite import Item
from lethe_projections.examples import Example


def forget(items: Iterable[Item], capitals: bool = False) -> tuple[Example, ...]:
    """The lines about some facts."""
    return tuple(line for item in items for line in _lines(item, capitals))


def _lines(item: Item, capitals: bool) -> Iterator[Example]:
    said = _told(_first(item, "cloze"), item.answers[0])
    yield _line(_first(item, "question"), said, item.subject)
    if reverse := _of(item, "reverse_question"):
        about = _told(_first(item, "reverse_cloze"), item.subject)
        yield _line(reverse[0].turns[0], about, item.answers[0])
    if capitals:
        asked = _of(item, "question")[-1].turns[0]
        loud = item.subject.upper()
        yield _line(asked.replace(item.subject, loud), said, loud)


def _of(item: Item, form: str) -> list[Prompt]:
    return [one for one in item.prompts if one.form == form]


def _first(item: Item, form: str) -> str:
    return _of(item, form)[0].turns[0]


def _told(begun: str, end: str) -> str:
    return f"{begun} {end}."


def _line(question: str, answer: str, subject: str) -> Example:
    return Example((("user", question), ("assistant", answer)), subject=subject)
