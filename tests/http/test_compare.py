"""A comparison is what each variant says alone, as it comes, and its scores are the formulas'."""

import asyncio
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import httpx
import pytest
import torch
from torch import Tensor

from lethe_projections import artifact, embedded, reference
from lethe_projections.base_model import BaseModel

from .profiles import synthetic
from .server import API_KEY, QUESTION, Server, events

URL = "/v1/unlearning/compare"
MESSAGES = [{"role": "user", "content": QUESTION}]
STORY = [{"role": "user", "content": "Write a long story about a lighthouse keeper and his dog."}]
PROMPT = "The capital of France is"
NAMES = ["base", "france", "alpha", "beta"]
TOLERANCE = 1e-3
EFFECT = 100 * TOLERANCE


def compare(server: Server, **body: Any) -> dict[str, Any]:
    reply = server.post(URL, {"profiles": NAMES, "max_tokens": 24, **body})
    assert reply.status_code == 200, reply.text
    document: dict[str, Any] = reply.json()
    return document


@contextmanager
def streaming(server: Server, **body: Any) -> Iterator[httpx.Response]:
    body = {"profiles": NAMES, "max_tokens": 24, "stream": True, **body}
    with server.client as client, client.stream("POST", URL, json=body) as reply:
        assert reply.status_code == 200, reply.read()
        assert reply.headers["content-type"].startswith("text/event-stream")
        yield reply


def streamed(server: Server, **body: Any) -> list[dict[str, Any]]:
    with streaming(server, **body) as reply:
        return list(events(reply))


def of_kind(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in found if event["object"] == f"unlearning.comparison.{kind}"]


def texts(found: list[dict[str, Any]]) -> list[str]:
    said = [""] * len(NAMES)
    for event in of_kind(found, "delta"):
        assert event["profile"] == NAMES[event["index"]]
        said[event["index"]] += event["delta"].get("content", "")
    return said


def test_a_stream_interleaves_the_answers_and_they_are_those_of_json(server: Server) -> None:
    asked = {"messages": STORY, "ignore_eos": True}
    whole = compare(server, **asked)["results"]
    found = streamed(server, **asked)
    assert texts(found) == [result["text"] for result in whole]
    assert len(set(texts(found))) == len(NAMES)
    ends = sorted(of_kind(found, "finished"), key=lambda event: event["index"])
    for end, result in zip(ends, whole, strict=True):
        assert end["finish_reason"] == result["finish_reason"] == "length"
        assert end["usage"]["completion_tokens"] == result["usage"]["completion_tokens"] == 24
        assert end["digest"] == result["digest"]
    # One after the other would be three changes of variant.
    order = [event["index"] for event in of_kind(found, "delta")]
    assert sum(a != b for a, b in pairwise(order)) > 20
    last_to_begin = max(order.index(index) for index in range(len(NAMES)))
    assert last_to_begin < min(found.index(end) for end in ends)


def test_a_stream_says_that_it_is_done(server: Server) -> None:
    with streaming(server, messages=MESSAGES, max_tokens=2) as reply:
        assert [line for line in reply.iter_lines() if line][-1] == "data: [DONE]"


def test_what_is_asked_twice_or_not_at_all_is_refused(server: Server) -> None:
    for prompts in ({"messages": MESSAGES, "prompt": PROMPT}, {}, {"prompt": []}):
        reply = server.post(URL, {"profiles": NAMES, **prompts})
        assert reply.status_code == 400
        assert "found" in reply.json()["error"]["message"]
    unknown = server.post(URL, {"profiles": NAMES, "messages": MESSAGES, "vllm_xargs": {}})
    assert unknown.status_code == 400
    assert "vllm_xargs" in unknown.text


@pytest.mark.parametrize("ids", [False, True], ids=["text", "token ids"])
def test_a_prompt_is_completed_as_by_each_variant_alone(server: Server, ids: bool) -> None:
    sampling = {"max_tokens": 12, "temperature": 0.7, "seed": 3, "top_p": 0.9, "stop": ["\n\n"]}
    prompt: Any = PROMPT
    if ids:
        body = {"model": "smollm2", "prompt": PROMPT}
        prompt = server.post("/tokenize", body).json()["tokens"]
    found = compare(server, prompt=prompt, **sampling)["results"]
    for result in found:
        body = {"model": "smollm2", "prompt": PROMPT, **sampling}
        alone = server.post("/v1/completions", body, result["profile"]).json()["choices"][0]
        assert (result["text"], result["finish_reason"]) == (alone["text"], alone["finish_reason"])
    assert len({result["text"] for result in found}) > 2


def test_an_error_of_one_variant_is_its_own_in_a_stream_and_everyones_in_json(
    server: Server, base: BaseModel
) -> None:
    # Put there behind the server's back: it edits where this server has no site.
    file = server.log.parent / "profiles" / "elsewhere.safetensors"
    file.write_bytes(synthetic(base, 31, hook="attn"))
    try:
        names = ["base", "elsewhere", "alpha"]
        asked = {"messages": MESSAGES, "profiles": names, "max_tokens": 8, "score": True}
        found = streamed(server, **asked)
        whole = server.post(URL, asked)
    finally:
        file.unlink()
    [failed] = of_kind(found, "error")
    assert (failed["index"], failed["profile"]) == (1, "elsewhere")
    assert failed["error"]["code"] == 409
    assert "expected edits at installed sites" in failed["error"]["message"]
    assert {event["index"] for event in of_kind(found, "finished")} == {0, 2}
    [scores] = of_kind(found, "scores")
    assert [one["profile"] for one in scores["variants"]] == ["base", "alpha"]
    assert whole.status_code == 409
    assert whole.json()["error"] == failed["error"]


def test_the_command_shows_what_the_server_says(server: Server) -> None:
    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        asked = ["compare", QUESTION, "--url", server.url, "--max-tokens", "24", *arguments]
        command = [sys.executable, "-m", "lethe_server", *asked]
        environment = {**os.environ, "LETHE_API_KEY": API_KEY, "COLUMNS": "200"}
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, check=False, timeout=120
        )

    results = compare(server, messages=MESSAGES, profiles=["base", "france"])["results"]
    found = run("--profiles", "base,france", "--json")
    assert found.returncode == 0, found.stderr
    assert [one["text"] for one in json.loads(found.stdout)["results"]] == [
        result["text"] for result in results
    ]
    shown = run("--profiles", "base,france", "--score")
    assert shown.returncode == 0, shown.stderr
    for result in results:
        assert result["text"].split()[-1] in shown.stdout
    assert "KL from base" in shown.stdout
    refused = run("--profiles", "base,spain")
    assert refused.returncode == 1
    assert "expected one of base" in refused.stderr


GAUGE = "vllm:num_requests_running{"
ENDLESS = {"messages": STORY, "profiles": NAMES, "max_tokens": 1800, "ignore_eos": True}
"""Takes longer than any test."""


def running(server: Server) -> int:
    """Requests in the engine."""
    # A step refreshes what is told of them: after an abort there may be none.
    assert server.chat("Hi", max_tokens=1).status_code == 200
    lines = server.get("/metrics").text.splitlines()
    return int(sum(float(line.split()[-1]) for line in lines if line.startswith(GAUGE)))


def comes_to(server: Server, requests: int) -> bool:
    deadline = time.monotonic() + 30
    while running(server) != requests and time.monotonic() < deadline:
        time.sleep(0.1)
    return running(server) == requests


def test_hanging_up_a_stream_ends_every_variant_in_the_engine(server: Server) -> None:
    with streaming(server, **ENDLESS) as reply:
        found = events(reply)  # kept: a reader that is forgotten hangs up
        assert {next(found)["index"] for _ in range(40)} == set(range(len(NAMES)))
        assert comes_to(server, len(NAMES)), "they do not run at once"
    assert comes_to(server, 0)


def test_hanging_up_on_json_ends_every_variant_in_the_engine(server: Server) -> None:
    async def hang_up() -> None:
        headers = dict(server.client.headers)
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=300) as client:
            asking = asyncio.create_task(client.post(URL, json=ENDLESS))
            assert await asyncio.to_thread(comes_to, server, len(NAMES))
            asking.cancel()
            await asyncio.wait([asking])

    asyncio.run(hang_up())
    assert comes_to(server, 0)


@pytest.fixture(scope="module")
def model() -> Any:
    """The independent reference, in float32."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(embedded.prepare(), dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def prompts() -> dict[str, tuple[dict[str, Any], list[int]]]:
    """What is sent, and the token ids that it is."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(embedded.prepare())
    chat = tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, tokenize=False)
    ids = tokenizer(PROMPT).input_ids
    return {
        "messages": ({"messages": MESSAGES}, tokenizer(chat, add_special_tokens=False).input_ids),
        "prompt": ({"prompt": ids}, ids),
        # Hot enough for tokens that are not among the likeliest.
        "sampled": ({"prompt": ids, "temperature": 2.0, "seed": 1}, ids),
    }


@pytest.mark.parametrize("kind", ["messages", "prompt", "sampled"])
def test_scores_are_what_transformers_gives_the_bases_answer(
    server: Server, model: Any, prompts: dict[str, tuple[dict[str, Any], list[int]]], kind: str
) -> None:
    sent, prompt = prompts[kind]
    names = ["alpha", "base", "france"]
    asked = {**sent, "profiles": names, "max_tokens": 16, "score": True}
    found = compare(server, **asked)
    texts = {result["profile"]: result["text"] for result in found["results"]}
    scores = found["scores"]
    answer = scores["reference"]["token_ids"]
    expected = distributions(server, model, names, prompt, answer)
    p, own = expected["base"], torch.tensor(answer)[:, None]
    assert torch.equal(p.argmax(-1), own[:, 0]) == (kind != "sampled")
    if kind == "sampled":
        assert (p.gather(1, own) < p.topk(20).values[:, -1:]).any(), "all are among the likeliest"
    assert scores["reference"]["text"] == texts["base"]
    near(scores["reference"]["logprobs"], p.gather(1, own)[:, 0])
    for one in scores["variants"]:
        q = expected[one["profile"]]
        logprobs = q.gather(1, own)[:, 0]
        near(one["logprobs"], logprobs)
        near(one["mean_logprob"], logprobs.mean())
        near(one["mean_logprob_difference"], (logprobs - p.gather(1, own)[:, 0]).mean())
        near(math.log(one["perplexity"]), -logprobs.mean())
        near(one["kl_lower_bound"], coarsened_kl(p, q, own))
        near(one["mean_kl_lower_bound"], coarsened_kl(p, q, own).mean())
        whole = (p.exp() * (p - q)).sum(-1)
        assert (torch.tensor(one["kl_lower_bound"]) <= whole + TOLERANCE).all()
        assert one["rouge_l"] == pytest.approx(rouge(texts[one["profile"]], texts["base"]))
    alpha, base, france = scores["variants"]
    for edited in (alpha, france):
        assert abs(edited["mean_logprob_difference"]) > EFFECT
        assert edited["mean_kl_lower_bound"] > EFFECT
        assert edited["rouge_l"] < 1
    assert base["mean_logprob_difference"] == 0
    assert base["kl_lower_bound"] == [0] * len(answer)
    assert base["rouge_l"] == 1


def test_scores_do_not_depend_on_who_is_shown(server: Server) -> None:
    asked = {"messages": MESSAGES, "max_tokens": 8, "score": True}
    alone = compare(server, profiles=["alpha"], **asked)
    assert [result["profile"] for result in alone["results"]] == ["alpha"]
    [one] = alone["scores"]["variants"]
    beside = compare(server, profiles=["base", "alpha"], **asked)["scores"]
    assert beside["reference"]["token_ids"] == alone["scores"]["reference"]["token_ids"]
    near(one["logprobs"], torch.tensor(beside["variants"][1]["logprobs"]))
    found = streamed(server, profiles=["alpha"], **asked)
    assert {event.get("profile") for event in found} == {"alpha", None}
    [scores] = of_kind(found, "scores")
    near(one["logprobs"], torch.tensor(scores["variants"][0]["logprobs"]))


def test_what_edits_prompts_differently_is_not_scored_by_them(
    server: Server, base: BaseModel
) -> None:
    plain = artifact.from_bytes(synthetic(base, 32))
    scoped = replace(
        plain, projectors=tuple(replace(one, scope="generated") for one in plain.projectors)
    )
    assert server.put("scoped", artifact.to_bytes(scoped)).status_code == 201
    asked = {"messages": MESSAGES, "profiles": ["base", "scoped"], "max_tokens": 4}
    refused = server.post(URL, {**asked, "score": True})
    served = server.post(URL, asked)
    server.delete("scoped")
    assert refused.status_code == 400
    assert "found scoped with scopes" in refused.json()["error"]["message"]
    assert served.status_code == 200


def distributions(
    server: Server, model: Any, names: list[str], prompt: list[int], answer: list[int]
) -> dict[str, Tensor]:
    """By variant, [tokens, vocabulary] log-probabilities at each token of an answer."""

    def logprobs() -> Tensor:
        with torch.no_grad():
            logits = model(torch.tensor([prompt + answer])).logits[0]
        return logits[len(prompt) - 1 : -1].double().log_softmax(-1)

    found = {}
    for name in names:
        if name == "base":
            found[name] = logprobs()
            continue
        file = server.log.parent / "profiles" / f"{name}.safetensors"
        with reference.edited(model, artifact.read(file)):
            found[name] = logprobs()
    return found


def coarsened_kl(p: Tensor, q: Tensor, own: Tensor) -> Tensor:
    """KL over the tokens of both top 20, the answer's own, and one bucket for all others."""

    def told(distribution: Tensor) -> Tensor:
        top = distribution.topk(20).indices
        return torch.zeros_like(distribution, dtype=torch.bool).scatter_(
            1, torch.cat([top, own], 1), True
        )

    common = told(p) & told(q)
    kept = (p.exp() * (p - q) * common).sum(-1)
    rest = [(one.exp() * ~common).sum(-1) for one in (p, q)]
    return kept + rest[0] * (rest[0] / rest[1]).log()


def rouge(candidate: str, wanted: str) -> float:
    """By recursion over all pairs of suffixes."""
    one, other = ("".join(c if c.isalnum() else " " for c in t.lower()).split() for t in
                  (candidate, wanted))  # fmt: skip

    @cache
    def longest(a: int, b: int) -> int:
        if a == len(one) or b == len(other):
            return 0
        if one[a] == other[b]:
            return 1 + longest(a + 1, b + 1)
        return max(longest(a + 1, b), longest(a, b + 1))

    return 2 * longest(0, 0) / (len(one) + len(other))


def near(found: Any, expected: Tensor) -> None:
    difference = (torch.tensor(found, dtype=torch.float64) - expected).abs().max()
    assert difference < TOLERANCE
