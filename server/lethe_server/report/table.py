"""The table in brief, for a README: a line a profile and suite."""

from collections.abc import Iterator

from lethe_server.report import text
from lethe_server.report.gather import Results
from lethe_server.report.grouping import Board, Row, boards
from lethe_server.report.labels import labels

COLUMNS = (
    "profile",
    "digest",
    "worst form",
    "recovered (95 %)",
    "n",
    "never known",
    "neighbours kept",
    "unrelated kept",
    "KL",
)


def markdown(found: Results) -> bytes:
    """A table for all that may stand side by side."""
    called = labels((*found.evidence, *found.attacks))
    tables = ["\n".join(_lines(board)) for board in boards(found.evidence, called)]
    return ("\n\n".join(tables) + "\n").encode()


def _lines(board: Board) -> Iterator[str]:
    apart = "; KL is of different texts" if len(board.texts) > 1 else ""
    yield f"{_escaped(board.suite)}; {_escaped(board.conditions.said)}{apart}"
    yield ""
    yield _line(COLUMNS)
    yield "|" + "---|" * len(COLUMNS)
    yield from (_line(tuple(map(_escaped, _cells(row)))) for row in board.rows)


def _cells(row: Row) -> tuple[str, ...]:
    head, worst = row.suite.headline, row.worst
    within = "" if worst.interval is None else f" ({text.interval(worst.interval)})"
    return (
        row.label,
        text.short(row.found.digest),
        worst.name,
        f"{text.number(worst.value)}{within}",
        str(worst.n),
        text.number(worst.never_known),
        text.number(head.neighbours),
        text.number(head.unrelated),
        text.number(None if row.kl is None else row.kl.value),
    )


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(cell: str) -> str:
    """As text, whatever Markdown or HTML a stranger wrote into it."""
    return "".join(f"\\{one}" if one in "\\`*[]<>|" else one for one in text.plain(cell))
