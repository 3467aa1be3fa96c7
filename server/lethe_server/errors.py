"""From Lethe's errors to HTTP: a status and OpenAI's error body. Knows nothing of the engine.

    LetheError                               500
    ├── ArtifactError, SelectionError,
    │   CompositionError                     400
    ├── UnknownProfileError,
    │   UnknownExperimentError               404
    ├── IncompatibleError, UnsupportedError,
    │   ConflictError                        409
    ├── TooLargeError                        413
    └── UnavailableError                     503

The tree itself is drawn in `lethe_projections.errors` and `lethe_vllm.errors`; experiments have two
of their own.
"""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from lethe_projections.errors import (
    ArtifactError,
    CompositionError,
    IncompatibleError,
    LetheError,
)
from lethe_server.experiments.experiment import ConflictError, UnknownExperimentError
from lethe_vllm.errors import (
    SelectionError,
    UnavailableError,
    UnknownProfileError,
    UnsupportedError,
)


class TooLargeError(LetheError):
    """A request's body is larger than the server reads."""


STATUS: dict[type[LetheError], tuple[int, str]] = {
    ArtifactError: (400, "BadRequestError"),
    CompositionError: (400, "BadRequestError"),
    SelectionError: (400, "BadRequestError"),
    UnknownProfileError: (404, "NotFoundError"),
    UnknownExperimentError: (404, "NotFoundError"),
    ConflictError: (409, "ConflictError"),
    IncompatibleError: (409, "ConflictError"),
    UnsupportedError: (409, "ConflictError"),
    TooLargeError: (413, "ContentTooLargeError"),
    UnavailableError: (503, "ServiceUnavailableError"),
    LetheError: (500, "InternalServerError"),
}
"""HTTP status and OpenAI error type; a subclass has those of its nearest base here."""


def response(error: LetheError) -> JSONResponse:
    """The HTTP answer to an error."""
    status, kind = next(STATUS[base] for base in type(error).__mro__ if base in STATUS)
    return JSONResponse(body(str(error), kind, status), status_code=status)


def body(message: str, kind: str, status: int) -> dict[str, Any]:
    """OpenAI's error body, with the status as its code like vLLM's own."""
    return {"error": {"message": message, "type": kind, "param": None, "code": status}}


def attach(app: FastAPI) -> None:
    """Makes every route of an application answer Lethe's errors like this."""
    app.add_exception_handler(LetheError, _handle)


async def _handle(_: Request, error: Exception) -> JSONResponse:
    return response(error if isinstance(error, LetheError) else LetheError(str(error)))
