"""Lethe's errors as vLLM hands them on: with their message, and the status of HTTP."""

import pytest
from vllm import exceptions
from vllm.entrypoints.serve.exception_handling.error_response import create_error_response

from lethe_projections.errors import LetheError
from lethe_server import errors
from lethe_vllm.compat import refusals
from lethe_vllm.errors import UnknownProfileError


@pytest.mark.parametrize("kind", refusals.STATUS)
def test_an_error_keeps_its_message_and_has_the_status_that_http_gives_it(
    kind: type[LetheError],
) -> None:
    found = create_error_response(refusals.told(kind("expected one, found none"))).error
    assert (found.message, found.code) == ("expected one, found none", errors.STATUS[kind][0])


def test_where_vllm_has_no_such_form_the_error_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(exceptions, "GracefulHTTPError")
    error = UnknownProfileError("none")
    assert refusals.told(error) is error
