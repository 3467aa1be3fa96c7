"""What was answered so far: a file of JSON lines, one a prompt, each on the disk once it is added.

Knows nothing of prompts. A line that a crash has torn is dropped; it is answered again.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lethe_projections import durable, strict_json
from lethe_projections.errors import LetheError

Row = dict[str, Any]
KEY = "key"
"""The field that tells rows apart."""


class Records:
    """One file, by `KEY`.

    Attributes:
        path: where.
    """

    def __init__(self, path: Path) -> None:
        """Reads what is there.

        Raises:
            LetheError: a line that is not the last is no record.
            OSError: the file cannot be read, or its torn line not be cut off.
        """
        self.path = path
        self._rows: dict[str, Row] = {}
        if path.exists():
            self._load(path.read_bytes())

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __getitem__(self, key: str) -> Row:
        return self._rows[key]

    def add(self, row: Row) -> None:
        """Adds a row; it is on the disk when this returns.

        Raises:
            OSError: it could not be written.
        """
        with self.path.open("ab") as file:
            file.write(_line(row))
            file.flush()
            os.fsync(file.fileno())
        self._rows[row[KEY]] = row

    def finish(self, label: Callable[[Row], Row]) -> None:
        """Writes all rows anew, each as `label` makes it, sorted: the same rows, the same bytes."""
        self._rows = {key: label(self._rows[key]) for key in sorted(self._rows)}
        durable.write(self.path, b"".join(map(_line, self._rows.values())))

    def _load(self, data: bytes) -> None:
        *lines, torn = data.split(b"\n")
        for number, line in enumerate(lines, 1):
            row = self._parse(line, number)
            self._rows[row[KEY]] = row
        if torn:
            os.truncate(self.path, len(data) - len(torn))

    def _parse(self, line: bytes, number: int) -> Row:
        try:
            row = strict_json.loads(line)
            if not isinstance(row, dict) or not isinstance(row.get(KEY), str):
                raise ValueError(f"{row!r:.80}")
        except ValueError as error:
            raise LetheError(
                f"{self.path}, line {number}: expected a record, found {error}; remove the line"
            ) from error
        return row


def _line(row: Row) -> bytes:
    return strict_json.dumps(row).encode() + b"\n"
