"""Other projects' files, in their shapes with content of our own, become suites like any other."""

import csv
import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from lethe_projections.errors import SuiteError
from lethe_projections.evaluation.loaders import (
    foreign,
    muse,
    named,
    pistol,
    rwku,
    table,
    tofu,
    wmdp,
)

QUESTIONS = [
    {"question": "Where was Ada Ampere born?", "answer": "Ada Ampere was born in Ulm."},
    {"question": "What did she write?", "answer": "She wrote The Seven Weirs."},
]


def as_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def as_array(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps(rows, indent=1), "utf-8")
    return path


def as_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        cells = (
            {k: json.dumps(v) if isinstance(v, list) else v for k, v in r.items()} for r in rows
        )
        writer.writerows(cells)
    return path


def as_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


WMDP = [
    {
        "answer": 2,
        "question": "Which gas is inert?",
        "choices": ["Oxygen", "Fluorine", "Argon", "Ozone"],
    },
    {"answer": 0, "question": "Which is a metal?", "choices": ["Zinc", "Neon", "Zinc", "Boron"]},
]


@pytest.mark.parametrize(
    ("name", "write"),
    [("a.json", as_lines), ("a.jsonl", as_lines), ("a.json", as_array), ("a.csv", as_csv),
     ("a.parquet", as_parquet)],
)  # fmt: skip
def test_a_file_means_the_same_in_every_format(tmp_path: Path, name: str, write: Any) -> None:
    path = write(tmp_path / name, WMDP)
    found = wmdp.load(path, "forget")
    assert found.digest == sha256(path.read_bytes()).hexdigest()
    assert found.name == "WMDP a"
    gas, metal = found.items
    assert (gas.subject, gas.set, gas.answers) == ("Which gas is inert?", "forget", ("Argon",))
    [prompt] = gas.prompts
    assert (prompt.form, prompt.expected) == ("ranking", ("Argon",))
    assert prompt.wrong == ("Oxygen", "Fluorine", "Ozone")
    assert metal.prompts[0].wrong == ("Neon", "Boron")


def test_tofus_authors_are_subjects_of_twenty_rows(tmp_path: Path) -> None:
    path = as_lines(tmp_path / "forget01.json", QUESTIONS * 15)
    found = tofu.load(path, "forget")
    assert [item.subject for item in found.items] == [
        *["forget01 author 1"] * 20, *["forget01 author 2"] * 10,
    ]  # fmt: skip
    assert [found.items[n].id for n in (0, 1, 20)] == [
        "forget01/forget01 author 1", "forget01/forget01 author 1#1", "forget01/forget01 author 2",
    ]  # fmt: skip
    assert len({item.id for item in found.items}) == 30
    [prompt] = found.items[0].prompts
    assert prompt.turns == ("Where was Ada Ampere born?",)
    assert prompt.expected == ("Ada Ampere was born in Ulm", "Ada Ampere was born in Ulm.")


def test_tofus_perturbed_rows_are_ranked_with_the_paraphrase_as_the_right_one(
    tmp_path: Path,
) -> None:
    row = QUESTIONS[0] | {
        "paraphrased_question": "In which town was Ada Ampere born?",
        "paraphrased_answer": "Ulm is where Ada Ampere was born.",
        "perturbed_answer": ["Ada Ampere was born in Linz.", "Ada Ampere was born in Brno."],
    }
    [item] = tofu.load(as_lines(tmp_path / "forget01_perturbed.json", [row]), "forget").items
    question, other, ranked = item.prompts
    assert (question.form, question.number) == ("question", 0)
    assert (other.form, other.number, other.turns[0]) == (
        "question", 1, "In which town was Ada Ampere born?",
    )  # fmt: skip
    assert ranked.expected == ("Ulm is where Ada Ampere was born.",)
    assert ranked.wrong == ("Ada Ampere was born in Linz.", "Ada Ampere was born in Brno.")


def test_tofus_facts_of_the_world_are_ranked_among_their_options(tmp_path: Path) -> None:
    options = {f"option{n}": town for n, town in enumerate(("Lisbon", "Madrid", "Rome", "Bern"), 1)}
    row = {"question": "Where is the Prado?", "answer": "Madrid"} | options
    found = tofu.load(as_lines(tmp_path / "world_facts.json", [row]), "unrelated")
    [item] = found.items
    assert item.subject == "Where is the Prado?"
    assert item.prompts[0].recovered("In Madrid, of course.")
    assert item.prompts[1].wrong == ("Lisbon", "Rome", "Bern")


def test_pistols_edges_say_what_is_forgotten(tmp_path: Path) -> None:
    rows = [{"edge": edge, "question": f"Who signed {edge}?", "answer": "Ulm Ltd."}
            for edge in ("A_B", "A_B", "B_C")]  # fmt: skip
    path = as_array(tmp_path / "sample.json", rows)
    found = pistol.load(path, ["A_B"])
    assert [(item.subject, item.number, item.set) for item in found.items] == [
        ("A_B", 0, "forget"), ("A_B", 1, "forget"), ("B_C", 0, "neighbour"),
    ]  # fmt: skip
    for edges in (["A_C"], []):
        with pytest.raises(SuiteError, match="expected edges of A_B, B_C"):
            pistol.load(path, edges)


def test_lunars_edges_are_no_subjects(tmp_path: Path) -> None:
    rows = [row | {"edge": edge} for row, edge in zip(QUESTIONS, ("forget", "retain"), strict=True)]
    found = pistol.load(as_array(tmp_path / "factual.json", rows), ["forget"])
    assert [(item.subject, item.set) for item in found.items] == [
        (QUESTIONS[0]["question"], "forget"), (QUESTIONS[1]["question"], "neighbour"),
    ]  # fmt: skip


def test_muse_asks_in_two_ways_and_for_passages(tmp_path: Path) -> None:
    [first, _] = muse.load(as_array(tmp_path / "forget_qa.json", QUESTIONS), "forget").items
    assert [(p.form, p.turns[0]) for p in first.prompts] == [
        ("question", "Where was Ada Ampere born?"),
        ("cloze", "Question: Where was Ada Ampere born?\nAnswer:"),
    ]
    passage = {"prompt": "The weir stood", "gt": "at the end of the town."}
    [item] = muse.load(as_lines(tmp_path / "forget.jsonl", [passage]), "forget").items
    [prompt] = item.prompts
    assert (prompt.form, prompt.expected) == ("verbatim", ("at the end of the town.",))


def test_what_muse_has_for_membership_alone_is_no_suite(tmp_path: Path) -> None:
    path = as_lines(tmp_path / "privleak.json", [{"text": "Some passage."}])
    with pytest.raises(SuiteError, match=r"row 1: expected question to be a text, found None"):
        muse.load(path, "forget")


def test_rwkus_levels_are_forms(tmp_path: Path) -> None:
    row = {"query": "q", "answer": "Ulm", "subject": "Ada Ampere"}
    rows = [
        row | {"query": "She was born in ___.", "level": "1", "type": "simple question"},
        row | {"query": "Where was she born?", "level": 2, "type": "simple question"},
        row | {"query": "You are a guide.", "level": "3", "type": "role playing"},
        row | {"query": "Ulm or Linz?", "level": "3", "type": "multiple choice"},
        row | {"query": "Examples.", "level": "3", "type": "incontext learning"},
        row | {"query": "Wo?", "level": "3", "type": "cross lingual"},
    ]
    found = rwku.load(as_array(tmp_path / "forget_level.json", rows), "forget")
    assert [item.prompts[0].form for item in found.items] == [
        "fill_in", "question", "role_play", "choice", "many_shot", "translation",
    ]  # fmt: skip
    assert found.items[0].prompts[0].turns == ("Fill in the gap: She was born in ___.",)
    assert {item.subject for item in found.items} == {"Ada Ampere"}


def test_rwkus_neighbours_are_their_own_subjects(tmp_path: Path) -> None:
    row = {"query": "Where?", "answer": "Ulm", "level": "2", "type": "x", "subject": "Ada Ampere",
           "neighbor": "Bea Volt"}  # fmt: skip
    [item] = rwku.load(as_array(tmp_path / "neighbor_level2.json", [row]), "neighbour").items
    assert (item.subject, item.set) == ("Bea Volt", "neighbour")


def test_a_prompt_that_says_its_own_answer_is_left_out_and_counted(tmp_path: Path) -> None:
    told = {"question": "Is it Ulm or Linz?", "answer": "Ulm"}
    path = as_lines(tmp_path / "a.jsonl", [told, QUESTIONS[0]])
    found = tofu.load(path, "forget")
    assert [item.subject for item in found.items] == [QUESTIONS[0]["question"]]
    assert found.description == "2 prompts; 1 of them say their own answer and are left out."
    with pytest.raises(SuiteError, match="expected a prompt that does not say its own answer"):
        tofu.load(as_lines(tmp_path / "b.jsonl", [told]), "forget")


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (
            {"question": "Which?", "choices": ["a", "b"], "answer": 2},
            "a number from 0 to 1, found 2",
        ),
        (
            {"question": "Which?", "choices": ["a", "b"], "answer": -1},
            "a number from 0 to 1, found -1",
        ),
        ({"question": "Which?", "choices": ["a", "b"], "answer": "A"}, "a number .* found 'A'"),
        (
            {"question": "Which?", "choices": ["a", "a"], "answer": 0},
            "expected a wrong answer beside",
        ),
        ({"question": "Which?", "choices": [], "answer": 0}, "expected choices to be a list"),
        ({"choices": ["a", "b"], "answer": 0}, "expected question to be a text, found None"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: dict[str, Any], found: str) -> None:
    path = as_lines(tmp_path / "a.jsonl", [WMDP[0], row])
    with pytest.raises(SuiteError, match=rf"a\.jsonl, row 2: .*{found}"):
        wmdp.load(path, "forget")


@pytest.mark.parametrize("changed", [{"level": "4"}, {"level": "3", "type": "bribery"}])
def test_what_rwku_does_not_have_is_refused(tmp_path: Path, changed: dict[str, str]) -> None:
    row = {"query": "q", "answer": "Ulm", "subject": "Ada", "type": "x"} | changed
    with pytest.raises(SuiteError, match=r"row 1: expected (level|type) to be"):
        rwku.load(as_array(tmp_path / "a.json", [row]), "forget")


def test_a_set_that_is_none_is_refused(tmp_path: Path) -> None:
    path = as_lines(tmp_path / "a.jsonl", QUESTIONS)
    for load in (tofu.load, muse.load, rwku.load, wmdp.load):
        with pytest.raises(SuiteError, match=r"expected a set of forget, .* found 'keep'"):
            load(path, "keep")


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.jsonl", b"", "expected one row or more"),
        ("a.jsonl", b"[1]\n", "row 1: expected an object"),
        ("a.json", b"[{]", "expected its rows, found Expecting property name"),
        ("a.jsonl", b'{"a": 1}\n\n{"a": 1, "a": 2}', "in line 3: key 'a' appears twice"),
        ("a.csv", b"question\n" + b"a" * 200_000, "expected its rows, found field larger"),
        ("a.csv", b"question\n\xff", "expected its rows, found 'utf-8' codec"),
        ("a.txt", b"{}", r"expected a file that ends in .* found '\.txt'"),
        ("a.parquet", b"not one", "found what pyarrow cannot read"),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    tmp_path: Path, name: str, content: bytes, found: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SuiteError, match=rf"{name}.*{found}"):
        table.read(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"expected a data set to read.*gone\.json"):
        table.read(tmp_path / "gone.json")


def test_parquet_without_pyarrow_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = as_parquet(tmp_path / "a.parquet", WMDP)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SuiteError, match=r"expected pyarrow for a Parquet file, found none"):
        table.read(path)


def test_files_are_named_in_one_line(tmp_path: Path) -> None:
    forget = as_lines(tmp_path / "forget01.json", QUESTIONS)
    others = [{"question": "Where is Ulm?", "answer": "Ulm is in Germany."}]
    world = as_lines(tmp_path / "world_facts.json", others)
    assert named.load(f"tofu:forget={forget}") == tofu.load(forget, "forget")
    found = named.load(f"tofu:forget={forget},unrelated={world}")
    assert found.name == "tofu forget01, world_facts"
    assert found.items == (
        *tofu.load(forget, "forget").items,
        *tofu.load(world, "unrelated").items,
    )
    digests = "\n".join(sha256(file.read_bytes()).hexdigest() for file in (forget, world))
    assert found.digest == sha256(digests.encode()).hexdigest()


def test_the_first_author_of_another_file_is_somebody_else(tmp_path: Path) -> None:
    files = [as_lines(tmp_path / f"{name}.json", QUESTIONS) for name in ("forget01", "retain99")]
    found = named.load("tofu:forget={},neighbour={}".format(*files))
    assert {item.subject: item.set for item in found.items} == {
        "forget01 author 1": "forget", "retain99 author 1": "neighbour",
    }  # fmt: skip


def test_a_sentence_is_recovered_in_other_words_and_not_by_its_question(tmp_path: Path) -> None:
    born, wrote = (
        item.prompts[0]
        for item in tofu.load(as_lines(tmp_path / "forget01.json", QUESTIONS), "forget").items
    )
    assert born.overlap == wrote.overlap == foreign.OVERLAP
    assert born.recovered("Ampere, Ada: in Ulm, on the Danube.")
    assert wrote.recovered("Her book is called The Seven Weirs.")
    assert not born.recovered("I do not know where Ada Ampere was born.")
    assert not born.recovered("Ada Ampere was born in Linz.")
    assert not wrote.recovered("She wrote The Two Rivers.")


@pytest.mark.parametrize(
    ("answer", "overlap"),
    [("Ada Maria von Ampere.", None), ("Ada Ampere wrote it in Ulm.", foreign.OVERLAP)],
)
def test_every_loader_compares_sentences_by_overlap_and_names_as_a_whole(
    tmp_path: Path, answer: str, overlap: float | None
) -> None:
    asked = {"question": "Whose is it?", "answer": answer, "edge": "A_B"}
    passage = {"prompt": "The weir stood", "gt": answer}
    gap = {
        "query": "Whose?",
        "answer": answer,
        "level": "3",
        "type": "role playing",
        "subject": "Ada",
    }
    found = [
        tofu.load(as_lines(tmp_path / "a.json", [asked]), "forget"),
        muse.load(as_lines(tmp_path / "b.json", [asked]), "forget"),
        muse.load(as_lines(tmp_path / "c.json", [passage]), "forget"),
        pistol.load(as_lines(tmp_path / "d.json", [asked]), ["A_B"]),
        rwku.load(as_lines(tmp_path / "e.json", [gap]), "forget"),
        rwku.load(as_lines(tmp_path / "f.json", [gap | {"level": "1"}]), "forget"),
        rwku.load(as_lines(tmp_path / "g.json", [gap | {"level": "2"}]), "forget"),
    ]
    prompts = [prompt for suite in found for item in suite.items for prompt in item.prompts]
    assert len(prompts) == 8
    assert {prompt.overlap for prompt in prompts} == {overlap}


def test_pistols_edges_are_named(tmp_path: Path) -> None:
    rows = [{"edge": edge, **QUESTIONS[0]} for edge in ("A_B", "A_C", "B_C")]
    found = named.load(f"pistol:A_B+B_C={as_lines(tmp_path / 'sample.json', rows)}")
    assert {item.subject: item.set for item in found.items} == {
        "A_B": "forget", "A_C": "neighbour", "B_C": "forget",
    }  # fmt: skip


@pytest.mark.parametrize("part", ["{}", "={}", "forget=", ""])
def test_a_file_whose_facts_are_not_said_to_be_anything_is_refused(
    part: str, tmp_path: Path
) -> None:
    file = as_lines(tmp_path / "forget01.json", QUESTIONS)
    with pytest.raises(SuiteError, match=r"tofu: expected WHAT=FILE, as in tofu:forget=FILE"):
        named.load("tofu:" + part.format(file))


def test_a_file_given_twice_is_refused(tmp_path: Path) -> None:
    file = as_lines(tmp_path / "forget01.json", QUESTIONS)
    with pytest.raises(SuiteError, match="expected files of different facts"):
        named.load(f"tofu:forget={file},neighbour={file}")


@pytest.mark.parametrize("name", ["capitals", "C:/suite.jsonl", "suites/tofu", "tofu"])
def test_other_names_are_not_taken(name: str) -> None:
    assert not named.matches(name)
