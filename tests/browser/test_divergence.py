"""The divergences that the page shows, against those that Python computes of the same answers."""

import math
import random
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from lethe_server.compare.divergence import kl_lower_bound
from tests.http.server import HEADER, QUESTION, Server

from .chatting import CHAT, ask, column, fact, wait_until_answered
from .visiting import Visits, as_operator


def by_id(entries: list[dict[str, Any]]) -> dict[int, float]:
    return {int(e["token"].removeprefix("token_id:")): e["logprob"] for e in entries}


def expected(server: Server, profile: str) -> list[float]:
    """KL(base || profile), at least, at each token of the profile's answer."""
    body = {
        "model": "smollm2", "messages": [{"role": "user", "content": QUESTION}], "temperature": 0,
        "max_tokens": 16, "logprobs": True, "top_logprobs": 20, "return_token_ids": True,
        "return_tokens_as_token_ids": True,
    }  # fmt: skip
    with as_operator(server) as client:
        found = client.post(CHAT, json=body, headers={HEADER: profile}).json()
        prompt, choice = found["prompt_token_ids"], found["choices"][0]
        reading = {"model": "smollm2", "prompt": prompt + choice["token_ids"], "max_tokens": 1,
                   "prompt_logprobs": 20}  # fmt: skip
        told = client.post("/v1/completions", json=reading, headers={HEADER: "base"}).json()
    read = told["choices"][0]["prompt_logprobs"][len(prompt) :]
    bases = [{int(token): entry["logprob"] for token, entry in one.items()} for one in read]
    variants = [by_id([one, *one["top_logprobs"]]) for one in choice["logprobs"]["content"]]
    return list(map(kl_lower_bound, bases, variants))


def shown(page: Page, profile: str) -> list[float]:
    page.get_by_role("button", name=f"Table of tokens of {profile}").click()
    cells = column(page, profile).locator("table.tokens tbody td:nth-child(3)")
    return [float(text) for text in cells.all_text_contents()]


@pytest.mark.parametrize("profile", ["france", "alpha"])
def test_the_divergence_at_each_token_is_the_one_of_the_answers(
    visit: Visits, server: Server, profile: str
) -> None:
    page = visit(f"#/chat?columns=base,{profile}&max_tokens=16")
    ask(page, QUESTION)
    wait_until_answered(page, "base", profile)
    expect(fact(page, profile, "Mean KL")).to_be_visible()
    found = expected(server, profile)
    assert max(found) > 0.1, "this test would prove nothing"
    assert shown(page, profile) == pytest.approx(found, abs=2e-3)
    mean = float((fact(page, profile, "Mean KL").text_content() or "").removesuffix(" nats"))
    assert mean == pytest.approx(sum(found) / len(found), abs=2e-3)


def test_the_bound_is_pythons_for_any_two_distributions(visit: Visits) -> None:
    page = visit("#/nowhere")
    draw = random.Random(1)
    pairs = [(told(draw), told(draw)) for _ in range(200)]
    in_page = page.evaluate(
        """async (pairs) => {
          const { klLowerBound } = await import("/playground/chat/divergence.js");
          return pairs.map(([p, q]) => klLowerBound(new Map(p), new Map(q)));
        }""",
        [[list(p.items()), list(q.items())] for p, q in pairs],
    )
    assert in_page == pytest.approx([kl_lower_bound(p, q) for p, q in pairs], rel=1e-6, abs=1e-9)


def told(draw: random.Random) -> dict[int, float]:
    weights = [draw.random() ** 4 for _ in range(30)]
    kept = draw.sample(range(30), 12)
    return {token: math.log(weights[token] / sum(weights)) for token in kept}
