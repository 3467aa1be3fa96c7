"""The file that says which requests to forget came one after the other. Knows no model.

    {"requests": [{"profile": "first.safetensors", "forget": ["France"]},
                  {"profile": "second.safetensors", "forget": ["Japan", "Peru"]}]}

A request's profile is the one in effect from then on: it forgets all that was requested so far.
"""

from collections import Counter
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from lethe_projections import strict_json
from lethe_projections.errors import LetheError
from lethe_server.evaluating.evidence import Document, Text

Some = Annotated[Text, Field(min_length=1)]


class Request(Document):
    """One request.

    Attributes:
        profile: path of the artifact in effect once it is granted.
        forget: the subjects that it adds.
    """

    profile: Some
    forget: Annotated[list[Some], Field(min_length=1)]


class Schedule(Document):
    """Requests in order; no more of them than a document has curves for."""

    requests: Annotated[list[Request], Field(min_length=1, max_length=56)]

    @property
    def subjects(self) -> tuple[str, ...]:
        """All that are requested."""
        return tuple(subject for one in self.requests for subject in one.forget)


def read(file: Path) -> Schedule:
    """Reads a schedule; its paths are made those of files beside it.

    Raises:
        LetheError: it cannot be read, is none, or requests a subject twice.
    """
    try:
        found = Schedule.model_validate(strict_json.loads(file.read_bytes()))
    except OSError as error:
        raise LetheError(
            f"{file}: expected a readable file, found {error.strerror}; check the path"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the top"
        raise _no_schedule(file, f"{first['msg']} at {where}") from error
    except ValueError as error:
        raise _no_schedule(file, str(error)) from error
    twice = [subject for subject, times in Counter(found.subjects).items() if times > 1]
    if twice:
        raise _no_schedule(file, f"{twice[0]!r:.80} again")
    requests = [one.model_copy(update={"profile": _beside(file, one)}) for one in found.requests]
    return Schedule(requests=requests)


def _beside(file: Path, request: Request) -> str:
    return str(file.parent / request.profile)


def _no_schedule(file: Path, found: str) -> LetheError:
    return LetheError(
        f'{file}: expected {{"requests": [{{"profile": FILE, "forget": [SUBJECT, ...]}}, ...]}} '
        f"with each subject once, found {found:.300}; correct the file"
    )
