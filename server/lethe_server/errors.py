"""From Lethe's errors to HTTP: OpenAI's error body. Knows nothing of the engine.

Each class has its status:

    LetheError                               500
    ├── ArtifactError, SelectionError,
    │   CompositionError, RequestIdError     400
    ├── UnauthenticatedError                 401
    ├── NotPermittedError                    403
    ├── UnknownProfileError,
    │   UnknownExperimentError               404
    ├── IncompatibleError, UnsupportedError,
    │   ConflictError, PolicyError           409
    ├── PreconditionError                    412
    ├── TooLargeError                        413
    └── UnavailableError                     503

The tree itself is drawn in `lethe_projections.errors` and `lethe_vllm.errors`; experiments have two
of their own.
"""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from lethe_projections.errors import LetheError
from lethe_server.exchange import exchange_of
from lethe_server.policy.caller import calling
from lethe_vllm.errors import UnknownProfileError


class RequestIdError(LetheError):
    """A request's own id is not one that may stand in logs."""

    http_status = 400


class TooLargeError(LetheError):
    """A request's body is larger than the server reads."""

    http_status = 413


class UnauthenticatedError(LetheError):
    """The request has no key of the server's policy."""

    http_status = 401


class NotPermittedError(LetheError):
    """The operator does not permit what was asked for, or not to the request's key."""

    http_status = 403


class PolicyError(LetheError):
    """The policy file is missing or wrong."""

    http_status = 409


TYPES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    412: "PreconditionFailedError",
    413: "ContentTooLargeError",
    500: "InternalServerError",
    503: "ServiceUnavailableError",
}
"""OpenAI's error type by status."""


def response(error: LetheError) -> JSONResponse:
    """The HTTP answer to an error."""
    headers = {"WWW-Authenticate": "Bearer"} if error.http_status == 401 else None
    found = body(_message(error), TYPES[error.http_status], error.http_status)
    return JSONResponse(found, status_code=error.http_status, headers=headers)


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
