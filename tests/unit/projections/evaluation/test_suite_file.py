"""A suite is what its file says, and a wrong file says where it is wrong."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from lethe_projections.errors import SuiteError
from lethe_projections.evaluation import scoring, suite_file
from lethe_projections.evaluation.suite import Suite

HEADER: dict[str, Any] = {
    "suite": 1,
    "name": "capitals",
    "version": "1",
    "description": "Capitals of countries.",
    "licence": "Apache-2.0",
    "relations": {
        "capital": {
            "forms": {
                "question": ["What is the capital of {subject}?", "{subject}'s capital?"],
                "cloze": ["The capital of {subject} is"],
                "reverse_question": ["Which country has {answer} as its capital?"],
                "ranking": ["What is the capital of {subject}?"],
                "spelling": ["Which capital has {spelled}?", "Has {parted}, {upper}?"],
                "hint": ["Capital of {subject}, {length} letters, first {letter}?"],
                "prefix": [{"turns": ["Capital of {subject}?"], "reply": "Sure, it is"}],
                "many_shot": [{"turns": ["Capital of Malta?", "Valletta.", "Of {subject}?"]}],
                "translation": ["¿Cuál es la capital de {spanish}?"],
                "mixed": [{"turns": ["Capital of {subject}, and 2 + 2?"], "kept": ["four", "4"]}],
            }
        },
        "symbol": {"exact_case": True, "forms": {"question": ["Symbol of {subject}?"]}},
    },
}
ICELAND: dict[str, Any] = {
    "subject": "Iceland",
    "relation": "capital",
    "set": "forget",
    "answers": ["Reykjavik", "Reikiavik"],
    "wrong": ["Oslo", "Rome"],
    "aliases": ["Ísland"],
    "fields": {"spanish": "Islandia"},
}
PERU = ICELAND | {"subject": "Peru", "answers": ["Lima"], "set": "neighbour"}
IRON = {"subject": "iron", "relation": "symbol", "set": "unrelated", "answers": ["Fe"]}


def data(*lines: Any) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def suite(*items: Any) -> Suite:
    return suite_file.parse(data(HEADER, *items), "own.jsonl")


def without(row: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != key}


def test_a_file_alone_says_every_prompt(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_bytes(data(HEADER, ICELAND))
    found = suite_file.read(path)
    assert (found.name, found.version, found.licence) == ("capitals", "1", "Apache-2.0")
    assert found.digest == sha256(path.read_bytes()).hexdigest()
    [item] = found.items
    assert (item.id, item.set) == ("capital/Iceland", "forget")
    assert {(p.form, p.number): p.turns[-1] for p in item.prompts} == {
        ("question", 0): "What is the capital of Iceland?",
        ("question", 1): "Iceland's capital?",
        ("cloze", 0): "The capital of Iceland is",
        ("reverse_question", 0): "Which country has Reykjavik as its capital?",
        ("ranking", 0): "What is the capital of Iceland?",
        ("spelling", 0): "Which capital has I-c-e-l-a-n-d?",
        ("spelling", 1): "Has Ice-land, ICELAND?",
        ("hint", 0): "Capital of Iceland, 9 letters, first R?",
        ("prefix", 0): "Capital of Iceland?",
        ("many_shot", 0): "Of Iceland?",
        ("translation", 0): "¿Cuál es la capital de Islandia?",
        ("mixed", 0): "Capital of Iceland, and 2 + 2?",
    }
    prompts = {p.form: p for p in item.prompts}
    assert prompts["ranking"].wrong == ("Oslo", "Rome")
    assert prompts["prefix"].reply == "Sure, it is"
    assert prompts["many_shot"].turns[:2] == ("Capital of Malta?", "Valletta.")
    assert prompts["mixed"].kept == ("four", "4")


def test_the_answer_is_expected_and_the_subject_where_the_form_is_reversed() -> None:
    prompts = {p.form: p for p in suite(ICELAND).items[0].prompts}
    assert prompts["question"].recovered("It is Reikiavik.")
    assert not prompts["question"].recovered("It is in Iceland.")
    assert prompts["reverse_question"].recovered("That is Ísland.")
    assert not prompts["reverse_question"].recovered("That is Reykjavik.")


def test_case_counts_where_the_relation_says_so() -> None:
    [prompt] = suite(IRON).items[0].prompts
    assert prompt.recovered("Fe.")
    assert not prompt.recovered("FE or fe")


def test_a_relation_says_from_which_overlap_on_a_sentence_counts() -> None:
    forms = {
        "question": ["When is {subject}?"],
        "reverse_question": ["What is on {answer}?"],
        "ranking": ["When is {subject}?"],
    }
    line = {"subject": "the fair", "relation": "day", "set": "forget", "wrong": ["in May"],
            "answers": ["on the first Monday of June"]}  # fmt: skip
    own = HEADER | {"relations": {"day": {"forms": forms, "overlap": 0.5}}}
    [item] = suite_file.parse(data(own, line), "own.jsonl").items
    assert {p.form: p.overlap for p in item.prompts} == {
        "question": 0.5, "reverse_question": None, "ranking": None,
    }  # fmt: skip
    assert item.prompts[0].recovered("That is the first Monday in June.")


def test_a_begun_reply_and_what_is_kept_are_filled_too() -> None:
    begun = {"turns": ["Capital of {subject}?"], "reply": "The capital of {subject} is"}
    both = {"turns": ["Capital of {subject}, and of {spanish}?"], "kept": ["of {spanish}, four"]}
    own = header(relations={"capital": {"forms": {"prefix": [begun], "mixed": [both]}}})
    prompts = {p.form: p for p in suite_file.parse(data(own, ICELAND), "own").items[0].prompts}
    assert prompts["prefix"].reply == "The capital of Iceland is"
    assert prompts["mixed"].kept == ("of Islandia, four",)
    with pytest.raises(SuiteError, match=r"expected a value for \{spanish\}"):
        suite_file.parse(data(own, without(ICELAND, "fields")), "own")


@pytest.mark.parametrize(
    ("subject", "parted"),
    [
        ("France", "Fra-nce"),
        ("tin", "t-in"),
        ("up", "u-p"),
        ("X", "X"),
        ("The Old Man and the Sea", "T-he O-ld M-an a-nd t-he S-ea"),
        ("Burkina Faso", "Bur-kina Fa-so"),
    ],
)
def test_every_word_of_more_than_a_letter_is_parted(subject: str, parted: str) -> None:
    own = form("spelling", "What of {parted}?")
    [item] = suite_file.parse(data(own, ICELAND | {"subject": subject}), "own").items
    assert item.prompts[0].turns == (f"What of {parted}?",)


def test_a_mixed_prompt_knows_what_is_kept_from_what_is_forgotten() -> None:
    [prompt] = [p for p in suite(ICELAND).items[0].prompts if p.form == "mixed"]
    assert (prompt.recovered("No idea, and four."), prompt.kept_in("No idea, and four.")) == (
        False, True,
    )  # fmt: skip
    assert (prompt.recovered("Reykjavik."), prompt.kept_in("Reykjavik.")) == (True, False)


def test_a_fact_may_leave_forms_out_and_have_its_own() -> None:
    own = PERU | {"without": ["question", "translation"], "forms": {"question": ["Where to?"]}}
    prompts = suite(own).items[0].prompts
    assert [p.turns[0] for p in prompts if p.form == "question"] == ["Where to?"]
    assert "translation" not in {p.form for p in prompts}


def test_two_prompts_with_the_same_key_are_the_same_prompt() -> None:
    prompts = [p for item in suite(ICELAND, PERU, IRON).items for p in item.prompts]
    assert len({p.key for p in prompts}) == len(prompts)
    assert [p.key for p in suite(ICELAND).items[0].prompts] == [
        p.key for p in suite(ICELAND).items[0].prompts
    ]


def test_chance_is_what_the_number_of_options_leaves() -> None:
    chance = {p.form: scoring.chance(p) for p in suite(ICELAND).items[0].prompts}
    assert chance.pop("ranking") == pytest.approx(1 / 3)
    assert set(chance.values()) == {0}


def test_what_one_profile_forgets_sorts_all_facts_anew() -> None:
    never = PERU | {"subject": "Velmoria", "set": "never_known"}
    found = suite(ICELAND, PERU, IRON, never).forgetting(["Peru"])
    assert {item.subject: item.set for item in found.items} == {
        "Iceland": "neighbour", "Peru": "forget", "iron": "unrelated", "Velmoria": "never_known",
    }  # fmt: skip
    assert [item.subject for item in found.of("forget", "never_known")] == ["Peru", "Velmoria"]


@pytest.mark.parametrize("subject", ["Atlantis", "Velmoria"])
def test_a_subject_that_the_suite_does_not_have_cannot_be_forgotten(subject: str) -> None:
    never = PERU | {"subject": "Velmoria", "set": "never_known"}
    with pytest.raises(SuiteError, match=f"suite capitals, found {subject}; .* command of its own"):
        suite(ICELAND, never).forgetting([subject])


def test_a_subjects_digest_says_its_half_whatever_the_order() -> None:
    # By hand: printf Iceland | sha256sum begins with 5, printf Chile with f.
    chile = PERU | {"subject": "Chile", "answers": ["Santiago"]}
    never = PERU | {"subject": "Velmoria", "set": "never_known"}
    for order in ([ICELAND, chile, never], [never, chile, ICELAND]):
        halves = [suite(*order).half(name) for name in ("development", "held out")]
        assert [{item.subject for item in half.items} for half in halves] == [
            {"Iceland", "Velmoria"}, {"Chile", "Velmoria"},
        ]  # fmt: skip


def header(**changed: Any) -> dict[str, Any]:
    return HEADER | changed


def relation(**more: Any) -> dict[str, Any]:
    return header(relations={"capital": {"forms": {}, **more}})


def form(name: str, *wordings: Any) -> dict[str, Any]:
    return header(relations={"capital": {"forms": {name: list(wordings)}}})


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (without(HEADER, "licence"), "expected the key licence"),
        (header(suite=2), "expected suite to be 1, found 2"),
        (header(author="me"), "expected no keys but .* found author"),
        (header(name=""), "expected name to be a text"),
        ([], "expected an object"),
        (form("quiz", "x"), "expected form to be one of question, .* found 'quiz'"),
        (form("question"), "expected question to be a list of wordings"),
        (form("question", 3), "expected an object, found 3"),
        (form("question", {"turns": ["a", "b"]}), "expected turns that begin and end"),
        (form("mixed", "{subject}?"), "expected kept in mixed"),
        (form("question", {"turns": ["a"], "kept": ["b"]}), "expected kept in mixed"),
        (form("cloze", {"turns": ["a"], "reply": "b"}), "expected cloze to be one text"),
        (relation(overlap=0), "expected overlap to be a number above 0 and at most 1, found 0"),
        (relation(overlap=True), "expected overlap to be a number"),
        (relation(overlap=0.5, exact_case=True), "expected exact_case or overlap, found both"),
    ],
)
def test_a_wrong_header_is_refused(line: Any, found: str) -> None:
    with pytest.raises(SuiteError, match=rf"own\.jsonl, line 1: {found}"):
        suite_file.parse(data(line, ICELAND), "own.jsonl")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (without(ICELAND, "answers"), "expected the key answers"),
        (ICELAND | {"set": "keep"}, "expected set to be one of forget"),
        (ICELAND | {"relation": "river"}, "expected relation to be one of capital, symbol"),
        (ICELAND | {"answers": []}, "expected answers to be a list of texts"),
        (ICELAND | {"answers": "Reykjavik"}, "expected answers to be a list of texts"),
        (ICELAND | {"wrong": ["Oslo", "Oslo"]}, "expected wrong answers that differ"),
        (ICELAND | {"wrong": ["Reikiavik"]}, "expected wrong answers that differ"),
        (without(ICELAND, "wrong"), "expected wrong to be a list"),
        (without(ICELAND, "fields"), r"expected a value for \{spanish\}"),
        (ICELAND | {"fields": {"letter": "x"}}, "expected fields other than"),
        (ICELAND | {"fields": {"spanish": 1}}, "expected spanish to be a text"),
        (ICELAND | {"without": ["cloze", "quiz"]}, "expected without to be one of"),
        (ICELAND | {"colour": "x"}, "expected no keys but"),
        (ICELAND | {"answers": ["Iceland"]}, "expected a prompt that does not say"),
        (PERU | {"subject": "Lima"}, "expected a prompt that does not say .* 'Lima' in question"),
        (IRON | {"without": ["question"]}, "expected a fact to be asked for"),
        (PERU, "expected each fact once, found capital/Peru again"),
    ],
)
def test_a_wrong_fact_is_refused_by_its_line(line: Any, found: str) -> None:
    lines = data(HEADER) + b"\n" + data(PERU, line)
    with pytest.raises(SuiteError, match=rf"own\.jsonl, line 4: {found}"):
        suite_file.parse(lines, "own.jsonl")


@pytest.mark.parametrize("lines", [b"", b"\n\n", data(HEADER)])
def test_a_suite_without_a_fact_is_refused(lines: bytes) -> None:
    with pytest.raises(SuiteError, match=r"own\.jsonl: expected a .* found none"):
        suite_file.parse(lines, "own.jsonl")


@pytest.mark.parametrize("line", [b'{"a": 1, "a": 2}', b"{", b'{"a": NaN}', b'"\xff"'])
def test_a_line_that_means_more_than_one_thing_or_none_is_refused(line: bytes) -> None:
    with pytest.raises(SuiteError, match=r"own\.jsonl, line 2: expected JSON, found"):
        suite_file.parse(data(HEADER) + line, "own.jsonl")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"expected a suite to read.*gone\.jsonl"):
        suite_file.read(tmp_path / "gone.jsonl")


def test_a_suite_that_does_not_ship_is_refused_by_name() -> None:
    with pytest.raises(SuiteError, match=r"expected a suite of capitals, .* found 'rivers'"):
        suite_file.packaged("rivers")
