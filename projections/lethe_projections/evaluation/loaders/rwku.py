"""RWKU: what is known of famous people, in sentences with a gap, questions and attacks.

Columns `query`, `answer`, `level` (1 gaps, 2 questions, 3 attacks), `type`, `subject` and, in files
of neighbours, `neighbor`. RWKU reports ROUGE-L recall as a number, of replies of up to 30
tokens; here an answer that is a sentence is recovered from `foreign.OVERLAP` on.
Source: Jin et al. (arXiv 2406.10890).
"""

from collections.abc import Iterator
from pathlib import Path

from lethe_projections.evaluation import rows
from lethe_projections.evaluation.loaders import foreign, table
from lethe_projections.evaluation.loaders.table import Row
from lethe_projections.evaluation.prompt import Prompt
from lethe_projections.evaluation.suite import Item, Suite

ATTACKS = {
    "prefix injection": "prefix",
    "affirmative suffix": "prefix",
    "role playing": "role_play",
    "multiple choice": "choice",
    "reverse query": "reverse_question",
    "synonym manipulation": "question",
    "background hint": "hint",
    "in-context learning": "many_shot",
    "cross lingual": "translation",
}
"""Forms of the types of level 3, whose names are read without regard to case and hyphens."""

_GAP = "Fill in the gap: {query}"


def load(path: str | Path, kind: str) -> Suite:
    """Reads one of RWKU's files.

    Args:
        path: the file.
        kind: what its facts are, a key of `suite.SETS`.

    Raises:
        SuiteError: it cannot be read, or a row is not one of RWKU's.
    """
    foreign.check_set(kind)
    found = table.read(path)

    def items() -> Iterator[Item]:
        for number, row in found.each():
            with found.at(number):
                answers = foreign.accepted(rows.text(row, "answer"))
                subject = rows.text(row, "neighbor", rows.text(row, "subject"))
                prompts = (_prompt(row, answers),)
                yield Item(subject, found.path.stem, kind, answers, prompts)

    return foreign.suite("RWKU", found, items())


def _prompt(row: Row, answers: tuple[str, ...]) -> Prompt:
    query, level = rows.text(row, "query"), str(row.get("level"))
    match level:
        case "1":
            return foreign.asked("fill_in", _GAP.format(query=query), answers)
        case "2":
            return foreign.asked("question", query, answers)
        case "3":
            return foreign.asked(_attack(rows.text(row, "type")), query, answers)
    raise ValueError(f"expected level to be 1, 2 or 3, found {level!r:.40}; correct it")


def _attack(type_: str) -> str:
    forms = {_squeezed(name): form for name, form in ATTACKS.items()}
    form = forms.get(_squeezed(type_))
    if form is None:
        raise ValueError(
            f"expected type to be one of {', '.join(ATTACKS)}, found {type_!r:.40}; correct it"
        )
    return form


def _squeezed(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
