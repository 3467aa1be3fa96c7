"""Lethe's errors in the form in which vLLM hands them on.

`AsyncLLM.generate` lets a few kinds of its own pass, and hides every other behind an empty 500.
"""

from http import HTTPStatus

from vllm.exceptions import GracefulHTTPError

from lethe_projections.errors import LetheError


def told(error: LetheError) -> Exception:
    """The error as vLLM's own, with message and status."""
    found: Exception = GracefulHTTPError(str(error), HTTPStatus(error.http_status))
    return found
