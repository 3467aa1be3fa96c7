"""The files of the playground, read once. Knows nothing of HTTP but their content types."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from lethe_projections.errors import LetheError

STATIC = Path(__file__).parent / "static"
INDEX = "index.html"

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class File:
    """One file, in memory.

    Attributes:
        content: its bytes.
        media_type: for `Content-Type`.
        etag: names the content, in quotes.
    """

    content: bytes
    media_type: str
    etag: str


def listing(folder: Path = STATIC) -> Mapping[str, File]:
    """Every file below a folder, by its path there with `/`.

    Raises:
        LetheError: one is of a type that the playground does not have.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return MappingProxyType({path.relative_to(folder).as_posix(): _read(path) for path in paths})


def _read(path: Path) -> File:
    media_type = TYPES.get(path.suffix)
    if media_type is None:
        raise LetheError(
            f"playground: expected files of {', '.join(sorted(TYPES))}, found {path.name}; remove "
            "it, or install the package again"
        )
    content = path.read_bytes()
    return File(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
