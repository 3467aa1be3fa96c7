"""The frame of the playground: what it is served with, keys, navigation, themes."""

import re

import httpx
import pytest
from playwright.sync_api import expect

from tests.http.server import Server

from .chatting import ask, wait_until_answered
from .visiting import OPERATOR, Visits, check_accessible, check_no_sideways_scroll

PHONE = {"width": 360, "height": 740}


def test_the_page_is_served_without_a_key_and_with_its_policy(server: Server) -> None:
    reply = httpx.get(f"{server.url}/playground")
    assert reply.status_code == 200
    assert "script-src 'self';" in reply.headers["Content-Security-Policy"]
    assert httpx.get(f"{server.url}/v1/unlearning/profiles").status_code == 401


def test_a_script_that_is_written_into_the_page_does_not_run(visit: Visits) -> None:
    visit.expect("Content Security Policy")
    page = visit()
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "globalThis.ran = true";
          document.body.append(script);
          const button = document.createElement("div");
          button.innerHTML = "<button onclick='globalThis.ran = true'>";
          document.body.append(button);
          button.firstChild.click();
        }"""
    )
    assert page.evaluate("globalThis.ran === undefined")


@pytest.mark.parametrize("name", ["Chat", "Profiles", "Experiments"])
def test_every_page_has_its_address_its_title_and_the_focus(visit: Visits, name: str) -> None:
    page = visit("#/nowhere")
    expect(page.get_by_role("heading", name="No such page")).to_be_visible()
    page.get_by_role("navigation").get_by_role("link", name=name).click()
    expect(page).to_have_title(f"{name} · Lethe playground")
    expect(page.locator("main")).to_be_focused()
    assert page.url.endswith(f"#/{name.lower()}")


def test_the_first_key_press_reaches_the_link_to_the_content(visit: Visits) -> None:
    page = visit()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_a_chosen_theme_stays_and_meets_its_contrasts(visit: Visits) -> None:
    page = visit(color_scheme="light")
    check_accessible(page)
    page.get_by_role("button", name="Dark").click()
    check_accessible(page)
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="Light").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


def test_the_key_stays_in_the_tab_and_out_of_the_address(visit: Visits) -> None:
    visit.expect("status of 401")
    page = visit("#/chat?columns=base&max_tokens=4", key=None)
    page.get_by_label("API key", exact=True).fill(OPERATOR)
    check_accessible(page)
    page.get_by_role("button", name="Use key").click()
    ask(page, "Who are you?")
    wait_until_answered(page, "base")
    expect(page).to_have_url(re.compile("prompt=Who"))
    assert page.evaluate("sessionStorage.getItem('lethe.key')") == OPERATOR
    assert page.evaluate("JSON.stringify(localStorage)").find(OPERATOR) == -1
    assert OPERATOR not in page.url


def test_a_copy_is_told_and_shown_within_an_open_dialog(visit: Visits) -> None:
    """All that is outside of it is closed to a screen reader."""
    page = visit("#/chat?columns=base", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Keys").click()
    page.evaluate(
        """async () => {
          const { copy } = await import("/playground/copying.js");
          await copy("curl", "Command");
        }"""
    )
    notice = page.get_by_role("dialog").get_by_role("status").locator(".notice")
    expect(notice).to_have_text("Command copied.")
    expect(notice).to_be_in_viewport()
    check_accessible(page)


def test_the_frame_fits_a_phone(visit: Visits) -> None:
    page = visit("#/nowhere", viewport=PHONE)
    page.get_by_role("button", name="API key").click()
    check_no_sideways_scroll(page)
    check_accessible(page)
