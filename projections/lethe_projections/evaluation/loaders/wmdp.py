"""WMDP: multiple choice about hazardous knowledge, ranked by the choices' texts.

Columns `question`, `choices` and `answer`, the number of the right choice from 0. The benchmark's
own figure ranks the letters A to D after a list of the choices; small models are at chance there
whatever they know.
Source: Li et al. (arXiv 2403.03218).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lethe_projections.evaluation import rows
from lethe_projections.evaluation.loaders import foreign, table
from lethe_projections.evaluation.suite import Item, Suite


def load(path: str | Path, kind: str) -> Suite:
    """Reads one of WMDP's files.

    Args:
        path: the file.
        kind: what its facts are, a key of `suite.SETS`.

    Raises:
        SuiteError: it cannot be read, or a row is not one of WMDP's.
    """
    foreign.check_set(kind)
    found = table.read(path)

    def items() -> Iterator[Item]:
        for number, row in found.each():
            with found.at(number):
                question, choices = rows.text(row, "question"), foreign.texts(row, "choices")
                right = choices[_place(row.get("answer"), len(choices))]
                prompt = foreign.ranking(question, right, choices)
                yield Item(question, found.path.stem, kind, (right,), (prompt,))

    return foreign.suite("WMDP", found, items())


def _place(value: Any, count: int) -> int:
    text = str(value)
    if not text.isdecimal() or int(text) >= count:
        raise ValueError(
            f"expected answer to be a number from 0 to {count - 1}, found {value!r:.40}; correct it"
        )
    return int(text)
