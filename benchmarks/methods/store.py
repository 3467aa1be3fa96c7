"""The work folder: what was fitted and measured before, so that a stopped run goes on.

Nothing in it is ever changed, only added. Knows nothing of what it keeps.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lethe_projections import durable

Record = dict[str, Any]


def default_folder() -> Path:
    """`$XDG_CACHE_HOME/lethe/methods`, by default in `~/.cache`."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "lethe" / "methods"


def key(document: Any) -> str:
    """sha256 of a JSON document, 64 hex digits."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


class Records:
    """JSON lines, one a measured item, by their `key`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        _drop_half_line(path)
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        self._found: dict[str, Record] = {row["key"]: row for row in map(json.loads, lines)}

    def __contains__(self, key: str) -> bool:
        return key in self._found

    def __getitem__(self, key: str) -> Record:
        return self._found[key]

    def add(self, rows: Iterable[Record]) -> None:
        """Keeps further items; on disk before this returns."""
        new = {row["key"]: row for row in rows}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in new.values())
        self._found |= new


def _drop_half_line(path: Path) -> None:
    """A run that was killed while it wrote may have left one, and the next line would join it."""
    data = path.read_bytes() if path.exists() else b""
    if data and not data.endswith(b"\n"):
        os.truncate(path, data.rfind(b"\n") + 1)


def write_json(path: Path, document: Any) -> None:
    """Atomic: a reader sees the whole file or none, whoever else writes it meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    durable.write(path, (json.dumps(document, indent=2) + "\n").encode())
