"""Lethe's errors in the form in which vLLM hands them on.

`AsyncLLM.generate` lets a few kinds of its own pass, and hides every other behind an empty 500.
"""

from http import HTTPStatus

from vllm import exceptions

from lethe_projections.errors import CompositionError, IncompatibleError, LetheError
from lethe_vllm.errors import (
    ConflictError,
    SelectionError,
    UnavailableError,
    UnknownProfileError,
    UnsupportedError,
)

STATUS: dict[type[LetheError], int] = {
    SelectionError: 400,
    CompositionError: 400,
    UnknownProfileError: 404,
    UnsupportedError: 409,
    IncompatibleError: 409,
    ConflictError: 409,
    UnavailableError: 503,
    LetheError: 500,
}
"""As over HTTP; a subclass has that of its nearest base here."""


def told(error: LetheError) -> Exception:
    """The error as vLLM's own, with message and status; itself where vLLM has no such form."""
    form = getattr(exceptions, "GracefulHTTPError", None)
    if form is None:
        return error
    status = next(STATUS[base] for base in type(error).__mro__ if base in STATUS)
    found: Exception = form(str(error), HTTPStatus(status))
    return found
