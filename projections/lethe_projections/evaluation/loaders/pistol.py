"""PISTOL: contracts between companies that do not exist, as a graph; edges are what is forgotten.

Columns `edge`, `question` and `answer`; an edge is a subject. LUNAR's factual data has the same
columns, its edges `forget` and `retain`; there every question is a subject.
Source: Qiu et al. (arXiv 2406.16810).
"""

from collections.abc import Collection, Iterator
from pathlib import Path

from lethe_projections.errors import SuiteError
from lethe_projections.evaluation import rows
from lethe_projections.evaluation.loaders import foreign, table
from lethe_projections.evaluation.suite import Item, Suite

_LUNARS = ("forget", "retain")


def load(path: str | Path, forget: Collection[str]) -> Suite:
    """Reads one of PISTOL's samples.

    Args:
        path: the file.
        forget: edges that should be forgotten, such as "A_B"; the others are neighbours.

    Raises:
        SuiteError: it cannot be read, a row is not one of PISTOL's, or an edge is in none.
    """
    found = table.read(path)
    edges = {str(row.get("edge")) for row in found.rows}
    missing = sorted(set(forget) - edges)
    if missing or not forget:
        raise SuiteError(
            f"{found.path}: expected edges of {', '.join(sorted(edges))!s:.200}, found "
            f"{', '.join(missing) or 'none'!s:.80}; say which should be forgotten"
        )

    def items() -> Iterator[Item]:
        for number, row in found.each():
            with found.at(number):
                edge, question = rows.text(row, "edge"), rows.text(row, "question")
                answers = foreign.accepted(rows.text(row, "answer"))
                kind = "forget" if edge in forget else "neighbour"
                prompts = (foreign.asked("question", question, answers),)
                subject = question if edge in _LUNARS else edge
                yield Item(subject, found.path.stem, kind, answers, prompts)

    return foreign.suite("PISTOL", found, items())
