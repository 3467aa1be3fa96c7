"""Suites as files: JSON lines, first a header, then a fact a line.

A file alone defines every prompt.

Header:

| key | |
|---|---|
| `suite` | 1, the version of this format |
| `name`, `version`, `description`, `licence` | text |
| `relations` | by name, each with `forms` and, where "He" and "he" differ, `exact_case` |

A relation whose answers are sentences may have `overlap`, above 0 and at most 1: a reply that has
so much of one is recovered, see `Prompt.overlap`; without it an answer has to occur as a whole.
`forms` has a list of wordings for each form asked in; `forms.FORMS` lists forms, `wording` says how
a wording is written.

Fact:

| key | |
|---|---|
| `subject` | what the fact is about |
| `relation` | one of the header's |
| `set` | `forget`, `neighbour`, `unrelated` or `never_known`; see `suite.SETS` |
| `answers` | what is accepted as the truth, the usual one first |
| `wrong` | optional: wrong answers, for "ranking" |
| `aliases` | optional: other names of the subject, accepted where it is asked for |
| `fields` | optional: texts for further places in wordings, by name |
| `forms` | optional: wordings of its own, after the relation's |
| `without` | optional: forms of the relation in which this fact is not asked for |

Empty lines are passed over. A prompt may not say what it asks for: repeating it would count.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from lethe_projections import strict_json
from lethe_projections.errors import SuiteError
from lethe_projections.evaluation import suite_header, suite_line
from lethe_projections.evaluation.suite import Item, Suite

PACKAGED = ("capitals", "element_symbols", "books")
"""Suites that ship with Lethe."""


def read(path: str | Path) -> Suite:
    """Reads a suite.

    Raises:
        SuiteError: the file cannot be read or is malformed; the line is named.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise SuiteError(f"expected a suite to read, found {error}; check the path") from error
    return parse(data, str(path))


def packaged(name: str) -> Suite:
    """One of `PACKAGED`.

    Raises:
        SuiteError: there is none of that name.
    """
    if name not in PACKAGED:
        raise SuiteError(
            f"expected a suite of {', '.join(PACKAGED)}, or a file, found {name!r:.80}; "
            "choose one, or give the path of a file"
        )
    file = resources.files("lethe_projections.evaluation") / "data" / f"{name}.jsonl"
    return parse(file.read_bytes(), f"{name}.jsonl")


def parse(data: bytes, name: str) -> Suite:
    """Reads a suite from bytes.

    Args:
        data: the whole file.
        name: what messages call it.

    Raises:
        SuiteError: it is malformed; the line is named.
    """
    lines = [(n, line) for n, line in enumerate(data.split(b"\n"), 1) if line.strip()]
    if not lines:
        raise SuiteError(f"{name}: expected a header and a fact a line, found none; write them")
    number, first = lines[0]
    with _line(name, number):
        header = suite_header.parse(_json(first))
    items: dict[str, Item] = {}
    for number, line in lines[1:]:
        with _line(name, number):
            item = suite_line.parse(_json(line), header)
            if item.id in items:
                raise ValueError(f"expected each fact once, found {item.id} again; remove one")
            items[item.id] = item
    if not items:
        raise SuiteError(f"{name}: expected a fact after the header, found none; write one a line")
    digest = hashlib.sha256(data).hexdigest()
    about = (header.name, header.version, header.description, header.licence)
    return Suite(*about, digest, tuple(items.values()))


def _json(line: bytes) -> Any:
    try:
        return strict_json.loads(line.strip())
    except ValueError as error:
        raise ValueError(f"expected JSON, found {error}; correct the line") from error


@contextmanager
def _line(name: str, number: int) -> Iterator[None]:
    """Adds file and line to what is wrong with it."""
    try:
        yield
    except ValueError as error:
        raise SuiteError(f"{name}, line {number}: {error}") from error
