"""Evidence: every number on a page is one of its document, and is drawn where it belongs."""

from playwright.sync_api import expect

from lethe_server.evaluating.evidence import Evidence
from tests.http.server import Server

from .profiling import row
from .rounding import ends, shown
from .visiting import Visits


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
    expect(page.locator(".evidence pre")).to_have_text(f"LETHE_API_KEY=$LETHE_KEY {command}")
