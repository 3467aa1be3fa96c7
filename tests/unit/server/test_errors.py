"""From an error's class to its HTTP status."""

import json

import pytest

from lethe_projections import errors as projections
from lethe_server.errors import (
    NotPermittedError,
    PolicyError,
    TooLargeError,
    UnauthenticatedError,
    response,
)
from lethe_server.experiments.experiment import UnknownExperimentError
from lethe_vllm import errors as engine


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (projections.ArtifactError, 400),
        (projections.CompositionError, 400),
        (engine.SelectionError, 400),
        (UnauthenticatedError, 401),
        (NotPermittedError, 403),
        (PolicyError, 409),
        (engine.UnknownProfileError, 404),
        (UnknownExperimentError, 404),
        (engine.ConflictError, 409),
        (projections.IncompatibleError, 409),
        (engine.UnsupportedError, 409),
        (engine.PreconditionError, 412),
        (TooLargeError, 413),
        (engine.UnavailableError, 503),
        (projections.CheckpointError, 500),
        (projections.LetheError, 500),
    ],
)
def test_an_error_has_a_status(error: type[projections.LetheError], status: int) -> None:
    reply = response(error("expected this, found that"))
    assert reply.status_code == status
    found = json.loads(bytes(reply.body))["error"]
    assert found["message"] == "expected this, found that"
    assert found["code"] == status


def test_a_subclass_is_answered_as_its_base() -> None:
    class TruncatedError(projections.ArtifactError):
        pass

    assert response(TruncatedError("x")).status_code == 400
