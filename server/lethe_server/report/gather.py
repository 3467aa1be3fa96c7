"""The documents of a report, from folders and files. Judges whether they agree, and no number."""

import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lethe_projections import strict_json
from lethe_projections.errors import ArtifactError, LetheError
from lethe_server.attacks import document
from lethe_server.attacks.document import Attack, Kind
from lethe_server.evaluating import evidence
from lethe_server.evaluating.evidence import Evidence, SuiteEvidence
from lethe_server.report.grouping import Conditions, questions

MAX_BYTES = 4 * 1024 * 1024
"""Of a document; the longest that a schema admits has less."""

NAME = re.compile(r"([0-9a-f]{64})\.([a-z]+)\.json")
EVIDENCE = "evidence"
AnyDocument = TypeVar("AnyDocument", Evidence, Attack)
NAMES = f"DIGEST.KIND.json (KIND {', '.join((EVIDENCE, *Kind))})"


@dataclass(frozen=True)
class Results:
    """All that a report is made of, sorted: the same documents, the same order.

    Attributes:
        evidence: what was measured, a document a profile and way of measuring.
        attacks: what was tried.
    """

    evidence: tuple[Evidence, ...]
    attacks: tuple[Attack, ...]


@dataclass(frozen=True)
class _Found:
    """A document, and the file that it is from."""

    file: Path
    document: Evidence | Attack


def gather(paths: Iterable[Path]) -> Results:
    """Reads all of them; a document that is there twice counts once.

    Args:
        paths: folders as `lethe eval` and `lethe attack` write them, or single documents.

    Raises:
        LetheError: a path is missing, a folder has no document, a file is none, or two of them say
            different things of the same.
        OSError: a file cannot be read.
    """
    found = [_read(file) for path in paths for file in _files(path)]
    _agree(found)
    documents = [one.document for one in found]
    return Results(
        tuple(_sorted(one for one in documents if isinstance(one, Evidence))),
        tuple(_sorted(one for one in documents if isinstance(one, Attack))),
    )


def _files(path: Path) -> Sequence[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if NAME.fullmatch(file.name))
    if not files:
        raise LetheError(
            f"{path}: expected a folder with files {NAMES}, found none; name the folder that "
            "'lethe eval' or 'lethe attack' wrote with --out"
        )
    return files


def _read(file: Path) -> _Found:
    try:
        found = _parse(file.read_bytes())
    except FileNotFoundError as error:
        raise LetheError(
            f"{file}: expected a folder or file of results, found nothing there; run 'lethe eval "
            "--out' first"
        ) from error
    except ArtifactError as error:
        raise LetheError(f"{file}: {error}") from error
    _check_name(file, found)
    return _Found(file, found)


def _parse(data: bytes) -> Evidence | Attack:
    if len(data) > MAX_BYTES:
        raise ArtifactError(
            f"expected at most {MAX_BYTES} bytes, found {len(data)}; leave the file out"
        )
    fields = _fields(data)
    if "evidence" in fields:
        found = evidence.parse(data)
        _check_headlines(found)
        return found
    if "attack" in fields:
        return document.parse(data)
    raise ArtifactError(
        f"expected a document of 'lethe eval' or 'lethe attack', found the fields "
        f"{sorted(fields)!r:.200}; leave the file out"
    )


def _fields(data: bytes) -> set[str]:
    try:
        found = strict_json.loads(data)
    except ValueError as error:
        raise ArtifactError(
            f"expected a JSON document, found {error}; leave the file out, or write it again"
        ) from error
    return set(found) if isinstance(found, dict) else set()


def _check_name(file: Path, found: Evidence | Attack) -> None:
    """A file that is called as if it were of a profile is of it."""
    named = NAME.fullmatch(file.name)
    kind = found.kind if isinstance(found, Attack) else EVIDENCE
    if named and named.groups() != (found.digest, kind):
        raise LetheError(
            f"{file}: expected {named[2]} of {named[1][:12]}, as the file is called, found {kind} "
            f"of {found.digest[:12]}; give the file its own name back"
        )


def _check_headlines(found: Evidence) -> None:
    for suite in found.suites:
        for problem in _problems(suite):
            raise ArtifactError(
                f"evidence of {suite.name!r:.80}: {problem}; write it again with 'lethe eval'"
            )


def _problems(suite: SuiteEvidence) -> Iterator[str]:
    """What no evaluation writes, and a plot would show wrongly."""
    head = suite.headline
    values = {one.name: one.value for one in suite.forget}
    if values.get(head.worst_form) != head.recovered:
        yield (
            f"expected the headline to be the measure {head.worst_form!r:.80} at "
            f"{head.recovered}, found {values!r:.200}"
        )
    forms = (*suite.forget, *suite.neighbour, *suite.unrelated)
    told = [one for form in forms for one in (form.value, form.never_known, *(form.interval or ()))]
    shares = [one for one in (head.neighbours, head.unrelated, *told) if one is not None]
    yield from (f"expected shares from 0 to 1, found {one}" for one in shares if not 0 <= one <= 1)


def _agree(found: Sequence[_Found]) -> None:
    """Of the same, asked alike, there is one result.

    Raises:
        LetheError: there are two.
    """
    first: dict[Hashable, tuple[Path, object]] = {}
    for one in found:
        for key, content in _claims(one.document):
            file, before = first.setdefault(key, (one.file, content))
            if before != content:
                raise LetheError(
                    f"{one.file}: expected what {file} says of {one.document.digest[:12]}, "
                    "measured alike, found other numbers; leave out the one that is outdated"
                )


def _claims(found: Evidence | Attack) -> Iterator[tuple[Hashable, object]]:
    """What a document speaks of, and what it says of it."""
    conditions = Conditions.of(found)
    if isinstance(found, Attack):
        settings = strict_json.dumps(found.settings)
        suites = tuple(one.sha256 for one in found.suites)
        yield (found.digest, found.kind, conditions, settings, suites), found
        return
    for suite in found.suites:
        yield (found.digest, EVIDENCE, conditions, questions(suite)), suite
    if found.retain is not None:
        yield (found.digest, EVIDENCE, conditions, found.retain.sha256), found.retain


def _sorted(documents: Iterable[AnyDocument]) -> list[AnyDocument]:
    by_content = {strict_json.dumps(one.model_dump(mode="json")): one for one in documents}
    return [by_content[content] for content in sorted(by_content)]
