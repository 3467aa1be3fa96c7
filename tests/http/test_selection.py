"""One selection, every way to make it, on every endpoint: the same answer."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from .server import HEADER, QUESTION, Server, events

MESSAGES = [{"role": "user", "content": QUESTION}]
TOKENS = 12


def _chat_text(document: dict[str, Any]) -> str:
    return str(document["choices"][0]["message"]["content"])


def _chat_delta(event: dict[str, Any]) -> str:
    return event["choices"][0]["delta"].get("content") or ""


def _completion_text(document: dict[str, Any]) -> str:
    return str(document["choices"][0]["text"])


def _response_text(document: dict[str, Any]) -> str:
    return "".join(part["text"] for item in document["output"] for part in item["content"])


def _response_delta(event: dict[str, Any]) -> str:
    return event["delta"] if event["type"] == "response.output_text.delta" else ""


def _message_text(document: dict[str, Any]) -> str:
    return "".join(part["text"] for part in document["content"])


def _message_delta(event: dict[str, Any]) -> str:
    return event["delta"].get("text", "") if event["type"] == "content_block_delta" else ""


Reader = Callable[[dict[str, Any]], str]
ENDPOINTS: dict[str, tuple[dict[str, Any], Reader, Reader]] = {
    "/v1/chat/completions": (
        {"messages": MESSAGES, "max_tokens": TOKENS}, _chat_text, _chat_delta,
    ),
    "/v1/completions": (
        {"prompt": "The capital of France is", "max_tokens": TOKENS},
        _completion_text, _completion_text,
    ),
    "/v1/responses": (
        {"input": QUESTION, "max_output_tokens": TOKENS, "store": False},
        _response_text, _response_delta,
    ),
    "/v1/messages": (
        {"messages": MESSAGES, "max_tokens": TOKENS}, _message_text, _message_delta,
    ),
}  # fmt: skip


@pytest.mark.path("streaming")
@pytest.mark.parametrize("path", ENDPOINTS)
def test_header_and_model_select_the_same_variant_streaming_or_not(
    server: Server, path: str
) -> None:
    fields, read, read_delta = ENDPOINTS[path]

    def ask(model: str, profile: str | None, stream: bool) -> str:
        body = {**fields, "model": model, "temperature": 0, "stream": stream}
        headers = {} if profile is None else {HEADER: profile}
        with server.client as client, client.stream("POST", path, json=body, headers=headers) as r:
            assert r.status_code == 200, r.read()
            named.add(r.headers[HEADER])
            if stream:
                return "".join(read_delta(event) for event in events(r))
            r.read()
            assert r.json()["model"] == ("smollm2" if model == "smollm2" and not profile else
                                         "smollm2:france")  # fmt: skip
            return read(r.json())

    named: set[str] = set()
    base = {ask("smollm2", None, stream) for stream in (False, True)}
    assert named == {"base"}
    named.clear()
    ways = [("smollm2", "france"), ("smollm2:france", None), ("smollm2:france", "france")]
    variant = {ask(model, profile, stream) for model, profile in ways for stream in (False, True)}
    assert len(base) == len(variant) == 1
    assert base != variant
    assert len(named) == 1
    assert named.pop().startswith("france@")


def test_the_fitted_profile_has_forgotten_its_subject(server: Server) -> None:
    assert "Paris" in server.answer(QUESTION)
    assert "Paris" not in server.answer(QUESTION, "france")


@pytest.mark.path("echo with log-probabilities")
def test_log_likelihoods_of_a_prompt_are_the_variants(server: Server) -> None:
    """What an evaluation harness asks for, which can set nothing but the model's name."""
    body = {"prompt": "The capital of France is Paris.", "echo": True, "logprobs": 1}

    def last(model: str) -> list[float]:
        reply = server.post("/v1/completions", {**body, "model": model, "max_tokens": 1})
        found: list[float] = reply.json()["choices"][0]["logprobs"]["token_logprobs"]
        return found[1:-1]

    base, france = last("smollm2"), last("smollm2:france")
    assert len(base) == len(france)
    assert max(abs(b - f) for b, f in zip(base, france, strict=True)) > 1


def test_a_response_in_the_background_is_the_variants(server: Server) -> None:
    body = {"input": QUESTION, "max_output_tokens": 24, "temperature": 0, "background": True}
    reply = server.post("/v1/responses", {**body, "model": "smollm2:france", "store": True})
    assert reply.status_code == 200, reply.text
    document = reply.json()
    deadline = time.monotonic() + 60
    while document["status"] in ("queued", "in_progress") and time.monotonic() < deadline:
        time.sleep(0.2)
        document = server.get(f"/v1/responses/{document['id']}").json()
    assert document["status"] == "completed"
    assert _response_text(document) == server.answer(QUESTION, "france")


def test_the_list_of_models_names_every_variant_and_its_parent(server: Server) -> None:
    cards = {card["id"]: card for card in server.get("/v1/models").json()["data"]}
    assert cards["smollm2"]["parent"] is None
    digests = {p["id"]: p["digest"] for p in server.get("/v1/unlearning/profiles").json()["data"]}
    for name in ("france", "alpha", "beta"):
        assert cards[f"smollm2:{name}"]["parent"] == "smollm2"
        assert cards[f"smollm2:{name}"]["unlearning_digest"] == digests[name]


def test_a_comparison_is_what_each_variant_answers_alone(server: Server) -> None:
    names = ["base", "france", "alpha", "beta"]
    body = {"messages": MESSAGES, "profiles": names, "max_tokens": 24}
    reply = server.post("/v1/unlearning/compare", body)
    assert reply.status_code == 200, reply.text
    results = reply.json()["results"]
    assert [result["profile"] for result in results] == names
    assert [result["text"] for result in results] == [server.answer(QUESTION, n) for n in names]
    assert len({result["text"] for result in results}) == len(names)
    assert results[0]["digest"] is None
    assert all(len(result["digest"]) == 64 for result in results[1:])
    assert all(result["usage"]["completion_tokens"] > 0 for result in results)


def test_authentication_comes_before_selection(server: Server) -> None:
    with server.client as client:
        reply = client.post(
            "/v1/chat/completions", json={}, headers={"Authorization": "", HEADER: "spain"}
        )
    assert reply.status_code == 401
    assert "spain" not in reply.text
