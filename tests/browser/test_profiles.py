"""The profiles' pages: what they show is what the API says, and what they do is what it then says.

Each test has profiles of its own, and takes them away again.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import FilePayload, Route, expect

from lethe_projections.base_model import BaseModel
from lethe_server.evaluating.evidence import Evidence
from tests.http.profiles import synthetic
from tests.http.server import PROFILES

from .profiling import attach, digest, names, payload, pick, put, row, serves
from .visiting import VISITOR, Visits, check_accessible, check_no_sideways_scroll

PHONE = {"width": 360, "height": 740}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": PHONE},
}


def test_a_rollback_serves_the_profile_before(
    api: httpx.Client, visit: Visits, base: BaseModel
) -> None:
    first, second = (put(api, "moved", synthetic(base, seed)) for seed in (37, 38))
    page = visit("#/profiles/moved")
    versions = page.locator("table.versions tbody tr")
    expect(versions).to_have_count(2)
    expect(versions.first).to_contain_text(second[:12])
    page.get_by_role("button", name="Roll back to version 1").click()
    question = page.get_by_role("dialog", name="Roll moved back?")
    expect(question).to_contain_text(first[:12])
    expect(question).to_contain_text(second[:12])
    question.get_by_role("button", name="Roll back").click()
    expect(versions).to_have_count(3)
    expect(versions.first).to_contain_text("rolled back")
    expect(page.get_by_role("heading", name="Versions")).to_be_focused()
    expect(page.locator(".summary")).to_contain_text(first[:12])
    assert digest(api, "moved") == first
    assert serves(api, "moved") == first[:12]


def test_a_deleted_name_keeps_its_history_and_comes_back(
    api: httpx.Client, visit: Visits, base: BaseModel
) -> None:
    put(api, "gone", synthetic(base, 39))
    page = visit("#/profiles/gone")
    page.get_by_role("button", name="Delete").click()
    question = page.get_by_role("dialog", name="Delete gone?")
    expect(question.get_by_role("button", name="Leave it")).to_be_focused()
    question.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("This name was deleted.")).to_be_focused()
    assert "gone" not in names(api)
    page.get_by_role("button", name="Roll back to version 1").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    expect(page.locator(".summary")).to_be_visible()
    assert "gone" in names(api)


def test_a_pinned_name_is_refused_as_the_api_refuses_it_until_it_is_let_go(
    api: httpx.Client, visit: Visits, base: BaseModel
) -> None:
    visit.expect("status of 409")
    first, second = (put(api, "kept", synthetic(base, seed)) for seed in (40, 41))
    page = visit("#/profiles/kept")
    page.get_by_role("button", name="Pin", exact=True).click()
    unpin = page.get_by_role("button", name="Unpin")
    expect(page.locator(".head")).to_contain_text("pinned")
    refusal = api.post(f"{PROFILES}/kept/rollback")
    assert refusal.status_code == 409
    roll_back = page.get_by_role("button", name="Roll back to version 1")
    roll_back.click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("alert")).to_have_text(refusal.json()["error"]["message"])
    assert digest(api, "kept") == second
    unpin.click()
    expect(page.get_by_role("button", name="Pin", exact=True)).to_be_visible()
    roll_back.click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    expect(page.locator(".summary")).to_contain_text(first[:12])
    assert digest(api, "kept") == first


def test_a_profile_of_the_list_has_its_title_and_the_focus(visit: Visits) -> None:
    page = visit("#/profiles")
    row(page, "alpha").get_by_role("link").click()
    expect(page).to_have_title("alpha · Profiles · Lethe playground")
    expect(page.locator("main")).to_be_focused()


def test_a_profile_is_compared_with_the_base_in_the_chat(visit: Visits) -> None:
    """The last of three: the chat by itself would show the first two."""
    page = visit("#/profiles/france")
    page.get_by_role("link", name="Compare in chat").click()
    expect(page).to_have_title("Chat · Lethe playground")
    expect(page.locator(".column h2")).to_have_text(["base", "france"])


def test_the_focus_stays_when_what_had_it_is_removed(
    visit: Visits, files: Callable[[str, int], FilePayload]
) -> None:
    page = visit("#/profiles")
    pick(page, files("unwanted.safetensors", 48))
    page.get_by_role("button", name="Remove unwanted.safetensors").press("Enter")
    expect(page.get_by_role("button", name="Choose files")).to_be_focused()
    page = visit("#/profiles/alpha")
    add = page.get_by_role("button", name="Add a label")
    add.click()
    page.get_by_role("button", name="Remove the label").press("Enter")
    expect(add).to_be_focused()


def test_a_digest_is_copied_whole_or_shown_where_nothing_may_be_copied(
    api: httpx.Client, visit: Visits
) -> None:
    whole = digest(api, "alpha")
    page = visit("#/profiles")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    copy = row(page, "alpha").get_by_role("button", name=f"Copy the digest {whole[:12]}")
    page.clock.install()
    copy.click()
    notice = page.locator("#announcements .notice")
    expect(notice).to_have_text("Digest copied.")
    check_accessible(page)
    page.clock.run_for(5000)
    expect(notice).to_have_count(0)
    assert page.evaluate("navigator.clipboard.readText()") == whole
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    copy.click()
    expect(page.get_by_role("dialog", name="Copy: Digest").get_by_role("textbox")).to_have_value(
        whole
    )


def test_a_digest_is_shown_where_the_reader_refused_the_clipboard(
    api: httpx.Client, visit: Visits
) -> None:
    page = visit("#/profiles/alpha")
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error()); }")
    page.locator(".summary").get_by_role("button", name="Copy the digest").click()
    shown_whole = page.get_by_role("dialog", name="Copy: Digest").get_by_role("textbox")
    expect(shown_whole).to_have_value(digest(api, "alpha"))


def test_labels_are_written_found_and_never_read_as_html(
    api: httpx.Client, visit: Visits, base: BaseModel
) -> None:
    hostile = "<img src=x onerror='globalThis.ran = true'>"
    put(api, "labelled", synthetic(base, 42))
    page = visit("#/profiles/labelled")
    page.get_by_role("button", name="Add a label").click()
    labels = page.locator(".labels")
    expect(labels.get_by_label("Name")).to_be_focused()
    labels.get_by_label("Name").fill("ticket")
    labels.get_by_label("Value").fill(hostile)
    save = page.get_by_role("button", name="Save labels")
    save.click()
    expect(save).to_be_disabled()
    expect(save).to_be_focused()
    expect(page.locator(".head")).to_contain_text(f"ticket: {hostile}")
    assert api.get(f"{PROFILES}/labelled").json()["labels"] == {"ticket": hostile}
    page.get_by_role("link", name="All profiles").click()
    page.get_by_label("Find by").fill("TICKET onerror")
    expect(page.locator("table.list tbody tr")).to_have_count(1)
    expect(page.get_by_role("status").filter(has_text="1 of")).to_be_visible()
    expect(row(page, "labelled")).to_contain_text(hostile)
    assert page.evaluate("globalThis.ran === undefined")


def test_a_key_that_may_only_look_is_told_so(
    api: httpx.Client, visit: Visits, files: Callable[[str, int], FilePayload]
) -> None:
    visit.expect("status of 403")
    page = visit("#/profiles", key=VISITOR)
    expect(page.locator("table.list tbody tr")).to_have_count(2)
    pick(page, files("mine.safetensors", 44))
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.locator(".job").get_by_role("alert")).to_contain_text("expected")
    assert "mine" not in names(api)
    row(page, "france").get_by_role("link").click()
    expect(page.get_by_text("Its versions are not shown")).to_be_visible()


def test_a_wrong_key_is_asked_for_again_and_the_list_comes_with_the_right_one(
    visit: Visits,
) -> None:
    visit.expect("status of 401")
    page = visit("#/profiles", key="a-wrong-key")
    expect(page.get_by_text("The server refuses this key.")).to_be_visible()
    page.get_by_label("API key", exact=True).fill(VISITOR)
    page.get_by_role("button", name="Use key").click()
    expect(row(page, "france")).to_be_visible()
    expect(page.locator("main").get_by_role("alert")).to_have_count(0)


def test_what_a_former_key_saw_is_gone_and_the_same_key_asks_again(visit: Visits) -> None:
    visit.expect("status of 401")
    page = visit("#/profiles")
    expect(row(page, "alpha")).to_be_visible()
    refused = {"status": 401, "json": {"error": {"message": "not known yet"}}}
    page.route("**/v1/unlearning/profiles", lambda route: route.fulfill(**refused), times=1)
    page.get_by_role("button", name="API key").click()
    page.get_by_label("API key", exact=True).fill(VISITOR)
    page.get_by_role("button", name="Use key").click()
    expect(page.locator("main").get_by_role("alert")).to_have_text("not known yet")
    expect(row(page, "alpha")).to_have_count(0)
    page.get_by_role("button", name="Use key").click()
    expect(page.get_by_role("button", name="API key")).to_be_focused()
    expect(row(page, "alpha")).to_be_visible()
    expect(row(page, "beta")).to_have_count(0)


FRAMES = """() => new Promise((resolve) =>
  requestAnimationFrame(() => requestAnimationFrame(resolve)))"""
"""So long that what was answered is shown."""


@pytest.mark.parametrize("fragment", ["", "/late"])
def test_an_older_answer_that_comes_last_is_not_shown(
    api: httpx.Client, visit: Visits, base: BaseModel, fragment: str
) -> None:
    """Of the list, and of a profile: the answers to two keys, or before and after a change."""
    first, second = (synthetic(base, seed) for seed in (56, 57))
    old = put(api, "late", first)
    page = visit("#/profiles" + fragment)
    shown = page.locator(".summary" if fragment else "table.list")
    expect(shown).to_contain_text(old[:12])
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    where = f"**/v1/unlearning/profiles{fragment}"
    page.route(where, hold, times=1)
    page.get_by_role("button", name="API key").click()
    use = page.get_by_role("button", name="Use key")
    with page.expect_request(where):
        use.click()
    before = api.get(PROFILES + fragment)
    new = put(api, "late", second)
    page.get_by_role("button", name="API key").click()
    use.click()
    expect(shown).to_contain_text(new[:12])
    with page.expect_response(where):
        held[0].fulfill(json=before.json())
    page.evaluate(FRAMES)
    expect(shown).to_contain_text(new[:12])
    expect(shown).not_to_contain_text(old[:12])


@pytest.mark.parametrize("look", LOOKS)
def test_every_state_meets_axe_and_fits(
    measured: Evidence, visit: Visits, files: Callable[[str, int], FilePayload], look: str
) -> None:
    page = visit("#/profiles", **LOOKS[look])
    expect(row(page, "measured")).to_contain_text("worst form")
    pick(page, files("next.safetensors", 45))
    page.get_by_text("From a place that the server reads").click()
    check_accessible(page)
    check_no_sideways_scroll(page)
    row(page, "measured").get_by_role("link").click()
    expect(page.locator(".evidence table")).not_to_have_count(0)
    page.get_by_role("button", name="Add a label").click()
    for folded in page.locator("summary").all():
        folded.click()
    check_accessible(page)
    check_no_sideways_scroll(page)


def test_pictures_for_the_documentation(
    api: httpx.Client, visit: Visits, base: BaseModel, screenshots: Path
) -> None:
    visit.expect("status of 400")
    attach(api, base, "cities")
    put(api, "hazards", synthetic(base, 46))
    marks = {"pinned": True, "labels": {"ticket": "LEGAL-42", "team": "safety"}}
    assert api.patch(f"{PROFILES}/hazards", json=marks).status_code == 200
    page = visit("#/profiles", viewport={"width": 1280, "height": 860})
    expect(row(page, "cities")).to_contain_text("worst form")
    pick(page, payload("japan.safetensors", synthetic(base, 47)[:5000]))
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.locator(".job").get_by_role("alert")).to_be_visible()
    page.screenshot(path=screenshots / "profiles.png", full_page=True)
    page = visit("#/profiles/cities", viewport={"width": 1280, "height": 1180})
    expect(page.locator(".evidence table")).not_to_have_count(0)
    page.screenshot(path=screenshots / "evidence.png")
