"""The experiments' pages: what they show is the report, as it is at that moment."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.http.server import Server

from .rounding import ends, p_value, shown
from .visiting import (
    OPERATOR,
    VISITOR,
    Visits,
    as_operator,
    check_accessible,
    check_no_sideways_scroll,
)

URL = "/v1/unlearning/experiments"
ARMS = [
    {"name": "plain", "profile": "base", "weight": 1.0},
    {"name": "treated", "profile": "france", "weight": 2.0},
]
CHAT = {
    "model": "smollm2",
    "messages": [{"role": "user", "content": "Hi"}],
    "max_tokens": 1,
    "temperature": 0,
}
USERS = 24
"""So many that each arm has two of them: but for one run in a thousand, whose salt is not drawn."""
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}},
}


@pytest.fixture
def api(server: Server) -> Iterator[httpx.Client]:
    """As the operator; what a test began is gone afterwards."""
    with as_operator(server) as client:
        yield client
        for one in client.get(URL).json()["data"]:
            client.delete(f"{URL}/{one['id']}")


@pytest.fixture
def trial(api: httpx.Client) -> str:
    created = api.post(URL, json={"name": "trial", "arms": ARMS})
    assert created.status_code == 201, created.text
    return "trial"


def report(api: httpx.Client, name: str = "trial") -> dict[str, Any]:
    reply = api.get(f"{URL}/{name}/report")
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def observe(api: httpx.Client, users: int = USERS) -> None:
    """Requests that take part, and what came of them: a rate and a mean that differ by arm."""
    told: list[dict[str, Any]] = []
    for number in range(users):
        user = f"user-{number}"
        headers = {"X-Unlearning-Experiment": "trial"}
        reply = api.post("/v1/chat/completions", json={**CHAT, "user": user}, headers=headers)
        assert reply.status_code == 200, reply.text
        plain = reply.headers["X-Unlearning-Experiment"] == "trial/plain"
        told.append({"unit": user, "metric": "resolved", "value": number % (3 if plain else 2) > 0})
        stars = 1 + number % 5 - (0 if plain else 0.5)
        told.append({"unit": user, "metric": "stars", "value": stars})
    assert api.post(f"{URL}/trial/outcomes", json=told).status_code == 200


def cells(page: Page, caption: str) -> list[list[str]]:
    """A table's rows, of what is text in them."""
    rows = page.get_by_role("table", name=caption).locator("tbody tr").all()
    return [[cell.inner_text().strip() for cell in one.locator("th, td").all()] for one in rows]


def check_shows(page: Page, found: dict[str, Any]) -> None:
    """Fails unless the page says what a report says."""
    for arm in found["arms"]:
        row = page.locator("table.counts tbody tr").filter(has_text=arm["profile"])
        numbers = row.locator("td.number")
        expect(numbers.nth(0)).to_have_text(str(arm["units"]))
        expect(numbers.nth(2)).to_have_text(str(arm["exposures"]))
        expect(numbers.nth(3)).to_have_text(str(arm["errors"]))
        for served in arm["served"]:
            expect(row).to_contain_text(served["digest"][:12] or "base")
    for name in found["arms"][0]["metrics"]:
        of = [arm["metrics"][name] for arm in found["arms"]]
        rows = cells(page, f"{name}: {of[0]['kind']} of each arm")
        assert [row[2:] for row in rows] == [
            [shown(one["value"]), ends(one["interval"]), str(one["count"])] for one in of
        ]
        differences = [one["difference"] for one in of if one["difference"]]
        rows = cells(page, f"{name}: difference from {found['control']}")
        assert [row[2:] for row in rows] == [
            [shown(one["value"]), ends(one["interval"]), p_value(one["p_value"])]
            for one in differences
        ]


def test_the_form_begins_what_it_says(api: httpx.Client, visit: Visits) -> None:
    page = visit("#/experiments")
    expect(page.get_by_text("There are none yet.")).to_be_visible()
    page.get_by_label("Name", exact=True).first.fill("tone")
    page.get_by_role("button", name="Add an arm").click()
    for number, (name, profile, weight) in enumerate(
        [("plain", "base", "1"), ("treated", "france", "3"), ("other", "alpha", "0.5")], 1
    ):
        arm = page.get_by_role("group", name=f"Arm {number}")
        arm.get_by_label("Name").fill(name)
        arm.get_by_label("Profile").fill(profile)
        arm.get_by_label("Weight").fill(weight)
    expect(page.get_by_role("group", name="Arm 2")).to_contain_text("67 %")
    page.get_by_role("group", name="Arm 3").get_by_role("radio").check()
    page.get_by_role("button", name="Begin", exact=True).click()
    expect(page.get_by_role("heading", name="tone", exact=True)).to_be_visible()
    expect(page.locator(".head .status")).to_contain_text("running")
    found = api.get(f"{URL}/tone").json()
    assert found["control"] == "other"
    assert found["arms"] == [
        {"name": "plain", "profile": "base", "weight": 1.0},
        {"name": "treated", "profile": "france", "weight": 3.0},
        {"name": "other", "profile": "alpha", "weight": 0.5},
    ]
    page.get_by_role("link", name="All experiments").click()
    expect(page.get_by_role("row").filter(has_text="tone")).to_contain_text("running")


def test_what_the_server_refuses_is_said_in_its_words(api: httpx.Client, visit: Visits) -> None:
    visit.expect("status of 404")
    arms = [{"name": "control", "profile": "base"}, {"name": "treated", "profile": "nowhere"}]
    refusal = api.post(URL, json={"name": "tone", "arms": arms})
    assert refusal.status_code == 404
    page = visit("#/experiments")
    page.get_by_label("Name", exact=True).first.fill("tone")
    page.get_by_role("group", name="Arm 2").get_by_label("Profile").fill("nowhere")
    page.get_by_role("button", name="Begin", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text(refusal.json()["error"]["message"])
    assert api.get(URL).json()["data"] == []


@pytest.mark.usefixtures("trial")
def test_counts_and_intervals_are_the_reports_and_come_without_a_reload(
    api: httpx.Client, visit: Visits
) -> None:
    page = visit("#/experiments/trial")
    expect(page.get_by_text("No outcome has been told yet.")).to_be_visible()
    check_shows(page, report(api))
    page.evaluate("globalThis.notReloaded = true")
    observe(api)
    expect(page.get_by_role("heading", name="stars")).to_be_visible()
    found = report(api)
    assert {arm["metrics"]["stars"]["kind"] for arm in found["arms"]} == {"mean"}
    check_shows(page, found)
    expect(page.get_by_text("for one look at one metric and one arm")).to_be_visible()
    assert page.evaluate("globalThis.notReloaded")


@pytest.mark.usefixtures("trial")
def test_a_stop_and_a_deletion_are_asked_for_first(api: httpx.Client, visit: Visits) -> None:
    page = visit("#/experiments/trial")
    page.get_by_role("button", name="Stop", exact=True).click()
    check_accessible(page)
    page.get_by_role("dialog").get_by_role("button", name="Leave it").click()
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_focused()
    assert report(api)["status"] == "running"
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Stop it").click()
    expect(page.get_by_role("button", name="Save as CSV")).to_be_focused()
    expect(page.locator(".head .status")).to_contain_text("stopped")
    assert report(api)["status"] == "stopped"
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete it for good").click()
    expect(page.get_by_role("heading", name="Experiments", exact=True)).to_be_visible()
    assert api.get(URL).json()["data"] == []


@pytest.mark.usefixtures("trial")
@pytest.mark.parametrize(("button", "form"), [("CSV", "csv"), ("JSON lines", "jsonl")])
def test_the_records_are_saved_as_the_api_has_them(
    api: httpx.Client, visit: Visits, button: str, form: str
) -> None:
    observe(api, users=2)
    page = visit("#/experiments/trial")
    with page.expect_download() as saved:
        page.get_by_role("button", name=f"Save as {button}").click()
    assert saved.value.suggested_filename == f"trial.{form}"
    wanted = api.get(f"{URL}/trial/export", params={"format": form}).text
    assert saved.value.path().read_text() == wanted


@pytest.mark.usefixtures("trial")
def test_the_commands_of_the_page_are_answered(api: httpx.Client, visit: Visits) -> None:
    page = visit("#/experiments/trial")
    page.get_by_text("How requests take part").click()
    commands = page.locator("details pre").all_inner_texts()
    for command in commands:
        said = subprocess.run(
            ["bash", "-ec", command.replace("MODEL", "smollm2").replace("curl", "curl -f", 1)],
            env={**os.environ, "LETHE_KEY": OPERATOR},
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.returncode == 0, said.stderr
    assert OPERATOR not in "".join(commands)
    found = report(api)
    assert sum(arm["exposures"] for arm in found["arms"]) == 1
    assert "resolved" in found["arms"][0]["metrics"]


@pytest.mark.usefixtures("trial")
def test_what_cannot_be_trusted_is_said(api: httpx.Client, visit: Visits) -> None:
    page = visit()
    found = report(api)
    found |= {"lost_exposures": 2, "unexposed_outcomes": 1}
    found["sample_ratio"] = {"p_value": 0.0000004, "mismatch": True}
    served = [{"digest": digest * 64, "exposures": 1, "errors": 0} for digest in "ab"]
    found["arms"][1]["served"] = served
    page.route("**/report", lambda route: route.fulfill(json=found))
    page.goto(page.url.partition("#")[0] + "#/experiments/trial")
    told = page.get_by_role("alert")
    expect(told).to_contain_text("not have the units that their weights say (p < 0.001)")
    expect(told).to_contain_text("2 exposures could not be recorded")
    expect(told).to_contain_text("1 outcome of units that were not exposed")
    expect(told).to_contain_text("Arm treated was served by several digests")
    check_accessible(page)


class Reports:
    """Holds back what the page asks of reports, until a test answers."""

    def __init__(self, page: Page) -> None:
        self.asked = 0
        self._page = page
        self._held: list[Route] = []
        page.route("**/report", self._hold)

    def answer(self, **how: Any) -> None:
        """Waits for a question, if there is none, and answers it."""
        while not self._held:
            self._page.evaluate("0")
        self._held.pop().fulfill(**how)

    def _hold(self, route: Route) -> None:
        self.asked += 1
        self._held.append(route)


@pytest.mark.usefixtures("trial")
def test_one_question_at_a_time_and_fewer_while_nothing_answers(
    api: httpx.Client, visit: Visits
) -> None:
    visit.expect("status of 503")
    page = visit()
    page.clock.install()
    reports = Reports(page)
    good, error = {"json": report(api)}, {"status": 503, "json": {"error": {"message": "nobody"}}}

    def passes(milliseconds: int, asked: int) -> None:
        page.clock.run_for(milliseconds)
        page.evaluate("0")
        assert reports.asked == asked

    def answered(asked: int, how: dict[str, Any]) -> None:
        reports.answer(**how)
        assert reports.asked == asked

    page.goto(page.url.partition("#")[0] + "#/experiments/trial")
    page.wait_for_selector(".live")
    passes(60_000, asked=1)
    answered(1, good)
    expect(page.locator("table.counts")).to_be_visible()
    page.clock.run_for(2000)
    answered(2, error)
    expect(page.get_by_role("alert")).to_contain_text("nobody")
    expect(page.get_by_role("alert")).to_contain_text("again in 4 s")
    expect(page.locator("table.counts")).to_be_visible()
    passes(3900, asked=2)
    page.clock.run_for(200)
    answered(3, error)
    expect(page.get_by_role("alert")).to_contain_text("again in 8 s")
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    passes(60_000, asked=3)
    page.evaluate("Object.defineProperty(document, 'hidden', { value: false })")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    answered(4, good)
    expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_role("button", name="Pause").click()
    passes(60_000, asked=4)
    page.get_by_role("button", name="Go on").click()
    answered(5, good)


@pytest.mark.usefixtures("trial")
@pytest.mark.parametrize("fragment", ["", "/trial"])
def test_what_a_former_key_saw_is_gone(visit: Visits, fragment: str) -> None:
    visit.expect("status of 40[13]")
    page = visit("#/experiments" + fragment)
    seen = page.locator("table.counts" if fragment else "table.list")
    expect(seen).to_be_visible()
    page.get_by_role("button", name="API key").click()
    page.get_by_label("API key", exact=True).fill(VISITOR)
    page.get_by_role("button", name="Use key").click()
    expect(page.locator("main").get_by_role("alert")).to_contain_text("admin")
    expect(seen).to_have_count(0)


@pytest.mark.usefixtures("trial")
def test_a_key_field_that_was_closed_stays_so_while_the_page_asks_again(
    api: httpx.Client, visit: Visits
) -> None:
    visit.expect("status of 401")
    page = visit()
    page.clock.install()
    reports = Reports(page)
    refused = {"status": 401, "json": {"error": {"message": "nobody's"}}}
    page.goto(page.url.partition("#")[0] + "#/experiments/trial")
    reports.answer(**refused)
    expect(page.get_by_text("The server refuses this key.")).to_be_visible()
    page.get_by_role("button", name="API key").click()
    page.clock.run_for(4100)
    reports.answer(**refused)
    expect(page.get_by_role("alert")).to_contain_text("again in 8 s")
    expect(page.get_by_label("API key", exact=True)).to_be_hidden()
    page.get_by_role("button", name="API key").click()
    page.get_by_role("button", name="Use key").click()
    reports.answer(**refused)
    expect(page.get_by_text("The server refuses this key.")).to_be_visible()


def test_a_key_that_may_not_experiment_is_told_so(visit: Visits) -> None:
    visit.expect("status of 403")
    page = visit("#/experiments", key=VISITOR)
    expect(page.locator("main").get_by_role("alert")).to_contain_text("admin")


@pytest.mark.usefixtures("trial")
@pytest.mark.parametrize("look", LOOKS)
def test_every_state_meets_axe_and_fits(api: httpx.Client, visit: Visits, look: str) -> None:
    observe(api)
    page = visit("#/experiments", **LOOKS[look])
    expect(page.get_by_role("link", name="trial")).to_be_visible()
    check_accessible(page)
    check_no_sideways_scroll(page)
    page.get_by_role("link", name="trial").click()
    expect(page.get_by_role("heading", name="stars")).to_be_visible()
    page.get_by_text("How requests take part").click()
    check_accessible(page)
    check_no_sideways_scroll(page)


@pytest.mark.usefixtures("trial")
def test_pictures_for_the_documentation(
    api: httpx.Client, visit: Visits, screenshots: Path
) -> None:
    observe(api, users=60)
    page = visit("#/experiments/trial", viewport={"width": 1280, "height": 900})
    expect(page.get_by_role("heading", name="stars")).to_be_visible()
    page.screenshot(path=screenshots / "experiment.png", full_page=True)
