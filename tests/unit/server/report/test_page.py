"""The page: what is in it, and what must not be."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from lethe_server.attacks.document import MEANING, Kind
from lethe_server.evaluating.evidence import Evidence
from lethe_server.evaluating.not_shown import NOT_SHOWN
from lethe_server.evaluating.split import Split
from lethe_server.report import text
from lethe_server.report.gather import Results
from lethe_server.report.grouping import boards
from lethe_server.report.labels import labels
from lethe_server.report.page import page
from lethe_server.report.plots import balance

from .documents import (
    MODEL,
    OTHER_MODEL,
    RETAIN,
    SUITE,
    attack,
    attacks,
    curve,
    digest,
    dozen,
    point,
    profile,
)

VOID = {"meta"}
HOSTILE = '<script>alert(1)</script> " \' &amp; $x_{$ {{ 7 * 7 }} id="a" #p0-0- \u202e\x01'
SHOWN = '<script>alert(1)</script> " \' &amp; $x_{$ {{ 7 * 7 }} id="a" #p0-0- \ufffd\ufffd'


class Read(HTMLParser):
    """A page as a browser takes it, all of its elements closed in their order."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(data.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def made(evidence: list[Evidence], *more: object, title: str = "What was forgotten") -> bytes:
    return page(Results(tuple(evidence), more), title)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole() -> bytes:
    tried = [one for one in attacks() if one.digest in {digest(0), digest(6)}]
    return made(dozen(), *tried)


def test_it_is_well_formed_and_its_ids_differ(whole: bytes) -> None:
    read = Read(whole)
    ids = Counter(attributes["id"] for _, attributes in read.elements if "id" in attributes)
    assert [name for name, count in ids.items() if count > 1] == []
    for _, attributes in read.elements:
        for value in attributes.values():
            for name in re.findall(r"url\(#(.*?)\)|^#(.+)$", value):
                assert "".join(name) in ids


def test_it_asks_nothing_of_the_network_and_runs_nothing(whole: bytes) -> None:
    read = Read(whole)
    assert b"http:" not in whole
    assert b"https:" not in whole
    assert {"script", "link", "iframe", "object", "embed", "img", "base"}.isdisjoint(
        tag for tag, _ in read.elements
    )
    names = {name for _, attributes in read.elements for name in attributes}
    assert not any(name.startswith("on") for name in names)
    links = [one[name] for _, one in read.elements for name in ("href", "src") if name in one]
    assert all(link.startswith("#") for link in links)
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert {"http-equiv": "Content-Security-Policy", "content": policy} in read.all("meta")
    assert not re.search(rb"@import|url\((?!#)", whole)


def test_every_number_of_the_documents_is_in_it(whole: bytes) -> None:
    words = set(Read(whole).text)
    for one in dozen():
        [suite] = one.suites
        head = suite.headline
        assert one.retain is not None
        measures = [*suite.forget, *suite.neighbour, *suite.measures, *one.retain.measures]
        for measure in measures:
            shown = (measure.value, measure.base, measure.never_known)
            assert {*map(text.number, shown), text.interval(measure.interval)} <= words
            assert {str(measure.n), str(measure.clusters), measure.formula} <= words
        assert {text.number(head.neighbours), text.number(head.unrelated), one.digest} <= words
        assert set(one.left_out) <= words
    assert {MODEL, SUITE, RETAIN} <= words


def test_every_attack_is_in_it_with_settings_and_meaning(whole: bytes) -> None:
    words = Read(whole).text
    for kind in Kind:
        assert f"{str(kind).capitalize()}: {MEANING[kind]}" in words
        for one in attack(6, kind).curves:
            assert all(text.number(found.value) in words for found in one.points)
    assert {"share", "0.5", "None"} <= set(words)
    assert "8" in words[words.index("edited first") :]


def test_what_numbers_do_not_show_is_what_the_guide_says(whole: bytes) -> None:
    assert set(NOT_SHOWN) <= set(Read(whole).text)
    guide = (Path(__file__).parents[4] / "docs" / "evaluating.md").read_text("utf-8")
    [written] = re.findall(r"## What they do not show\n\n(.*?)(?:\n\n|\Z)", guide, re.DOTALL)
    points = [" ".join(one.split()).replace("`", "") for one in written.split("\n* ")]
    assert tuple(one.removeprefix("* ") for one in points) == NOT_SHOWN


def test_plots_and_tables_speak_to_who_does_not_see(whole: bytes) -> None:
    read = Read(whole)
    drawings = read.all("svg")
    assert len(drawings) == 3 + (1 + 2) * len(Kind)
    assert all(one["role"] == "img" for one in drawings)
    assert "steer: worst form recovered 0.067, neighbours kept 0.995" in drawings[0]["aria-label"]
    assert "steer: 0.067 (95 %: 0.037 to 0.127), spelling" in drawings[1]["aria-label"]
    assert len(read.all("caption")) == len(read.all("table")) > 12
    assert all("scope" in one for one in read.all("th"))
    assert read.all("html") == [{"lang": "en"}]


def test_what_a_stranger_wrote_is_shown_as_text() -> None:
    [suite] = profile(6).suites
    worst = suite.forget[0].model_copy(update={"name": HOSTILE, "formula": HOSTILE})
    head = suite.headline.model_copy(update={"worst_form": HOSTILE})
    changed = {"name": HOSTILE, "forget": [worst, *suite.forget[1:]], "headline": head}
    found = profile(
        6, method=HOSTILE, engine=HOSTILE, left_out=[HOSTILE],
        suites=[suite.model_copy(update=changed)],
    )  # fmt: skip
    line = curve(HOSTILE, [point(1, 0.5)])
    tried = attack(
        6,
        Kind.PROBING,
        axis=HOSTILE,
        curves=[line],
        marks={HOSTILE: 1.0},
        settings={HOSTILE: HOSTILE},
    )
    data = made([found], tried, title=HOSTILE)
    read = Read(data)
    assert read.text.count(SHOWN) >= 8
    assert read.all("script") == []
    assert "\u202e" not in data.decode()
    assert "a" not in {one.get("id") for _, one in read.elements}


def test_the_same_documents_make_the_same_bytes(whole: bytes) -> None:
    tried = [one for one in attacks() if one.digest in {digest(0), digest(6)}]
    with mpl.rc_context({"xtick.direction": "in", "svg.hashsalt": None, "axes.facecolor": "red"}):
        assert made(dozen(), *tried) == whole


def test_a_dozen_profiles_are_not_too_much(whole: bytes) -> None:
    without = made(dozen())
    attacked = (len(whole) - len(without)) / 2
    assert len(without) + 12 * attacked < 2_000_000


def test_what_was_measured_otherwise_is_in_no_plot_with_others() -> None:
    ways = [
        profile(1), profile(2, model=OTHER_MODEL), profile(3, split=Split.DEVELOPMENT),
        profile(4, engine="vllm 0.32.0", by="http"),
        profile(5, suites=[profile(5).suites[0].model_copy(update={"subjects_sha256": "1" * 64})]),
        profile(7, left_out=["all forms but cloze: not asked"]),
    ]  # fmt: skip
    read = Read(made(ways))
    drawn = [one["aria-label"] for one in read.all("svg")]
    assert len(drawn) == 3 * len(ways)
    for one in ways:
        assert sum(f" {one.method}: " in alt for alt in drawn) == 3, one.method
    said = [words for words in read.text if words.startswith("base model ")]
    assert len({one for one in said if "subjects:" in one}) == 5
    assert any("left out: all forms but cloze: not asked" in one for one in said)
    assert any("subjects: development" in one for one in said)
    assert any("over HTTP, vllm 0.32.0" in one for one in said)


def test_curves_of_profiles_to_which_the_same_was_done_are_in_one_plot() -> None:
    same = [attack(number, Kind.RELEARNING) for number in (1, 2)]
    other = attack(3, Kind.RELEARNING, settings={"seed": 8})
    read = Read(made([], *same, other))
    first, *single = [one["aria-label"] for one in read.all("svg")]
    assert re.match("relearning of all. lunar: 0.0.* at 0, .*; mrp: .* at 100", first)
    assert "leace" not in first
    assert len(single) == 3


def test_profiles_without_neighbours_are_named_below_the_plot() -> None:
    [suite] = profile(1).suites
    bare = suite.model_copy(
        update={"headline": suite.headline.model_copy(update={"neighbours": None})}
    )
    words = "".join(Read(made([profile(0), profile(1, suites=[bare])])).text)
    assert "Without known neighbours, so not drawn: lunar." in words
    assert len(Read(made([profile(1, suites=[bare])])).all("svg")) == 2


def test_both_intervals_of_a_point_are_drawn() -> None:
    [board] = boards([profile(9)], labels([profile(9)]))
    [row] = board.rows
    plan = balance.plan(board)
    assert plan is not None
    assert row.neighbours is not None
    axes = Figure().add_subplot()
    plan.paint(axes)
    drawn = [tuple(map(tuple, line.get_xydata())) for line in axes.lines]
    kept, worst = row.neighbours, row.worst
    assert kept.interval is not None
    assert worst.interval is not None
    assert tuple((bound, worst.value) for bound in kept.interval) in drawn
    assert tuple((kept.value, bound) for bound in worst.interval) in drawn


def test_a_digest_tells_profiles_of_one_method_apart() -> None:
    called = labels(dozen())
    assert called[digest(0)] == f"rocr {digest(0)[:8]}"
    assert called[digest(1)] == "lunar"
    assert len(set(called.values())) == len(called) == 12


def test_the_best_stand_first() -> None:
    [board] = boards(dozen(), labels(dozen()))
    ranks = [(row.worst.value, -(row.suite.headline.neighbours or 0)) for row in board.rows]
    assert ranks == sorted(ranks)


def test_every_curve_is_in_the_legend() -> None:
    curves = [curve(name, [point(1, 0.5)]) for name in ("_under", "long " * 100)]
    words = Read(made([], attack(1, Kind.REQUESTS, curves=curves, marks={"_here": 3.0}))).text
    assert {"_under", "_here 3"} <= {one.strip() for one in words}
    assert any(one.strip().startswith("long") and one.endswith("…") for one in words)


def test_values_that_are_too_far_are_told_and_not_drawn() -> None:
    far = attack(1, Kind.REQUESTS)
    points = [
        far.curves[0].points[0],
        far.curves[0].points[1].model_copy(update={"value": 1.7e308}),
    ]
    words = "".join(Read(made([], far.model_copy(update={"curves": [curve("x", points)]}))).text)
    assert "1 value beyond 1e+09 not drawn." in words
    assert "1.7e+308" in words
