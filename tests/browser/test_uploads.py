"""Uploads: what a file becomes is what the API then says, and a refusal is the server's own.

Each test has profiles of its own, and takes them away again.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import FilePayload, Route, expect

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from tests.http.profiles import synthetic
from tests.http.server import PROFILES

from .profiling import digest, drop, names, payload, pick, put, row, serves
from .visiting import Visits, check_accessible


def test_a_dropped_file_gets_a_name_and_serves(
    api: httpx.Client, visit: Visits, base: BaseModel, tmp_path: Path
) -> None:
    file = tmp_path / "My Dropped.safetensors"
    file.write_bytes(synthetic(base, 31))
    page = visit("#/profiles")
    drop(page, file)
    name = page.get_by_label("Name", exact=True).first
    expect(name).to_have_value("my-dropped")
    name.fill("dropped")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.locator(".job.done")).to_contain_text("dropped serves")
    expect(page.locator(".job.done").get_by_role("link")).to_be_focused()
    expect(page.locator("#announcements")).to_contain_text("dropped is uploaded")
    expect(row(page, "dropped")).to_have_class("fresh")
    wanted = artifact.digest(file.read_bytes())
    expect(page.locator(".job.done")).to_contain_text(wanted[:12])
    assert digest(api, "dropped") == wanted
    assert serves(api, "dropped") == wanted[:12]


WATCH = """() => addEventListener("dragover", (event) => {
  globalThis.refused = event.defaultPrevented && event.dataTransfer.dropEffect === "none";
})"""
"""Notes whether the page refuses a file; what it leaves to a browser may replace the page."""


@pytest.mark.parametrize("fragment", ["#/chat", "#/profiles/alpha", "#/experiments"])
def test_a_file_dropped_on_another_page_leaves_it_as_it_is(
    visit: Visits, base: BaseModel, tmp_path: Path, fragment: str
) -> None:
    file = tmp_path / "stray.safetensors"
    file.write_bytes(synthetic(base, 49))
    page = visit(fragment)
    page.evaluate(WATCH)
    drop(page, file)
    page.wait_for_function("globalThis.refused")
    page.get_by_role("link", name="Profiles", exact=True).click()
    expect(row(page, "alpha")).to_be_visible()
    assert page.evaluate("globalThis.refused"), "still the same document"
    expect(page.locator(".job")).to_have_count(0)


def test_files_are_picked_by_keyboard_and_go_up_together(
    api: httpx.Client, visit: Visits, files: Callable[[str, int], FilePayload]
) -> None:
    page = visit("#/profiles")
    with page.expect_file_chooser() as chosen:
        page.get_by_role("button", name="Choose files").press("Enter")
    picked = [files("first.safetensors", 32), files("second.safetensors", 33)]
    chosen.value.set_files(picked)
    page.get_by_role("button", name="Upload all 2").press("Enter")
    expect(page.locator(".job.done")).to_have_count(2)
    expect(page.get_by_role("button", name="Choose files")).to_be_focused()
    for name, one in zip(("first", "second"), picked, strict=True):
        assert digest(api, name) == artifact.digest(one["buffer"])


ALL = ("one", "two", "three")


def test_each_of_several_files_goes_up_once_whatever_is_pressed(
    api: httpx.Client, visit: Visits, files: Callable[[str, int], FilePayload]
) -> None:
    """Double clicks, also on a file's own button while all of them go up in turn."""
    page = visit("#/profiles")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/profiles/one", hold, times=1)
    sent: list[str] = []
    page.on("request", lambda asked: sent.append(asked.url) if asked.method == "PUT" else None)
    pick(page, *(files(f"{name}.safetensors", 53 + at) for at, name in enumerate(ALL)))
    with page.expect_request("**/profiles/one"):
        page.get_by_role("button", name="Upload all 3").dblclick()
    expect(page.get_by_role("button", name="Uploading all")).to_be_disabled()
    own = page.locator(".job").nth(2).get_by_role("button", name="Upload")
    own.evaluate("button => { button.click(); button.click(); }")
    expect(page.locator(".job.done")).to_contain_text("three serves")
    [first] = held
    first.continue_()
    expect(page.locator(".job.done")).to_have_count(3)
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert sorted(url.rpartition("/")[2] for url in sent) == sorted(ALL)


def wrong(base: BaseModel) -> dict[str, bytes]:
    """Files that the server refuses, each for a reason of its own."""
    good = synthetic(base, 34)
    another = artifact.to_bytes(
        replace(artifact.from_bytes(good), base=replace(base, fingerprint="cd" * 32))
    )
    return {
        "cut short": good[: len(good) // 2],
        "no artifact": b"<script>alert(1)</script>",
        "of another model": another,
        "empty": b"",
    }


@pytest.mark.parametrize("kind", ["cut short", "no artifact", "of another model", "empty"])
def test_a_bad_file_is_refused_in_the_servers_words(
    api: httpx.Client, visit: Visits, base: BaseModel, kind: str
) -> None:
    visit.expect("status of 4(00|09)")
    data = wrong(base)[kind]
    refusal = api.put(f"{PROFILES}/bad", content=data)
    assert refusal.status_code in (400, 409)
    page = visit("#/profiles")
    rows = page.locator("table.list tbody tr")
    expect(row(page, "alpha")).to_be_visible()
    before = rows.count()
    pick(page, payload("bad.safetensors", data))
    page.get_by_role("button", name="Upload", exact=True).click()
    told = page.locator(".job").get_by_role("alert")
    expect(told).to_have_text(refusal.json()["error"]["message"])
    expect(page.get_by_role("button", name="Try again")).to_be_focused()
    check_accessible(page)
    assert "bad" not in names(api)
    expect(rows).to_have_count(before)


def test_an_answer_that_is_not_the_servers_fails_the_upload_in_words(
    visit: Visits, files: Callable[[str, int], FilePayload]
) -> None:
    page = visit("#/profiles")
    page.route("**/profiles/lost", lambda route: route.fulfill(body="<h1>Welcome</h1>"))
    pick(page, files("lost.safetensors", 58))
    page.get_by_role("button", name="Upload", exact=True).click()
    told = page.locator(".job").get_by_role("alert")
    expect(told).to_contain_text("expected JSON from the server, found <h1>Welcome</h1>")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_replacing_asks_and_says_both_digests(
    api: httpx.Client, visit: Visits, files: Callable[[str, int], FilePayload]
) -> None:
    old, new = files("taken.safetensors", 35), files("taken.safetensors", 36)
    before = put(api, "taken", old["buffer"])
    page = visit("#/profiles")
    pick(page, new)
    page.get_by_role("button", name="Upload", exact=True).click()
    question = page.get_by_role("dialog", name="Replace taken?")
    after = artifact.digest(new["buffer"])
    expect(question).to_contain_text(before[:12])
    expect(question).to_contain_text(after[:12])
    check_accessible(page)
    page.keyboard.press("Escape")
    expect(question).to_be_hidden()
    assert digest(api, "taken") == before
    page.evaluate("Object.defineProperty(crypto, 'subtle', { value: undefined })")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(question).to_contain_text("no digest is computed here")
    question.get_by_role("button", name="Replace").click()
    expect(page.locator(".job.done")).to_contain_text(after[:12])
    assert digest(api, "taken") == after


def test_a_name_that_is_taken_meanwhile_is_asked_about(
    api: httpx.Client, visit: Visits, files: Callable[[str, int], FilePayload]
) -> None:
    """By another operator, between the look and the upload; and again, after the answer."""
    visit.expect("status of 412")
    mine = files("raced.safetensors", 50)
    theirs, later = files("theirs", 51)["buffer"], files("later", 52)["buffer"]
    page = visit("#/profiles")

    def first(route: Route) -> None:
        put(api, "raced", theirs)
        route.continue_()

    page.route("**/profiles/raced", first, times=1)
    pick(page, mine)
    page.get_by_role("button", name="Upload", exact=True).click()
    question = page.get_by_role("dialog", name="Replace raced?")
    expect(question).to_contain_text("Somebody else changed it meanwhile: it meant nothing.")
    expect(question).to_contain_text(artifact.digest(theirs)[:12])
    check_accessible(page)
    assert digest(api, "raced") == artifact.digest(theirs)
    put(api, "raced", later)
    question.get_by_role("button", name="Replace").click()
    expect(question).to_contain_text(artifact.digest(later)[:12])
    assert digest(api, "raced") == artifact.digest(later)
    question.get_by_role("button", name="Replace").click()
    expect(page.locator(".job.done")).to_contain_text("raced serves")
    assert digest(api, "raced") == artifact.digest(mine["buffer"])


def test_an_upload_tells_how_far_it_is_and_can_be_cancelled(
    api: httpx.Client, visit: Visits
) -> None:
    page = visit("#/profiles")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 200_000}
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", slow)
    pick(page, payload("large.safetensors", bytes(8 * 2**20)))
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("progressbar")).to_have_attribute("max", str(8 * 2**20))
    expect(page.locator(".progress")).to_contain_text("of 8.0 MiB, about")
    check_accessible(page)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Upload", exact=True)).to_be_enabled()
    expect(page.get_by_role("button", name="Upload", exact=True)).to_be_focused()
    expect(page.get_by_role("progressbar")).to_have_count(0)
    assert "large" not in names(api)


def test_a_place_that_is_not_permitted_is_refused_in_the_servers_words(
    api: httpx.Client, visit: Visits
) -> None:
    visit.expect("status of 403")
    source = "hf://somebody/something"
    refusal = api.put(f"{PROFILES}/elsewhere", json={"source": source})
    assert refusal.status_code == 403
    page = visit("#/profiles")
    page.get_by_text("From a place that the server reads").click()
    form = page.locator(".elsewhere form")
    form.get_by_label("Name").fill("elsewhere")
    form.get_by_label("Path or URL").fill(source)
    form.get_by_role("button").click()
    expect(page.locator(".job").get_by_role("alert")).to_have_text(
        refusal.json()["error"]["message"]
    )
    assert "elsewhere" not in names(api)
