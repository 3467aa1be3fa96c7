"""An experiment's records as text: JSON lines, or CSV. Knows nothing of the database or of HTTP."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

Format = Literal["jsonl", "csv"]

MEDIA_TYPES: dict[Format, str] = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}

COLUMNS = (
    *("record", "time", "unit", "arm"),
    *("request_id", "digest", "status"),
    *("id", "metric", "value"),
)
"""Of both kinds of record, of an exposure, and of an outcome."""


def chosen(asked: Format | None, accept: str) -> Format:
    """The format asked for, or else CSV if the Accept header names it."""
    return asked or ("csv" if "text/csv" in accept.lower() else "jsonl")


def lines(records: Iterable[Mapping[str, Any]], form: Format) -> Iterator[str]:
    """The text, a line for each record; CSV has the names of its columns first."""
    if form == "csv":
        yield _csv(COLUMNS)
    for record in records:
        found = _plain(record)
        if form == "csv":
            yield _csv([_cell(found.get(column)) for column in COLUMNS])
        else:
            yield json.dumps(found) + "\n"


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a record has, in order; a value that was false or true is so again."""
    found = {name: record[name] for name in COLUMNS if record.get(name) is not None}
    if record.get("is_bool"):
        found["value"] = bool(found["value"])
    return found


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, bool) else value


def _csv(row: Iterable[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(row)
    return text.getvalue()
