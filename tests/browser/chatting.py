"""How the tests use the chat."""

import json
from typing import Any

from playwright.sync_api import Locator, Page, Request, expect

from tests.http.server import HEADER

CHAT = "/v1/chat/completions"


def column(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def answer(page: Page, name: str) -> Locator:
    """The text of a column's last answer."""
    return column(page, name).locator(".answer-text").last


def text_of(page: Page, name: str) -> str:
    return answer(page, name).text_content() or ""


def ask(page: Page, prompt: str) -> None:
    page.get_by_label("Prompt for every column").fill(prompt)
    page.keyboard.press("Enter")


def wait_until_answered(page: Page, *names: str) -> None:
    for name in names:
        expect(column(page, name)).to_have_attribute("aria-busy", "false")
        expect(column(page, name).get_by_role("button", name="curl").last).to_be_visible()


def sent_by(page: Page) -> list[dict[str, Any]]:
    """What the page asks columns from here on: bodies, each with its `profile`."""
    sent: list[dict[str, Any]] = []

    def note(request: Request) -> None:
        if request.url.endswith(CHAT):
            body = json.loads(request.post_data or "{}")
            sent.append({**body, "profile": request.headers[HEADER.lower()]})

    page.on("request", note)
    return sent


def fact(page: Page, name: str, what: str) -> Locator:
    """A figure below a column's last answer."""
    facts = column(page, name).locator(".facts").last
    return facts.locator(f"dt:text-matches('^{what}') + dd")


def answered_with(page: Page, *deltas: dict[str, Any]) -> None:
    """Has every column answered by a stream of these deltas, each with a token, and no model.

    A token's text is that of its delta; the one of a delta without text has none.
    """
    chunks: list[dict[str, Any]] = [{"prompt_token_ids": [1], "choices": []}]
    for number, delta in enumerate(deltas):
        text = "".join(delta.values())
        token = {"token": f"token_id:{number}", "logprob": -1.0, "bytes": list(text.encode())}
        told = {"content": [{**token, "top_logprobs": []}]}
        chunks.append({"choices": [{"delta": delta, "logprobs": told}]})
    chunks[-1]["choices"][0]["finish_reason"] = "stop"
    stream = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    fulfilled = {"content_type": "text/event-stream", "body": stream}
    page.route(f"**{CHAT}", lambda route: route.fulfill(**fulfilled))
