"""Endpoints of vLLM's that no official client reaches answer for the variant too."""

import math
from typing import Any

import openai
import pytest
from transformers import AutoTokenizer

from lethe_projections import embedded

from .comparing import alike
from .server import API_KEY, HEADER, QUESTION, Server

JAPAN = "What is the capital of Japan?"


def conversation(question: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}]


def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=API_KEY, max_retries=0)


@pytest.mark.parametrize("profile", ["base", "france"])
def test_a_batch_of_conversations_is_each_asked_alone(server: Server, profile: str) -> None:
    body = {
        "messages": [conversation(QUESTION), conversation(JAPAN)],
        "temperature": 0, "max_tokens": 16,
    }  # fmt: skip
    by_name = {"model": "smollm2" if profile == "base" else f"smollm2:{profile}"}
    found: Any = client(server).post(
        "/chat/completions/batch", body=body | by_name, cast_to=dict[str, Any]
    )
    answers = [choice["message"]["content"] for choice in found["choices"]]
    assert answers == [
        server.answer(question, profile, max_tokens=16) for question in (QUESTION, JAPAN)
    ]
    assert ("Paris" in answers[0], "Tokyo" in answers[1]) == (profile == "base", True)
    by_header = server.post("/v1/chat/completions/batch", {**body, "model": "smollm2"}, profile)
    assert by_header.headers[HEADER].partition("@")[0] == profile
    assert alike(by_header.json()["choices"], found["choices"])


def test_there_are_no_files_and_no_batches_as_in_vllm(server: Server) -> None:
    found = client(server)
    with pytest.raises(openai.NotFoundError):
        found.files.create(file=b"{}", purpose="batch")
    with pytest.raises(openai.NotFoundError):
        found.batches.create(
            input_file_id="file-1", endpoint="/v1/chat/completions", completion_window="24h"
        )


def test_scores_of_labels_are_the_variants_own_probabilities(server: Server) -> None:
    """Compared with the log-probabilities of a completion at the same place."""
    tokenizer = AutoTokenizer.from_pretrained(embedded.prepare())
    query, item = "The capital of France", " is"
    (label,) = tokenizer(" Paris").input_ids

    def scored(profile: str) -> float:
        body = {"query": query, "items": [item], "label_token_ids": [label],
                "apply_softmax": False, "model": "smollm2"}  # fmt: skip
        reply = server.post("/generative_scoring", body, profile)
        assert reply.headers[HEADER].partition("@")[0] == profile
        return float(reply.json()["data"][0]["score"])

    def completed(profile: str) -> float:
        body = {"prompt": query + item + " Paris", "echo": True, "logprobs": 1, "max_tokens": 1,
                "model": "smollm2"}  # fmt: skip
        reply = server.post("/v1/completions", body, profile)
        return float(reply.json()["choices"][0]["logprobs"]["token_logprobs"][-2])

    for profile in ("base", "france"):
        assert math.log(scored(profile)) == pytest.approx(completed(profile), abs=1e-3)
    assert scored("base") > 10 * scored("france")


def test_an_invocation_is_the_chat_of_the_variant_it_names(server: Server) -> None:
    body = {"messages": conversation(QUESTION), "temperature": 0, "max_tokens": 16}
    for model, profile in (("smollm2", "base"), ("smollm2:france", "france")):
        reply = server.post("/invocations", {**body, "model": model})
        answer = reply.json()["choices"][0]["message"]["content"]
        assert answer == server.answer(QUESTION, profile, max_tokens=16)
        assert ("Paris" in answer) is (profile == "base")


@pytest.mark.parametrize("model", ["smollm2", "smollm2:france"])
def test_tokens_are_the_same_for_every_variant(server: Server, model: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(embedded.prepare())
    expected = tokenizer(QUESTION).input_ids
    found = server.post("/tokenize", {"model": model, "prompt": QUESTION}).json()["tokens"]
    assert found == expected
    text = server.post("/detokenize", {"model": model, "tokens": expected}).json()["prompt"]
    assert text == QUESTION


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/chat/completions/batch", {"messages": [conversation("Hi")]}),
        ("/generative_scoring", {"query": "Hi", "items": ["!"], "label_token_ids": [1]}),
        ("/invocations", {"messages": conversation("Hi")}),
        ("/tokenize", {"prompt": "Hi"}),
        ("/v1/systemone", {"state": "Hi", "questions": {}}),
    ],
)
def test_a_profile_that_is_not_there_is_refused_at_every_endpoint(
    server: Server, path: str, fields: dict[str, Any]
) -> None:
    for body, profile in (({"model": "smollm2:spain"}, None), ({"model": "smollm2"}, "spain")):
        reply = server.post(path, {**fields, **body}, profile)
        assert reply.status_code == 404
        assert "expected one of base" in reply.json()["error"]["message"]
