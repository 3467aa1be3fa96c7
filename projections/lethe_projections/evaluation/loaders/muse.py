"""MUSE: what was in news articles and in books, as questions and word for word.

| file | columns | becomes |
|---|---|---|
| `knowmem` | `question`, `answer` | a question, and the same as plain text, as MUSE asks it |
| `verbmem` | `prompt`, `gt` | the beginning of a passage, as plain text |

MUSE reports ROUGE-L F1 as a number, of replies of up to 32 tokens to questions and 128 after a
passage, whose rest it cuts to as many. Here one that is a sentence is recovered from
`foreign.OVERLAP` on. `privleak` files are texts without a question, and no suite.
Source: Shi et al. (arXiv 2407.06460).
"""

from collections.abc import Iterator
from pathlib import Path

from lethe_projections.evaluation import rows
from lethe_projections.evaluation.loaders import foreign, table
from lethe_projections.evaluation.loaders.table import Row
from lethe_projections.evaluation.prompt import Prompt
from lethe_projections.evaluation.suite import Item, Suite


def load(path: str | Path, kind: str) -> Suite:
    """Reads one of MUSE's files.

    Args:
        path: the file.
        kind: what its facts are, a key of `suite.SETS`.

    Raises:
        SuiteError: it cannot be read, or a row is not one of MUSE's.
    """
    foreign.check_set(kind)
    found = table.read(path)

    def items() -> Iterator[Item]:
        for number, row in found.each():
            with found.at(number):
                read = _passage if "gt" in row else _question
                subject, answers, prompts = read(row)
                yield Item(subject, found.path.stem, kind, answers, prompts)

    return foreign.suite("MUSE", found, items())


_Parts = tuple[str, tuple[str, ...], tuple[Prompt, ...]]


def _question(row: Row) -> _Parts:
    question, answers = rows.text(row, "question"), foreign.accepted(rows.text(row, "answer"))
    plain = f"Question: {question}\nAnswer:"
    return (
        question,
        answers,
        (foreign.asked("question", question, answers), foreign.asked("cloze", plain, answers)),
    )


def _passage(row: Row) -> _Parts:
    begun, rest = rows.text(row, "prompt"), rows.text(row, "gt")
    return begun, (rest,), (foreign.asked("verbatim", begun, (rest,)),)
