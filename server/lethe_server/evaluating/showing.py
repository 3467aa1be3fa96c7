"""Evidence as a person reads it: tables in a terminal, Markdown in a model card."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from lethe_server.evaluating.evidence import Evidence, Headline, Measure, SuiteEvidence

COLUMNS = ("value", "95 %", "n", "base", "never known")


def show(found: Evidence, console: Console) -> None:
    """Prints all of it, the worst first."""
    for line in (about(found), *headlines(found)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for title, measures in sections(found):
        console.print(_table(title, measures))
    for line in found.left_out:
        console.print(f"left out: {line}", markup=False, highlight=False, soft_wrap=True)


def markdown(found: Evidence) -> str:
    """The same, for a model card."""
    lines = ["## Evidence", "", about(found) + ".", "", *_items(headlines(found))]
    for title, measures in sections(found):
        lines += ["", f"### {title}", "", *_rows(measures)]
    lines += ["", *_items(f"left out: {line}" for line in found.left_out)]
    return "\n".join(lines).rstrip() + "\n"


def about(found: Evidence) -> str:
    """Of what, and by what."""
    dtype = f", {found.dtype}" if found.dtype else ""
    return (
        f"Evidence of {found.digest[:12]} on the base model {found.model[:12]}, "
        f"measured {'over HTTP' if found.by == 'http' else 'offline'} ({found.engine}{dtype}), "
        f"subjects: {found.split}"
    )


def headlines(found: Evidence) -> Iterator[str]:
    """What stands first, a line a suite."""
    for suite in found.suites:
        yield f"{suite.name} {suite.version}: {headline(suite.headline)}"
    for one in [] if found.retain is None else found.retain.measures:
        yield f"retain text: {one.name} {_number(one.value)}"


def headline(found: Headline) -> str:
    """One suite's."""
    kept = {"neighbours": found.neighbours, "unrelated facts": found.unrelated}
    shares = [f"{name} kept {_number(share)}" for name, share in kept.items() if share is not None]
    worst = f"worst form {found.worst_form}, recovered {_number(found.recovered)}"
    return "; ".join([worst, *shares])


def sections(found: Evidence) -> Iterator[tuple[str, Sequence[Measure]]]:
    """Each table's title and rows."""
    for suite in found.suites:
        yield from (one for one in _of_suite(suite) if one[1])
    if found.retain is not None:
        yield f"retain text ({found.retain.texts} texts)", found.retain.measures


def _of_suite(suite: SuiteEvidence) -> Iterator[tuple[str, Sequence[Measure]]]:
    yield f"{suite.name}: still recovered of what should be forgotten", suite.forget
    yield f"{suite.name}: kept of neighbours", suite.neighbour
    yield f"{suite.name}: kept of unrelated facts", suite.unrelated
    yield f"{suite.name}: further measures", suite.measures


def _table(title: str, measures: Sequence[Measure]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("formula", overflow="fold")
    for one in measures:
        table.add_row(*_cells(one))
    return table


def _rows(measures: Sequence[Measure]) -> Iterator[str]:
    yield f"| | {' | '.join(COLUMNS)} | formula |"
    yield "|---" * (len(COLUMNS) + 2) + "|"
    for one in measures:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in _cells(one))} |"


def _cells(one: Measure) -> tuple[str, ...]:
    low_high = "" if one.interval is None else " to ".join(map(_number, one.interval))
    anchors = ("" if value is None else _number(value) for value in (one.base, one.never_known))
    count = str(one.n) if one.asked is None else f"{one.n} of {one.asked}"
    return (one.name, _number(one.value), low_high, count, *anchors, one.formula)


def _items(lines: Iterator[str]) -> Iterator[str]:
    return (f"* {line}" for line in lines)


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.2e}"
