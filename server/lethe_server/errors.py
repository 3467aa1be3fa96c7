"""From Lethe's errors to HTTP: a status and OpenAI's error body. Knows nothing of the engine.

    LetheError                               500
    ├── ArtifactError, SelectionError,
    │   CompositionError, RequestIdError     400
    ├── UnauthenticatedError                 401
    ├── NotPermittedError                    403
    ├── UnknownProfileError,
    │   UnknownExperimentError               404
    ├── IncompatibleError, UnsupportedError,
    │   ConflictError, PolicyError           409
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
from lethe_server.exchange import exchange_of
from lethe_server.experiments.experiment import UnknownExperimentError
from lethe_server.policy.caller import calling
from lethe_vllm.errors import (
    ConflictError,
    SelectionError,
    UnavailableError,
    UnknownProfileError,
    UnsupportedError,
)


class RequestIdError(LetheError):
    """A request's own id is not one that may stand in logs."""


class TooLargeError(LetheError):
    """A request's body is larger than the server reads."""


class UnauthenticatedError(LetheError):
    """The request has no key of the server's policy."""


class NotPermittedError(LetheError):
    """The operator does not permit what was asked for, or not to the request's key."""


class PolicyError(LetheError):
    """The policy file is missing or wrong."""


STATUS: dict[type[LetheError], tuple[int, str]] = {
    ArtifactError: (400, "BadRequestError"),
    CompositionError: (400, "BadRequestError"),
    RequestIdError: (400, "BadRequestError"),
    SelectionError: (400, "BadRequestError"),
    UnauthenticatedError: (401, "AuthenticationError"),
    NotPermittedError: (403, "PermissionDeniedError"),
    UnknownProfileError: (404, "NotFoundError"),
    UnknownExperimentError: (404, "NotFoundError"),
    IncompatibleError: (409, "ConflictError"),
    UnsupportedError: (409, "ConflictError"),
    ConflictError: (409, "ConflictError"),
    PolicyError: (409, "ConflictError"),
    TooLargeError: (413, "ContentTooLargeError"),
    UnavailableError: (503, "ServiceUnavailableError"),
    LetheError: (500, "InternalServerError"),
}
"""HTTP status and OpenAI error type; a subclass has those of its nearest base here."""


def response(error: LetheError) -> JSONResponse:
    """The HTTP answer to an error."""
    status, kind = next(STATUS[base] for base in type(error).__mro__ if base in STATUS)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse(body(_message(error), kind, status), status_code=status, headers=headers)


def _message(error: LetheError) -> str:
    """What is wrong; of names, those alone that whoever asks may know."""
    caller = calling.get()
    if isinstance(error, UnknownProfileError) and caller.profiles is not None and not caller.admin:
        return (
            "profile: expected a name and digest that there are now, found others; "
            "GET /v1/unlearning/profiles lists those that you may use"
        )
    return str(error)


def body(message: str, kind: str, status: int) -> dict[str, Any]:
    """OpenAI's error body, with the status as its code like vLLM's own."""
    return {"error": {"message": message, "type": kind, "param": None, "code": status}}


def attach(app: FastAPI) -> None:
    """Makes every route of an application answer Lethe's errors like this."""
    app.add_exception_handler(LetheError, _handle)


async def _handle(request: Request, error: Exception) -> JSONResponse:
    exchange_of(request.scope).refused = type(error).__name__
    return response(error if isinstance(error, LetheError) else LetheError(str(error)))
