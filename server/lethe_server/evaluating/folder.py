"""Where an evaluation is written: a folder for one base model, answered in one way.

    run.json                what all that is in it has in common
    base.jsonl              the base's answers, which all profiles share
    DIGEST.jsonl            a profile's
    DIGEST.evidence.json    what follows of them
    summary.json            the headlines of every profile in it

Nothing in it says when, by whom or with which key.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lethe_projections import durable, strict_json
from lethe_projections.errors import LetheError
from lethe_server.evaluating import evidence
from lethe_server.evaluating.evidence import Evidence
from lethe_server.evaluating.records import Records

RUN, BASE, SUMMARY = "run.json", "base.jsonl", "summary.json"


class Folder:
    """A folder that answers of one kind may be added to.

    Attributes:
        path: where; made if missing.
    """

    def __init__(self, path: Path, run: dict[str, Any]) -> None:
        """Opens it.

        Args:
            path: where.
            run: what all answers in it have in common.

        Raises:
            LetheError: what is there has something else in common.
            OSError: it cannot be read or written.
        """
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        file = path / RUN
        if not file.exists():
            durable.write(file, _pretty(run))
        for name, wanted, found in _differences(file, run):
            raise LetheError(
                f"{path}: expected a folder of answers with {name} {wanted!r:.200}, found "
                f"{found!r:.200}; name another with --out"
            )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other evaluation writes there meanwhile.

        Raises:
            LetheError: one does.
        """
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise LetheError(
                f"{self.path}: expected a folder that nobody writes to, found another evaluation "
                "at work there; wait for it, or name another with --out"
            ) from error
        finally:
            os.close(descriptor)

    def base(self) -> Records:
        """The base's answers."""
        return Records(self.path / BASE)

    def variant(self, digest: str) -> Records:
        """A profile's answers."""
        return Records(self.path / f"{digest}.jsonl")

    def write(self, found: Evidence) -> Path:
        """Writes a profile's evidence, and the summary anew; returns the former's path."""
        file = self.path / evidence.file_name(found.digest)
        durable.write(file, evidence.to_bytes(found))
        durable.write(self.path / SUMMARY, _pretty({"profiles": self._headlines()}))
        return file

    def _headlines(self) -> list[dict[str, Any]]:
        files = sorted(self.path.glob(evidence.file_name("*")))
        return [evidence.headlines(evidence.parse(file.read_bytes())) for file in files]


def _differences(file: Path, run: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """What two runs do not have in common: name, what it should be, what it is."""
    try:
        found = strict_json.loads(file.read_bytes())
        names = [*run, *(found.keys() - run.keys())]
        yield from ((n, run.get(n), found.get(n)) for n in names if run.get(n) != found.get(n))
    except (ValueError, AttributeError) as error:
        raise LetheError(
            f"{file}: expected what its folder's answers have in common, found {error}; name "
            "another folder with --out"
        ) from error


def _pretty(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"
