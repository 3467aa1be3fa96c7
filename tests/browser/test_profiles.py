"""The profiles' pages: what they show is what the API says, and what they do is what it then says.

Each test has profiles of its own, and takes them away again.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import FilePayload, Locator, Page, Route, expect

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_server.evaluating import evidence
from lethe_server.evaluating.evidence import Evidence
from tests.http.profiles import synthetic
from tests.http.server import HEADER, PROFILES, Server

from .rounding import ends, shown
from .visiting import VISITOR, Visits, as_operator, check_accessible, check_no_sideways_scroll

PHONE = {"width": 360, "height": 740}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": PHONE},
}
MEASURED = Path(__file__).resolve().parents[2] / "docs" / "evidence"
"""Real documents, of which one is given the digest of a test's profile."""


@pytest.fixture
def api(server: Server) -> Iterator[httpx.Client]:
    """As the operator; what a test adds is gone afterwards."""
    with as_operator(server) as client:
        before = names(client)
        yield client
        for name in names(client) - before:
            client.patch(f"{PROFILES}/{name}", json={"pinned": False})
            client.delete(f"{PROFILES}/{name}")


def names(client: httpx.Client) -> set[str]:
    return {one["id"] for one in client.get(PROFILES).json()["data"]}


def digest(client: httpx.Client, name: str) -> str:
    found: str = client.get(f"{PROFILES}/{name}").json()["digest"]
    return found


def put(client: httpx.Client, name: str, data: bytes) -> str:
    reply = client.put(f"{PROFILES}/{name}", content=data)
    assert reply.status_code in (200, 201), reply.text
    return digest(client, name)


def serves(client: httpx.Client, name: str) -> str:
    """The digest that answers a request for a name."""
    body = {"model": "smollm2", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    reply = client.post("/v1/chat/completions", json=body, headers={HEADER: name})
    assert reply.status_code == 200, reply.text
    return reply.headers[HEADER].partition("@")[2]


@pytest.fixture
def files(base: BaseModel) -> Callable[[str, int], FilePayload]:
    """Makes files that a browser picks."""

    def make(name: str, seed: int) -> FilePayload:
        return payload(name, synthetic(base, seed))

    return make


def payload(name: str, data: bytes) -> FilePayload:
    return FilePayload(name=name, mimeType="application/octet-stream", buffer=data)


def drop(page: Page, file: Path) -> None:
    """Drags a file over the window and lets it go at its edge, as the browser itself tells it."""
    height: int = page.evaluate("innerHeight")
    at = {"x": 3, "y": height - 3}
    data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **at, "data": data})


def pick(page: Page, *picked: FilePayload) -> None:
    page.get_by_label("Profiles to upload").set_input_files(list(picked))


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


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
    for name, one in zip(("first", "second"), picked, strict=True):
        assert digest(api, name) == artifact.digest(one["buffer"])


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
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    check_accessible(page)
    assert "bad" not in names(api)
    expect(rows).to_have_count(before)


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
    expect(page.get_by_text("This name was deleted.")).to_be_visible()
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
    copy.click()
    expect(page.locator("#announcements")).to_contain_text("copied")
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
    page.get_by_role("button", name="Save labels").click()
    expect(page.locator(".head")).to_contain_text(f"ticket: {hostile}")
    assert api.get(f"{PROFILES}/labelled").json()["labels"] == {"ticket": hostile}
    page.get_by_role("link", name="All profiles").click()
    page.get_by_label("Find by").fill("TICKET onerror")
    expect(page.locator("table.list tbody tr")).to_have_count(1)
    expect(page.get_by_role("status").filter(has_text="1 of")).to_be_visible()
    expect(row(page, "labelled")).to_contain_text(hostile)
    assert page.evaluate("globalThis.ran === undefined")


def attach(api: httpx.Client, base: BaseModel, name: str) -> Evidence:
    """Makes a profile with evidence: a real document, of another profile's numbers."""
    plain = artifact.from_bytes(synthetic(base, 43))
    said = {
        "method": "rocr",
        "hyperparameters": {"subjects": ["France", "Japan"], "target": "Narnia", "strength": 1.0},
        "provenance": {"forget": "12" * 32, "retain": {"examples": 1320, "sha256": "34" * 32}},
    }
    given = put(api, name, artifact.to_bytes(replace(plain, **said)))
    found = json.loads(next(MEASURED.glob("0d23e964*.evidence.json")).read_text())
    document = evidence.Evidence.model_validate(
        {**found, "digest": given, "model": base.fingerprint}
    )
    reply = api.put(f"{PROFILES}/{name}/evidence", json=document.model_dump(mode="json"))
    assert reply.status_code == 200, reply.text
    return document


@pytest.fixture
def measured(api: httpx.Client, base: BaseModel) -> Evidence:
    return attach(api, base, "measured")


def test_attached_evidence_is_shown_number_by_number(measured: Evidence, visit: Visits) -> None:
    page = visit("#/profiles")
    [suite] = measured.suites
    expect(row(page, "measured")).to_contain_text(f"worst form {shown(suite.headline.recovered)}")
    row(page, "measured").get_by_role("link").click()
    expect(page.locator(".headline li").first).to_contain_text(shown(suite.headline.recovered))
    expect(page.locator(".headline li").first).to_contain_text(suite.headline.worst_form)
    page.get_by_text("Further measures", exact=True).click()
    assert measured.retain is not None
    sets = [suite.forget, suite.neighbour, suite.unrelated, suite.measures]
    tables = page.locator(".evidence table")
    expect(tables).to_have_count(len(sets) + 2)
    for at, measures in enumerate(sets):
        rows = tables.nth(at).locator("tbody tr")
        assert [text.split("\t")[0].strip() for text in rows.all_inner_texts()] == [
            one.name for one in measures
        ], "the worst first, as the document has it"
        for place, one in enumerate(measures):
            expect(rows.nth(place)).to_contain_text(shown(one.value))
            if one.interval is not None:
                expect(rows.nth(place)).to_contain_text(ends(one.interval))
    first = page.locator(".formulas").first
    first.get_by_text("Formulas").click()
    expect(first).to_contain_text(suite.forget[0].formula)


def test_the_marks_are_drawn_where_their_numbers_are(measured: Evidence, visit: Visits) -> None:
    page = visit("#/profiles/measured")
    [suite] = measured.suites
    one = suite.neighbour[1]
    drawing = page.locator(".evidence table").nth(1).locator("tbody tr").nth(1)
    expect(drawing.locator(".forest-value")).to_have_attribute("x", f"{100 * one.value:.2f}%")
    expect(drawing.locator(".forest-base")).to_have_attribute("x", "100.00%")
    assert one.interval is not None
    low, high = (f"{100 * end:.2f}%" for end in one.interval)
    whisker = drawing.locator(".forest-interval line").first
    expect(whisker).to_have_attribute("x1", low)
    expect(whisker).to_have_attribute("x2", high)


def test_where_there_is_no_evidence_the_page_says_how_to_make_some(
    visit: Visits, server: Server
) -> None:
    page = visit("#/profiles/alpha")
    command = f"lethe eval --url {server.url} --profile alpha --suite capitals --attach"
    expect(page.locator(".evidence pre")).to_have_text(command)


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
