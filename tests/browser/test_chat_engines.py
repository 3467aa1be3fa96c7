"""The chat on engines that tell more or less than most: reasoning, logits, few logprobs."""

from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.http.server import PROFILES, QUESTION

from .chatting import answer, answered_with, ask, column, fact, sent_by, wait_until_answered
from .visiting import Visits


def test_reasoning_is_shown_beside_the_answer_and_compared_with_nothing(visit: Visits) -> None:
    page = visit("#/chat?columns=base,france")
    thought = [{"reasoning": f" thought {number}"} for number in range(3)]
    answered_with(page, {}, *thought, {"content": "Paris"}, {"content": "."})
    ask(page, QUESTION)
    wait_until_answered(page, "base", "france")
    reasoning = answer(page, "france").get_by_role("group", name="Reasoning")
    expect(reasoning).to_have_text(" thought 0 thought 1 thought 2")
    expect(reasoning.locator(".token")).to_have_count(3)
    expect(answer(page, "france").locator("ins")).to_have_count(0)
    expect(answer(page, "france")).to_have_text(" thought 0 thought 1 thought 2Paris.")


def test_an_answer_without_text_stays_in_the_conversation(visit: Visits) -> None:
    page = visit("#/chat?columns=base")
    answered_with(page, {})
    sent = sent_by(page)
    ask(page, QUESTION)
    wait_until_answered(page, "base")
    ask(page, "Are you sure?")
    expect(page.locator(".answer-text")).to_have_count(2)
    wait_until_answered(page, "base")
    contents = [message["content"] for message in sent[-1]["messages"]]
    assert contents == [QUESTION, "", "Are you sure?"]


def test_the_details_of_many_tokens_fit_the_window(visit: Visits) -> None:
    page = visit("#/chat?columns=base")
    answered_with(page, *[{}] * 60, {"content": "Paris"})
    ask(page, QUESTION)
    wait_until_answered(page, "base")
    answer(page, "base").locator(".token").first.hover()
    box = page.get_by_role("tooltip").bounding_box()
    window = page.viewport_size
    assert box is not None
    assert window is not None
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= window["height"]


def told(visit: Visits, logprobs: dict[str, Any]) -> Page:
    """A chat with base and france on a server whose list says these log-probabilities."""
    page = visit("#/nowhere")

    def changed(route: Route) -> None:
        reply = route.fetch()
        route.fulfill(response=reply, json={**reply.json(), "logprobs": logprobs})

    page.route(f"**{PROFILES}", changed)
    with page.expect_response(f"**{PROFILES}"):
        page.evaluate("location.hash = '#/chat?columns=base,france&max_tokens=8'")
    return page


def test_no_more_log_probabilities_are_asked_than_there_are(visit: Visits) -> None:
    page = told(visit, {"mode": "raw_logprobs", "top": 5})
    sent = sent_by(page)
    with page.expect_request("**/v1/completions") as reading:
        ask(page, QUESTION)
    wait_until_answered(page, "base", "france")
    assert [body["top_logprobs"] for body in sent] == [5, 5]
    assert reading.value.post_data_json["prompt_logprobs"] == 5
    expect(fact(page, "france", "Mean KL")).to_be_visible()


@pytest.mark.parametrize(
    ("logprobs", "note", "asked"),
    [
        ({"mode": "raw_logits", "top": None}, "this server tells logits", None),
        ({"mode": "processed_logprobs", "top": 20}, "after temperature", 20),
    ],
)
def test_what_would_be_wrong_is_not_shown(
    visit: Visits, logprobs: dict[str, Any], note: str, asked: int | None
) -> None:
    page = told(visit, logprobs)
    sent = sent_by(page)
    ask(page, QUESTION)
    wait_until_answered(page, "base", "france")
    expect(column(page, "france").locator(".turn .note")).to_contain_text(note)
    expect(fact(page, "france", "Mean KL")).to_have_count(0)
    assert [body.get("top_logprobs") for body in sent] == [asked, asked]
    has_table = column(page, "france").get_by_role("button", name="Table of tokens of france")
    expect(has_table).to_have_count(0 if asked is None else 1)


def test_only_a_token_alone_names_it_elsewhere(visit: Visits) -> None:
    page = visit("#/nowhere")
    page.route("**/detokenize", detokenized)
    named = page.evaluate(
        """async () => {
          const { Answer } = await import("/playground/chat/answer.js");
          const { learn } = await import("/playground/chat/names.js");
          const { nameOf, textOf } = await import("/playground/chat/details.js");
          const answer = new Answer({ selection: "base", body: { model: "m" } });
          answer.promptIds = [1];
          const likeliest = new Map([[7, -1], [8, -2], [9, -3]]);
          answer.tokens = [{ id: 7, text: "here", likeliest }];
          await learn(answer);
          return [nameOf(answer.tokens[0]), textOf(7), textOf(8), textOf(9)];
        }"""
    )
    assert named == ["“here”", "“<7>”", "“<8>”", "token 9"]


def detokenized(route: Route) -> None:
    """As vLLM: a part of a character is the replacement character."""
    texts = {1: "|", 9: "\ufffd"}
    tokens = (route.request.post_data_json or {})["tokens"]
    route.fulfill(json={"prompt": "".join(texts.get(token, f"<{token}>") for token in tokens)})
