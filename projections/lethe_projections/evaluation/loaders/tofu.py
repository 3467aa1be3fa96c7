"""TOFU: questions about authors that do not exist, about real ones, and about the world.

| column | becomes |
|---|---|
| `question`, `answer` | a question |
| `paraphrased_question` | the same question in other words |
| `perturbed_answer`, or `option1` to `option4` | wrong answers of a ranking |
| `paraphrased_answer` | the right answer of that ranking |

Files of authors that do not exist (`full`, `forget01`, `retain99_perturbed`, ...) have 20 rows for
each, one after the other: the author is the subject, called by file and place, since "author 1" of
another file is somebody else. In other files every question is one.
TOFU reports ROUGE-L recall as a number, of replies of up to 200 tokens with their question. Here
a sentence is recovered from `foreign.OVERLAP` on, since hardly one is repeated whole.
Source: Maini et al. (arXiv 2401.06121).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from lethe_projections.evaluation import rows
from lethe_projections.evaluation.loaders import foreign, table
from lethe_projections.evaluation.loaders.table import Row
from lethe_projections.evaluation.prompt import Prompt
from lethe_projections.evaluation.suite import Item, Suite

ROWS_PER_AUTHOR = 20

_AUTHORS = re.compile(r"(full|(forget|retain)\d\d)(_perturbed)?$")


def load(path: str | Path, kind: str) -> Suite:
    """Reads one of TOFU's files.

    Args:
        path: the file, named as TOFU names it.
        kind: what its facts are, a key of `suite.SETS`.

    Raises:
        SuiteError: it cannot be read, or a row is not one of TOFU's.
    """
    foreign.check_set(kind)
    found = table.read(path)
    by_author = _AUTHORS.search(found.path.stem) is not None

    def items() -> Iterator[Item]:
        for number, row in found.each():
            with found.at(number):
                question = rows.text(row, "question")
                author = f"{found.path.stem} author {1 + (number - 1) // ROWS_PER_AUTHOR}"
                answers = foreign.accepted(rows.text(row, "answer"))
                prompts = tuple(_prompts(question, answers, row))
                subject = author if by_author else question
                yield Item(subject, found.path.stem, kind, answers, prompts)

    return foreign.suite("TOFU", found, items())


def _prompts(question: str, answers: tuple[str, ...], row: Row) -> Iterator[Prompt]:
    yield foreign.asked("question", question, answers)
    if "paraphrased_question" in row:
        other = rows.text(row, "paraphrased_question")
        yield foreign.asked("question", other, answers, number=1)
    if "perturbed_answer" in row:
        right = rows.text(row, "paraphrased_answer", answers[-1])
        yield foreign.ranking(question, right, foreign.texts(row, "perturbed_answer"))
    elif "option1" in row:
        options = [rows.text(row, key) for key in sorted(row) if key.startswith("option")]
        yield foreign.ranking(question, answers[-1], options)
