"""What answers depend on beside the model: code and libraries. Another digest, another folder."""

import hashlib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import benchmarks.evidence
import lethe_projections
import lethe_server

LIBRARIES = ("torch", "transformers", "tokenizers", "peft", "scikit-learn")
ASKS = ("attacking", "fitting", "measuring", "request", "texts")
"""Modules of this package that say what is fitted and asked; the others order and show it."""


def digest() -> str:
    """sha256, 64 hex digits."""
    found = hashlib.sha256()
    for name, data in _parts():
        found.update(name.encode() + b"\0" + data + b"\0")
    return found.hexdigest()


def _parts() -> Iterator[tuple[str, bytes]]:
    own, projections, server = (
        Path(str(one.__file__)).parent
        for one in (benchmarks.evidence, lethe_projections, lethe_server)
    )
    for folder in (projections, server / "evaluating", server / "attacks"):
        for file in sorted(folder.rglob("*.py")):
            yield str(file.relative_to(folder)), file.read_bytes()
    for name in ASKS:
        yield name, (own / f"{name}.py").read_bytes()
    for name in LIBRARIES:
        yield name, metadata.version(name).encode()
