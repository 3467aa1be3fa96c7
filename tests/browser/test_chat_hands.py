"""The chat under other keyboards, double clicks, blocked storage, small windows, forced colours."""

import re

from playwright.sync_api import expect

from tests.http.server import QUESTION

from .chatting import answer, answered_with, ask, column, fact, wait_until_answered
from .visiting import OPERATOR, Visits

LONG = "Tell me about France."
LANDSCAPE = {"width": 740, "height": 360}

ABORTED = """async () => {
  const { answersNow } = await import("/playground/chat/state.js");
  return answersNow().map((answer) => answer.controller.signal.aborted);
}"""


def test_a_key_that_types_something_in_a_field_goes_to_no_column(visit: Visits) -> None:
    page = visit("#/chat?columns=base,france")
    prompt = page.get_by_label("Prompt for every column")
    prompt.focus()
    pressed = {"altKey": True, "code": "Digit2", "bubbles": True, "cancelable": True}
    prompt.dispatch_event("keydown", {**pressed, "key": "™"})
    expect(prompt).to_be_focused()
    prompt.dispatch_event("keydown", {**pressed, "key": "2"})
    expect(column(page, "france")).to_be_focused()
    column(page, "france").dispatch_event("keydown", {**pressed, "code": "Digit1", "key": "¡"})
    expect(column(page, "base")).to_be_focused()


def test_a_double_click_sends_and_only_a_later_click_stops(visit: Visits) -> None:
    page = visit("#/chat?columns=base&max_tokens=1500")
    prompt = page.get_by_label("Prompt for every column")
    prompt.fill(LONG)
    page.get_by_role("button", name="Send").dblclick()
    sent = page.evaluate("performance.now()")
    expect(answer(page, "base").locator(".token").nth(2)).to_be_visible()
    assert page.evaluate(ABORTED) == [False]
    expect(prompt).to_be_focused()
    prompt.dispatch_event("keydown", {"key": "Escape", "isComposing": True, "bubbles": True})
    assert page.evaluate(ABORTED) == [False]
    page.wait_for_function("sent => performance.now() - sent > 600", arg=sent)
    page.get_by_role("button", name="Stop all").click()
    expect(fact(page, "base", "Ended")).to_have_text("stopped by you")
    expect(prompt).to_be_focused()


def test_a_removed_column_leaves_the_focus_at_the_prompt(visit: Visits) -> None:
    page = visit("#/chat?columns=base,france")
    page.get_by_role("button", name="Remove the column france").press("Enter")
    expect(column(page, "france")).to_have_count(0)
    expect(page.get_by_label("Prompt for every column")).to_be_focused()


def test_end_goes_to_the_last_token_of_an_answer(visit: Visits) -> None:
    page = visit("#/chat?columns=base", forced_colors="active")
    answered_with(page, {"content": "It"}, {"content": " is"}, {"content": " Paris"})
    ask(page, QUESTION)
    wait_until_answered(page, "base")
    answer(page, "base").focus()
    page.keyboard.press("End")
    focused = page.locator(".token:focus")
    expect(focused).to_have_text(" Paris")
    expect(focused).to_have_css("outline-style", "solid")


def test_a_copied_link_has_what_is_there_now(visit: Visits) -> None:
    page = visit(
        "#/chat?columns=base,france&max_tokens=8",
        permissions=["clipboard-read", "clipboard-write"],
    )
    page.get_by_role("navigation").get_by_role("link", name="Chat").click()
    page.get_by_label("Prompt for every column").fill("Why so?")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_text("Link copied.")).to_be_attached()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.endswith("#/chat?columns=base%2Cfrance&prompt=Why+so%3F&max_tokens=8")
    page.get_by_role("navigation").get_by_role("link", name="Chat").click()
    expect(page).to_have_url(link)


def test_who_comes_back_finds_no_question_that_was_asked(visit: Visits) -> None:
    page = visit("#/chat?columns=base")
    answered_with(page, {"content": "Paris"})
    ask(page, QUESTION)
    wait_until_answered(page, "base")
    expect(page).to_have_url(re.compile("prompt="))
    page.get_by_role("navigation").get_by_role("link", name="Profiles").click()
    expect(page).to_have_title(re.compile("Profiles"))
    page.go_back()
    expect(page.locator(".question")).to_contain_text(QUESTION)
    expect(page.get_by_label("Prompt for every column")).to_have_value("")


def test_a_browser_that_keeps_nothing_shows_the_page(visit: Visits) -> None:
    visit.expect("status of 401")
    page = visit("#/nowhere", key=None)
    page.context.add_init_script(
        """for (const name of ["localStorage", "sessionStorage"])
          Object.defineProperty(globalThis, name, {
            get() { throw new DOMException("blocked", "SecurityError"); },
          });"""
    )
    page.goto(page.url.replace("nowhere", "chat?columns=base&max_tokens=4"))
    page.reload()
    page.get_by_label("API key", exact=True).fill(OPERATOR)
    page.get_by_role("button", name="Use key").click()
    page.get_by_role("button", name=re.compile("Dark|Light")).click()
    page.get_by_role("button", name="Keys").click()
    page.get_by_label("Keys that are one character work").uncheck()
    page.keyboard.press("Escape")
    ask(page, QUESTION)
    wait_until_answered(page, "base")
    expect(fact(page, "base", "Tokens")).to_have_text("4")


def test_the_prompt_leaves_room_on_a_phone_on_its_side(visit: Visits) -> None:
    page = visit("#/chat?columns=base", viewport=LANDSCAPE)
    page.get_by_role("button", name="Settings").click()
    box = page.get_by_role("form", name="Prompt").bounding_box()
    assert box is not None
    assert box["height"] <= LANDSCAPE["height"] / 2
    system = page.get_by_label("System prompt")
    system.focus()
    expect(system).to_be_in_viewport()
