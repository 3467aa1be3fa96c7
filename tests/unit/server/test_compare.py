"""The comparison: through the application's own chat route, all or nothing."""

from typing import Any

import httpx
import pytest
from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lethe_projections import artifact

from .fakes import Server, make

URL = "/v1/unlearning/compare"
MESSAGES = [{"role": "user", "content": "Hi"}]
FRANCE = make(1)


@pytest.fixture
def server(server: Server) -> Server:
    server.serving.catalogue.put("france", FRANCE)
    return server


def compare(server: Server, profiles: list[str], **more: Any) -> httpx.Response:
    return server.post(URL, json={"messages": MESSAGES, "profiles": profiles, **more})


def test_each_variant_answers_in_the_order_asked(server: Server) -> None:
    found = compare(server, ["france", "base"]).json()
    assert found["object"] == "unlearning.comparison"
    assert found["model"] == "smollm2"
    assert [result["text"] for result in found["results"]] == ["as france", "as base"]
    assert [result["digest"] for result in found["results"]] == [artifact.digest(FRANCE), None]
    assert all(result["latency_ms"] > 0 for result in found["results"])


@pytest.mark.parametrize(
    ("profiles", "more", "status"),
    [
        (["base", "spain"], {}, 404),
        (["base", "base"], {}, 400),
        (["france", f"france@{artifact.digest(FRANCE)[:12]}"], {}, 400),
        (["France"], {}, 400),
        (["france+base"], {}, 400),
        (["base"], {"model": "smollm2:france"}, 400),
        ([], {}, 422),
        (["base"] * 17, {}, 422),
        (["base"], {"vllm_xargs": {"unlearning_profile": "france"}}, 422),
        (["base"], {"max_tokens": 0}, 422),
    ],
)
def test_a_wrong_comparison_is_refused_before_anything_is_generated(
    server: Server, profiles: list[str], more: dict[str, Any], status: int
) -> None:
    # vLLM's own application turns the 422 of FastAPI into its 400.
    assert compare(server, profiles, **more).status_code == status
    assert not server.serving.answered


def test_the_callers_credentials_go_along(server: Server) -> None:
    class Guard:
        """As vLLM's: outside of Lethe's middleware."""

        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if Request(scope).headers.get("authorization") == "Bearer key":
                await self.app(scope, receive, send)
            else:
                await JSONResponse({"error": "Unauthorized"}, 401)(scope, receive, send)

    server.app.add_middleware(Guard)
    assert compare(server, ["base"]).status_code == 401
    body = {"messages": MESSAGES, "profiles": ["base", "france"]}
    reply = server.post(URL, json=body, headers={"authorization": "Bearer key"})
    assert [result["text"] for result in reply.json()["results"]] == ["as base", "as france"]


def test_a_variants_error_is_the_comparisons(server: Server) -> None:
    server.engine.refused.add(artifact.digest(FRANCE))
    reply = compare(server, ["base", "france"])
    assert reply.status_code == 503
    assert reply.json()["error"]["code"] == 503
