"""Lethe's errors in the form in which vLLM hands them on.

`AsyncLLM.generate` lets a few kinds of its own pass, and hides every other behind an empty 500.
"""

from http import HTTPStatus

from vllm import exceptions

from lethe_projections.errors import LetheError


def told(error: LetheError) -> Exception:
    """The error as vLLM's own, with message and status; itself where vLLM has no such form."""
    form = getattr(exceptions, "GracefulHTTPError", None)
    if form is None:
        return error
    found: Exception = form(str(error), HTTPStatus(error.http_status))
    return found
