"""The comparison: through the application's own chat route, all or nothing."""

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lethe_projections import artifact

from .fakes import Server, Streams, make

URL = "/v1/unlearning/compare"
MESSAGES = [{"role": "user", "content": "Hi"}]
FRANCE = make(1)
IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}


@pytest.fixture
def server(server: Server) -> Server:
    server.serving.catalogue.put("france", FRANCE)
    server.serving.catalogue.put("scoped", scoped())
    return server


def scoped() -> bytes:
    """A profile that edits what is generated, and no prompt."""
    plain = artifact.from_bytes(make(2))
    projectors = tuple(replace(one, scope="generated") for one in plain.projectors)
    return artifact.to_bytes(replace(plain, projectors=projectors))


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
        (["base"], {"n": 2}, 422),
        (["base"], {"prompt": "Hi"}, 422),
        (["base"], {"messages": None}, 422),
        (["base"], {"messages": None, "prompt": []}, 422),
        (["base"], {"messages": None, "prompt": ["Hi", "Ho"]}, 422),
        (["base"], {"messages": None, "prompt": [-1]}, 422),
        (["base", "spain"], {"stream": True}, 404),
        (["scoped"], {"score": True}, 400),
        (["base"], {"messages": [IMAGE], "score": True}, 400),
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


def test_an_engine_that_tells_logits_is_no_judge(server: Server) -> None:
    app = server.app
    app.state.lethe = replace(server.serving, top_logprobs=None)
    reply = compare(server, ["base"], score=True)
    assert reply.status_code == 409
    assert "--logprobs-mode" in reply.json()["error"]["message"]
    assert compare(server, ["base"]).status_code == 200


def test_in_a_stream_a_variants_error_is_its_own(server: Server) -> None:
    server.engine.refused.add(artifact.digest(FRANCE))
    found = streamed(server, ["base", "france"])
    assert [event["index"] for event in found].count(1) == 1
    [failed] = [event for event in found if event["index"] == 1]
    assert failed["object"] == "unlearning.comparison.error"
    assert failed["error"]["code"] == 503
    pieces = [event["delta"] for event in found if event["object"].endswith(".delta")]
    assert "".join(piece.get("content", "") for piece in pieces) == "as base"
    assert [event["finish_reason"] for event in found if "usage" in event] == ["stop"]


@pytest.mark.parametrize(
    ("documents", "status", "says"),
    [
        ([{"error": {"message": "engine died", "code": 503}}], 503, "engine died"),
        ([{"choices": [{"delta": {"content": "a"}}]}], 500, "found its stream broken off"),
    ],
)
def test_an_answer_that_breaks_off_is_an_error(
    server: Server, documents: list[dict[str, Any]], status: int, says: str
) -> None:
    server.app.add_middleware(Streams, documents=documents)
    reply = compare(server, ["base"])
    assert reply.status_code == status
    assert says in reply.json()["error"]["message"]
    *_, failed = streamed(server, ["base"])
    assert says in failed["error"]["message"]


def streamed(server: Server, profiles: list[str]) -> list[dict[str, Any]]:
    lines = [line for line in compare(server, profiles, stream=True).text.splitlines() if line]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
