"""From curves to the document of an attack, and onto the disk."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from lethe_projections import durable
from lethe_server.attacks import document
from lethe_server.attacks.document import Attack, Curve, Kind, Setting, SuiteUsed
from lethe_server.evaluating.answering import Subject
from lethe_server.evaluating.work import Work


def attack(
    kind: Kind,
    of: tuple[Subject, Work],
    settings: Mapping[str, Setting],
    axis: str,
    curves: Iterable[Curve | None],
) -> Attack:
    """Everything together.

    Args:
        kind: what was tried.
        of: which profile, and what was asked.
        settings: beside what should be forgotten, which is added.
        axis: what the points are at.
        curves: those that there are points of; one at least.
    """
    subject, asked = of
    forget = "; ".join(sorted(set(asked.subjects))) or None
    return Attack(
        kind=kind,
        digest=subject.digest,
        method=subject.method,
        model=subject.model,
        engine=subject.engine,
        dtype=subject.dtype or "",
        split=asked.split,
        suites=[
            SuiteUsed(name=one.name, version=one.version, sha256=one.digest) for one in asked.suites
        ],
        settings={**settings, "forget": forget},
        axis=axis,
        curves=[one for one in curves if one is not None],
    )


def write(found: Attack, folder: Path) -> Path:
    """Writes it whole or not at all, in place of an earlier one.

    Raises:
        OSError: the folder cannot be written.
    """
    file = folder / document.file_name(found.digest, found.kind)
    durable.write(file, document.to_bytes(found))
    return file
