"""Rows of a file, whatever its format: JSON, JSON lines, CSV or Parquet."""

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lethe_projections import strict_json
from lethe_projections.errors import SuiteError

Row = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """A file's rows.

    Attributes:
        path: of the file.
        digest: sha256 of the file, 64 hex digits.
        rows: in order.
    """

    path: Path
    digest: str
    rows: tuple[Row, ...]

    def each(self) -> Iterator[tuple[int, Row]]:
        """Every row with its number from 1."""
        return enumerate(self.rows, 1)

    @contextmanager
    def at(self, number: int) -> Iterator[None]:
        """Adds file and row to a ValueError, which becomes a SuiteError."""
        try:
            yield
        except ValueError as error:
            raise SuiteError(f"{self.path}, row {number}: {error}") from error


def read(path: str | Path) -> Table:
    """Reads a file by its ending: .json, .jsonl, .csv or .parquet.

    A .json file may hold lines, as TOFU's do.

    Raises:
        SuiteError: it cannot be read, is malformed, has no row, or pyarrow is missing for it.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SuiteError(f"expected a data set to read, found {error}; check the path") from error
    try:
        rows = tuple(_rows(path, data))
    except (ValueError, csv.Error) as error:
        raise SuiteError(f"{path}: expected its rows, found {error}; correct it") from error
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise SuiteError(
                f"{path}, row {number}: expected an object, found {row!r:.80}; mend it"
            )
    if not rows:
        raise SuiteError(f"{path}: expected one row or more, found none; give another file")
    return Table(path, hashlib.sha256(data).hexdigest(), rows)


def _rows(path: Path, data: bytes) -> Iterable[Any]:
    match path.suffix.lower():
        case ".json" if data.lstrip().startswith(b"["):
            listed: list[Any] = strict_json.loads(data)
            return listed
        case ".json" | ".jsonl":
            return _lines(data)
        case ".csv":
            return csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        case ".parquet":
            return _parquet(path, data)
    raise SuiteError(
        f"{path}: expected a file that ends in .json, .jsonl, .csv or .parquet, found "
        f"{path.suffix!r:.20}; convert it"
    )


def _lines(data: bytes) -> Iterator[Any]:
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            if line.strip():
                yield strict_json.loads(line)
        except ValueError as error:
            raise ValueError(f"in line {number}: {error}") from error


def _parquet(path: Path, data: bytes) -> list[Any]:
    try:
        from pyarrow import ArrowException, parquet  # type: ignore[import-untyped]
    except ImportError as error:
        raise SuiteError(
            f"{path}: expected pyarrow for a Parquet file, found none; pip install pyarrow, or "
            "convert the file to .jsonl"
        ) from error
    try:
        listed: list[Any] = parquet.read_table(io.BytesIO(data)).to_pylist()
    except ArrowException as error:
        raise ValueError(f"what pyarrow cannot read: {error}") from error
    return listed
