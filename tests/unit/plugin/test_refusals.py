"""Lethe's errors as vLLM hands them on: with their message, and the status of HTTP."""

import pytest
from vllm.entrypoints.serve.exception_handling.error_response import create_error_response

from lethe_projections.errors import CompositionError, LetheError
from lethe_server.errors import NotPermittedError
from lethe_vllm.compat import refusals
from lethe_vllm.errors import (
    SelectionError,
    UnavailableError,
    UnknownProfileError,
    UnsupportedError,
)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (SelectionError, 400),
        (CompositionError, 400),
        (NotPermittedError, 403),
        (UnknownProfileError, 404),
        (UnsupportedError, 409),
        (UnavailableError, 503),
        (LetheError, 500),
    ],
)
def test_an_error_keeps_its_message_and_has_its_status(kind: type[LetheError], status: int) -> None:
    found = create_error_response(refusals.told(kind("expected one, found none"))).error
    assert (found.message, found.code) == ("expected one, found none", status)
