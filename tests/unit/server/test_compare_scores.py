"""Scores, on an engine whose log-probabilities are known; and who is asked for them."""

import json
import math
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import Request
from fastapi.responses import JSONResponse

from lethe_vllm.selection import current

from .fakes import Server, Streams, make

URL = "/v1/unlearning/compare"
LOGPROBS = {"base": -1.0, "france": -3.0, "japan": -1.5}
"""What each variant gives every token; one other token has half of what is left."""


@dataclass
class Reader:
    """vLLM's completions route, as far as it reads a prompt.

    Attributes:
        read: by variant, what it was asked to.
        refuses: these variants.
    """

    read: dict[str, dict[str, Any]] = field(default_factory=dict)
    refuses: set[str] = field(default_factory=set)

    async def __call__(self, request: Request) -> Any:
        variant = current.get()
        assert variant is not None
        if variant.name in self.refuses:
            return JSONResponse({"error": {"message": "no room", "code": 503}}, 503)
        body = self.read[variant.name] = await request.json()
        logprob = LOGPROBS[variant.name]
        other = math.log((1 - math.exp(logprob)) / 2)
        told = [
            {
                str(token): {"logprob": logprob, "decoded_token": f"<{token}>"},
                "99": {"logprob": other, "decoded_token": "?"},
            }
            for token in body["prompt"][1:]
        ]
        return {"choices": [{"prompt_logprobs": [None, *told]}]}


@pytest.fixture
def reader(server: Server) -> Reader:
    found = Reader()
    server.app.post("/v1/completions")(found.__call__)
    for seed, name in enumerate(["france", "japan"], 1):
        server.serving.catalogue.put(name, make(seed))
    return found


def compare(server: Server, *profiles: str, **more: Any) -> httpx.Response:
    body = {"messages": [{"role": "user", "content": "Hi"}], "profiles": profiles, "score": True}
    return server.post(URL, json={**body, **more})


def streamed(server: Server, *profiles: str) -> list[dict[str, Any]]:
    lines = [x for x in compare(server, *profiles, stream=True).text.splitlines() if x]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def of_kind(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in found if event["object"] == f"unlearning.comparison.{kind}"]


def test_every_number_is_by_its_formula(server: Server, reader: Reader) -> None:
    scores = compare(server, "base", "france").json()["scores"]
    reference = scores["reference"]
    assert (reference["text"], reference["token_ids"]) == ("as base", [0, 1])
    assert reference["tokens"] == ["<0>", "<1>"]
    assert reference["logprobs"] == [-1, -1]
    assert reference["perplexity"] == pytest.approx(math.e)
    base, france = scores["variants"]
    assert france["logprobs"] == [-3, -3]
    assert france["mean_logprob_difference"] == -2
    assert france["perplexity"] == pytest.approx(math.e**3)
    p, q = math.exp(-1), math.exp(-3)
    # Both of the other buckets have half of the rest.
    kl = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    assert france["kl_lower_bound"] == pytest.approx([kl, kl])
    assert france["mean_kl_lower_bound"] == pytest.approx(kl)
    assert france["rouge_l"] == pytest.approx(2 * 1 / (2 + 2))
    assert (base["mean_logprob_difference"], base["kl_lower_bound"]) == (0, [0, 0])
    assert base["rouge_l"] == 1


def test_all_read_the_bases_answer_after_its_prompt(server: Server, reader: Reader) -> None:
    compare(server, "france", "base")
    assert set(reader.read) == {"base", "france"}
    for body in reader.read.values():
        assert body["prompt"] == [7, 8, 0, 1]
        assert body["prompt_logprobs"] == server.serving.top_logprobs


def test_the_base_is_asked_for_the_scores_and_not_shown(server: Server, reader: Reader) -> None:
    found = compare(server, "france").json()
    assert [result["profile"] for result in found["results"]] == ["france"]
    assert [one["profile"] for one in found["scores"]["variants"]] == ["france"]
    assert found["scores"]["reference"]["text"] == "as base"
    events = streamed(server, "france")
    assert {event.get("profile") for event in events} == {"france", None}
    assert of_kind(events, "scores") == [found["scores"]]


def test_one_that_does_not_read_fails_alone_in_a_stream_and_for_all_in_json(
    server: Server, reader: Reader
) -> None:
    reader.refuses.add("france")
    events = streamed(server, "base", "france", "japan")
    [failed] = of_kind(events, "error")
    assert (failed["index"], failed["error"]["message"]) == (1, "no room")
    assert len(of_kind(events, "finished")) == 3
    [scores] = of_kind(events, "scores")
    assert [one["profile"] for one in scores["variants"]] == ["base", "japan"]
    assert scores["variants"][1]["mean_logprob_difference"] == -0.5
    reply = compare(server, "base", "france", "japan")
    assert (reply.status_code, reply.json()["error"]["message"]) == (503, "no room")


def test_without_the_base_there_is_no_score(server: Server, reader: Reader) -> None:
    reader.refuses.add("base")
    events = streamed(server, "france")
    [failed] = of_kind(events, "error")
    assert (failed["index"], failed["profile"]) == (None, "base")
    assert not of_kind(events, "scores")
    assert compare(server, "france").status_code == 503


def test_an_answer_of_which_tokens_are_missing_is_not_scored(
    server: Server, reader: Reader
) -> None:
    choice = {"delta": {"content": "as base"}, "token_ids": [0], "finish_reason": "stop"}
    usage = {"prompt_tokens": 2, "completion_tokens": 2}
    whole = {"choices": [choice], "prompt_token_ids": [7, 8], "usage": usage}
    server.app.add_middleware(Streams, documents=[whole])
    reply = compare(server, "base")
    assert reply.status_code == 500
    message = reply.json()["error"]["message"]
    assert (
        "expected ids of 2 and 2 tokens of prompt and answer to score by, found 2 and 1" in message
    )
    assert not reader.read
