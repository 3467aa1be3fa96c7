"""How the chat looks: accessible in every state, on a phone, and the documentation's pictures."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.http.server import QUESTION

from .chatting import answer, ask, column, fact, wait_until_answered
from .visiting import Visits, check_accessible, check_no_sideways_scroll

DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True}
LOOKS: dict[str, dict[str, Any]] = {
    "light": DESKTOP,
    "dark": {**DESKTOP, "color_scheme": "dark"},
    "phone": PHONE,
}
COLUMNS = ("base", "france", "alpha")


@pytest.mark.parametrize(
    ("look", "shade"),
    [
        ("light", "probability"),
        ("light", "divergence"),
        ("dark", "probability"),
        ("dark", "divergence"),
        ("phone", "probability"),
    ],
)
def test_every_state_is_accessible_and_fits(visit: Visits, look: str, shade: str) -> None:
    page = visit(f"#/chat?columns={','.join(COLUMNS)}&shade={shade}&max_tokens=12", **LOOKS[look])
    check(page)
    ask(page, QUESTION)
    wait_until_answered(page, *COLUMNS)
    for name in COLUMNS[1:]:
        expect(fact(page, name, "Mean KL")).to_be_visible()
    page.get_by_label("Differences").select_option("missing")
    check(page)
    page.get_by_role("button", name="Table of tokens of france").click()
    page.get_by_role("button", name="Settings").click()
    check(page)
    answer(page, "france").locator(".token").first.focus()
    expect(page.get_by_role("tooltip")).to_be_visible()
    check(page)
    page.get_by_role("button", name="The request to france as curl").click()
    check(page)


def check(page: Page) -> None:
    check_accessible(page)
    check_no_sideways_scroll(page)


def test_errors_are_accessible(visit: Visits) -> None:
    visit.expect("status of 404")
    page = visit("#/chat?columns=nobody&max_tokens=8")
    ask(page, QUESTION)
    expect(column(page, "nobody").get_by_role("alert")).to_be_visible()
    check(page)


@pytest.mark.parametrize("look", LOOKS)
def test_pictures(visit: Visits, look: str, screenshots: Path) -> None:
    page = visit(
        f"#/chat?columns={','.join(COLUMNS)}&shade=divergence&max_tokens=24", **LOOKS[look]
    )
    ask(page, QUESTION)
    wait_until_answered(page, *COLUMNS)
    for name in COLUMNS[1:]:
        expect(fact(page, name, "Mean KL")).to_be_visible()
    if look != "phone":  # where they would lie over all else
        answer(page, "france").locator(".token").nth(3).focus()
        expect(page.get_by_role("tooltip")).to_be_visible()
    page.screenshot(path=screenshots / f"chat-{look}.png")
