"""The side-by-side chat, against the server itself."""

import json
import re
import shlex

import httpx
import pytest
from playwright.sync_api import expect

from lethe_projections.base_model import BaseModel
from tests.http.profiles import synthetic
from tests.http.server import HEADER, PROFILES, QUESTION, Server

from .chatting import CHAT, answer, ask, column, fact, sent_by, text_of, wait_until_answered
from .visiting import OPERATOR, VISITOR, Visits, as_operator

LONG = "Tell me about France."
THREE = ("base", "france", "alpha")
ADDRESS = f"#/chat?columns={','.join(THREE)}"
SHORT = 16
"""Tokens; enough for an answer that says the capital."""


def api_answer(
    server: Server, prompt: str, profile: str, max_tokens: int = SHORT
) -> httpx.Response:
    body = {"model": "smollm2", "messages": [{"role": "user", "content": prompt}]}
    settings = {"temperature": 0, "max_tokens": max_tokens}
    with as_operator(server) as client:
        return client.post(CHAT, json={**body, **settings}, headers={HEADER: profile})


def test_three_columns_stream_at_the_same_time(visit: Visits) -> None:
    page = visit(f"{ADDRESS}&max_tokens=32")
    page.evaluate(
        """() => {
          globalThis.most = 0;
          const busy = "section.column[aria-busy=true]:has(.token)";
          new MutationObserver(() => {
            most = Math.max(most, document.querySelectorAll(busy).length);
          }).observe(document.body, { subtree: true, childList: true, attributes: true });
        }"""
    )
    ask(page, LONG)
    wait_until_answered(page, *THREE)
    assert page.evaluate("most") == 3


def test_each_column_shows_what_the_server_answers(visit: Visits, server: Server) -> None:
    page = visit(f"{ADDRESS}&max_tokens={SHORT}")
    ask(page, QUESTION)
    wait_until_answered(page, *THREE)
    for name in THREE:
        reply = api_answer(server, QUESTION, name)
        choice = reply.json()["choices"][0]
        assert text_of(page, name) == choice["message"]["content"]
        expect(fact(page, name, "Ended")).to_have_text(choice["finish_reason"])
        tokens = reply.json()["usage"]["completion_tokens"]
        expect(fact(page, name, "Tokens")).to_have_text(str(tokens))
        _, _, digest = reply.headers[HEADER].partition("@")
        if digest:
            expect(column(page, name).get_by_text(f"@{digest}")).to_be_visible()
        said = page.get_by_role("status").filter(has_text=f"{name} finished, {tokens} tokens")
        expect(said).to_have_count(1)
    assert "Paris" in text_of(page, "base")
    assert "Paris" not in text_of(page, "france")


def test_words_that_differ_from_the_first_column_are_marked(visit: Visits) -> None:
    page = visit(f"#/chat?columns=base,france&max_tokens={SHORT}")
    ask(page, QUESTION)
    wait_until_answered(page, "base", "france")
    expect(answer(page, "base").locator("ins")).to_have_count(0)
    marked = answer(page, "france").locator("ins").all_text_contents()
    same = text_of(page, "france")
    for words in marked:
        assert words.strip() not in text_of(page, "base")
        same = same.replace(words, "", 1)
    assert marked
    assert all(word in text_of(page, "base") for word in same.split())
    page.get_by_label("Differences").select_option("missing")
    assert "Paris" in "".join(answer(page, "france").locator("del").all_text_contents())
    page.get_by_label("Differences").select_option("none")
    expect(page.locator("ins, del")).to_have_count(0)


def test_a_token_is_told_of_on_hover_and_to_the_keyboard(visit: Visits) -> None:
    page = visit(f"#/chat?columns=base,france&shade=probability&max_tokens={SHORT}")
    ask(page, QUESTION)
    wait_until_answered(page, "base", "france")
    expect(fact(page, "france", "Mean KL")).to_be_visible()
    assert page.locator(".token.probability-1, .token.probability-2").count() > 0
    details = page.get_by_role("tooltip")
    answer(page, "france").locator(".token").nth(1).hover()
    expect(details).to_contain_text("“␣capital”")
    expect(details).to_contain_text("KL(base ‖ france) here: at least")
    page.keyboard.press("Escape")
    expect(details).to_have_count(0)
    answer(page, "base").focus()
    page.keyboard.press("ArrowRight")
    expect(details).to_contain_text("“The”")
    page.keyboard.press("ArrowRight")
    expect(details).to_contain_text("“␣capital”")
    expect(details).not_to_contain_text("KL")
    expect(page.locator(".token:focus")).to_have_attribute("aria-describedby", "token-details")
    expect(details.locator("tr")).to_have_count(5)
    expect(details).not_to_contain_text("token ")


def test_the_last_token_is_shown_where_the_model_ends(visit: Visits) -> None:
    page = visit(f"#/chat?columns=base,france&max_tokens={SHORT}")
    ask(page, QUESTION)
    wait_until_answered(page, "base", "france")
    answer(page, "base").locator(".token.end").hover()
    expect(page.get_by_role("tooltip")).to_contain_text("<|im_end|>")


def test_stop_ends_every_answer_and_retry_gives_them_whole(visit: Visits, server: Server) -> None:
    page = visit(f"{ADDRESS}&max_tokens=1500")
    ask(page, LONG)
    for name in THREE:
        expect(answer(page, name).locator(".token").nth(2)).to_be_visible()
    page.keyboard.press("Escape")
    wait_until_answered(page, *THREE)
    for name in THREE:
        expect(fact(page, name, "Ended")).to_have_text("stopped by you")
    stopped = text_of(page, "base")
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Most tokens").fill("12")
    page.get_by_role("button", name="Retry france").click()
    expect(fact(page, "france", "Ended")).to_have_text("length")
    assert text_of(page, "base") == stopped
    page.get_by_role("button", name="Retry all").click()
    for name in THREE:
        expect(fact(page, name, "Ended")).to_have_text("length")
        reply = api_answer(server, LONG, name, max_tokens=12).json()
        assert text_of(page, name) == reply["choices"][0]["message"]["content"]


def test_one_column_is_stopped_and_the_others_go_on(visit: Visits) -> None:
    page = visit("#/chat?columns=base,france&max_tokens=48")
    ask(page, LONG)
    page.get_by_role("button", name="Stop france").click()
    expect(fact(page, "france", "Ended")).to_have_text("stopped by you")
    expect(fact(page, "base", "Ended")).to_have_text("length")


def test_each_column_goes_on_from_its_own_answer(visit: Visits) -> None:
    page = visit("#/chat?columns=base,france&system=Be%20brief.&max_tokens=8")
    sent = sent_by(page)
    ask(page, QUESTION)
    wait_until_answered(page, "base", "france")
    first = {name: text_of(page, name) for name in ("base", "france")}
    ask(page, "Are you sure?")
    expect(page.locator(".question").get_by_text("Are you sure?")).to_have_count(2)
    wait_until_answered(page, "base", "france")
    assert len(sent) == 4
    for body in sent[2:]:
        assert [message["content"] for message in body["messages"]] == [
            "Be brief.",
            QUESTION,
            first[body["profile"]],
            "Are you sure?",
        ]


def test_an_address_brings_back_everything_but_answers_and_key(visit: Visits) -> None:
    page = visit()
    expect(page.locator("section.column")).to_have_count(3)
    page.get_by_label("Add a column").fill("france+alpha")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("button", name="Remove the column beta").click()
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Temperature").fill("0.7")
    page.get_by_label("Most tokens").fill("33")
    page.get_by_label("Seed").fill("5")
    page.get_by_label("System prompt").fill("Be brief & kind.")
    page.get_by_label("Shade tokens by").select_option("divergence")
    page.get_by_label("Prompt for every column").fill("Why?\nHow?")
    expect(page).to_have_url(re.compile("How"))
    address = page.url.partition("/playground")[2]
    assert OPERATOR not in address
    again = visit(address)
    sent = sent_by(again)
    expect(again.get_by_label("Prompt for every column")).to_have_value("Why?\nHow?")
    headings = again.get_by_role("heading", level=2).all_text_contents()
    assert headings == ["base", "alpha", "france+alpha"]
    again.get_by_role("button", name="Settings").click()
    for label, value in (("Temperature", "0.7"), ("Most tokens", "33"), ("Seed", "5")):
        expect(again.get_by_label(label)).to_have_value(value)
    expect(again.get_by_label("System prompt")).to_have_value("Be brief & kind.")
    expect(again.get_by_label("Shade tokens by")).to_have_value("divergence")
    assert sent == []


def test_a_composition_and_a_digest_are_served(visit: Visits, server: Server) -> None:
    with as_operator(server) as client:
        digest = client.get(f"{PROFILES}/france").json()["digest"][:12]
    page = visit(f"#/chat?columns=france%2Balpha,france@{digest}&max_tokens=8")
    ask(page, QUESTION)
    wait_until_answered(page, "france+alpha", f"france@{digest}")
    served = api_answer(server, QUESTION, "france+alpha", 8).headers[HEADER]
    expect(page.get_by_text(f"@{served.partition('@')[2]}")).to_be_visible()


def test_a_sixth_or_second_column_of_the_same_is_refused(visit: Visits) -> None:
    page = visit("#/chat?columns=base,france,alpha,beta")
    add = page.get_by_label("Add a column")
    for name, problem in (("base", "has a column already"), ("a b", "no spaces"), ("", "Name a")):
        add.fill(name)
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.locator("#add-problem")).to_contain_text(problem)
    add.fill("alpha+beta")
    add.press("Enter")
    expect(page.locator("section.column")).to_have_count(5)
    expect(add).to_be_disabled()


def test_a_key_is_asked_for_refused_and_accepted(visit: Visits) -> None:
    visit.expect("status of 401")
    page = visit("#/chat?max_tokens=4", key=None)
    expect(page.get_by_text("This server asks for an API key.")).to_be_visible()
    page.get_by_label("API key", exact=True).fill("wrong")
    page.get_by_role("button", name="Use key").click()
    expect(page.get_by_text("The server refuses this key.")).to_be_visible()
    page.get_by_label("API key", exact=True).fill(OPERATOR)
    page.keyboard.press("Enter")
    expect(page.locator("section.column")).to_have_count(3)
    expect(page.get_by_label("API key", exact=True)).to_be_hidden()
    ask(page, QUESTION)
    wait_until_answered(page, "base")
    assert text_of(page, "base")


def test_a_column_that_is_refused_says_so_and_leaves_the_others_alone(visit: Visits) -> None:
    visit.expect("status of 403")
    page = visit("#/chat?columns=base,france&max_tokens=8", key=VISITOR)
    ask(page, QUESTION)
    expect(column(page, "base").get_by_role("alert")).to_contain_text("key 'visitor' may use")
    wait_until_answered(page, "france")
    assert text_of(page, "france")
    note = "Divergence from the base is not available"
    expect(column(page, "france").get_by_text(note)).to_be_visible()
    expect(page.get_by_label("API key", exact=True)).to_be_hidden()


def test_a_profile_that_is_gone_is_its_columns_error_alone(
    visit: Visits, server: Server, base: BaseModel
) -> None:
    visit.expect("status of 404")
    with as_operator(server) as client:
        client.put(f"{PROFILES}/gone", content=synthetic(base, 9)).raise_for_status()
        page = visit("#/chat?columns=base,gone&max_tokens=8")
        ask(page, QUESTION)
        wait_until_answered(page, "base", "gone")
        client.delete(f"{PROFILES}/gone").raise_for_status()
    ask(page, "And of Japan?")
    expect(column(page, "gone").get_by_role("alert")).to_contain_text("found 'gone'")
    wait_until_answered(page, "base")
    assert text_of(page, "base")


def test_hostile_text_is_text(visit: Visits) -> None:
    visit.expect("status of 404")
    hostile = "<script>globalThis.ran = 1</script><img src=x onerror='globalThis.ran = 1'>"
    page = visit(f"#/chat?columns=base,{hostile.replace(' ', '&nbsp;')}")
    chunk = {"choices": [{"delta": {"content": hostile}, "finish_reason": "stop"}]}
    stream = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n"
    page.route(
        f"**{CHAT}",
        lambda route: (
            route.fulfill(content_type="text/event-stream", body=stream)
            if route.request.headers[HEADER.lower()] == "base"
            else route.fulfill(status=404, json={"error": {"message": hostile}})
        ),
    )
    page.get_by_label("Add a column").fill("<b>bold</b>")
    page.get_by_role("button", name="Add", exact=True).click()
    ask(page, hostile)
    wait_until_answered(page, "base")
    assert text_of(page, "base") == hostile
    expect(page.locator(".question").first).to_contain_text(hostile)
    expect(column(page, "<b>bold</b>").get_by_role("alert")).to_have_text(hostile)
    assert page.locator("main").locator("script, b, img").count() == 0
    assert page.evaluate("globalThis.ran === undefined")


def test_the_request_as_curl_is_the_one_that_was_sent(visit: Visits, server: Server) -> None:
    page = visit("#/chat?columns=france&system=It's%20late.&max_tokens=8")
    ask(page, QUESTION)
    wait_until_answered(page, "france")
    page.get_by_role("button", name="The request to france as curl").click()
    command = page.get_by_role("dialog").locator("pre").text_content() or ""
    assert OPERATOR not in command
    program, url, *options = shlex.split(
        command.replace("\\\n", "").replace("$LETHE_KEY", OPERATOR)
    )
    assert program == "curl"
    headers = dict(value.split(": ", 1) for flag, value in pairs(options) if flag == "-H")
    (body,) = [value for flag, value in pairs(options) if flag == "-d"]
    reply = httpx.post(url, content=body, headers=headers, timeout=300)
    assert reply.json()["choices"][0]["message"]["content"] == text_of(page, "france")


def pairs(options: list[str]) -> list[tuple[str, str]]:
    return list(zip(options[::2], options[1::2], strict=True))


def test_the_keyboard_reaches_everything(visit: Visits) -> None:
    page = visit("#/chat?columns=base,france&max_tokens=8")
    page.keyboard.press("Alt+2")
    expect(column(page, "france")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.get_by_label("Keys that are one character work").uncheck()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(column(page, "france")).to_be_focused()
    page.keyboard.press("/")
    expect(column(page, "france")).to_be_focused()
    page.get_by_role("button", name="Keys").click()
    page.get_by_label("Keys that are one character work").check()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    prompt = page.get_by_label("Prompt for every column")
    expect(prompt).to_be_focused()
    page.keyboard.type("One")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two?")
    expect(prompt).to_have_value("One\ntwo?")
    page.keyboard.press("Enter")
    expect(page.locator(".question").first).to_contain_text("One\ntwo?")
    wait_until_answered(page, "base", "france")


@pytest.mark.parametrize("has_clipboard", [True, False])
def test_an_answer_is_copied_or_shown_to_copy(visit: Visits, has_clipboard: bool) -> None:
    page = visit(
        "#/chat?columns=base&max_tokens=8",
        permissions=["clipboard-read", "clipboard-write"],
    )
    if not has_clipboard:
        page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    ask(page, QUESTION)
    wait_until_answered(page, "base")
    page.get_by_role("button", name="Copy the answer of base").click()
    if has_clipboard:
        expect(page.get_by_text("Answer of base copied.")).to_be_attached()
        assert page.evaluate("navigator.clipboard.readText()") == text_of(page, "base")
    else:
        expect(page.get_by_role("dialog").get_by_role("textbox")).to_have_value(
            text_of(page, "base")
        )


def test_a_setting_that_cannot_be_is_not_sent(visit: Visits) -> None:
    page = visit("#/chat?columns=base&max_tokens=8&temperature=9&seed=x&shade=loud")
    sent = sent_by(page)
    page.get_by_role("button", name="Settings").click()
    expect(page.get_by_label("Temperature")).to_have_value("0")
    page.get_by_label("Most tokens").fill("0")
    page.get_by_role("button", name="Settings").click()
    ask(page, QUESTION)
    expect(page.get_by_label("Most tokens")).to_be_visible()
    assert sent == []
    page.get_by_label("Most tokens").fill("8")
    page.get_by_role("button", name="Send").click()
    wait_until_answered(page, "base")
    assert [(body["temperature"], body["max_tokens"], "seed" in body) for body in sent] == [
        (0, 8, False)
    ]


def test_a_column_that_comes_later_is_asked_the_last_question(visit: Visits) -> None:
    page = visit("#/chat?columns=base&max_tokens=8")
    ask(page, QUESTION)
    wait_until_answered(page, "base")
    page.get_by_label("Add a column").fill("france")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Ask france this too").click()
    wait_until_answered(page, "france")
    assert text_of(page, "france")
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator(".turn")).to_have_count(0)
    expect(page.get_by_label("Prompt for every column")).to_be_focused()
