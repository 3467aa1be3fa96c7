"""`lethe inspect`: what an artifact file holds, validated as the server would."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lethe_projections import artifact
from lethe_projections.errors import ArtifactError
from lethe_server.evaluating import attaching, evidence, showing


def described(file: Path) -> dict[str, Any]:
    """Reads and validates an artifact, and the evidence that lies beside it.

    Raises:
        ArtifactError: it is not a valid profile, or what lies beside it is no evidence of it.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"{file}: expected a readable file, found {error.strerror}; check the path"
        ) from error
    profile = artifact.from_bytes(data)
    digest = artifact.digest(data)
    measured = attaching.beside(file, digest)
    return {
        "digest": digest,
        "format_version": artifact.FORMAT_VERSION,
        "method": profile.method,
        "base": asdict(profile.base),
        "sites": [str(site) for site in profile.sites],
        "rank": profile.rank,
        "bytes": profile.nbytes,
        "file_bytes": len(data),
        "scopes": list(profile.scopes),
        "gated": profile.gated,
        "hyperparameters": dict(profile.hyperparameters),
        "provenance": dict(profile.provenance),
        "evidence": None if measured is None else measured.model_dump(mode="json"),
    }


def show(description: dict[str, Any], console: Console) -> None:
    """Prints it as a table, one row per value, and the evidence after it.

    Raises:
        ArtifactError: the evidence is of a form that is not known.
    """
    described = dict(description)
    measured = described.pop("evidence", None)
    _show_values(described, console)
    if measured is not None:
        console.print()
        showing.show(evidence.parse(json.dumps(measured).encode()), console)


def _show_values(description: dict[str, Any], console: Console) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for key, value in description.items():
        if isinstance(value, dict):
            for inner, part in value.items():
                table.add_row(f"{key}.{inner}", _text(part))
        else:
            table.add_row(key, _text(value))
    console.print(table, markup=False)


def _text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return value if isinstance(value, str) else json.dumps(value)
