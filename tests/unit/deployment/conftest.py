"""What a deployed command line comes to."""

from argparse import Namespace
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

Understood = Callable[[list[str]], tuple[dict[str, Any], Namespace]]


@pytest.fixture
def understood(monkeypatch: pytest.MonkeyPatch) -> Understood:
    """Lethe's own options of a command and vLLM's; a test fails where either does not know one."""
    # Here, because they import vLLM, which `make check` would wait for.
    from lethe_server import compat
    from lethe_server import serve as serving
    from lethe_server.cli import app

    called: list[tuple[str, list[str], dict[str, Any]]] = []
    monkeypatch.setattr(serving, "serve", lambda *arguments: called.append(arguments))

    def of(words: list[str]) -> tuple[dict[str, Any], Namespace]:
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        model, extra, own = called.pop()
        return own, compat.parse_serve([model, *extra])

    return of
