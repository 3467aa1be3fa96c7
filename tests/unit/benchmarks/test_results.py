"""A row, from measurements written by hand."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.methods import facts, forms, likelihood, results
from benchmarks.methods.cases import Case, Fit
from benchmarks.methods.facts import Fact
from benchmarks.methods.fitting import Fitted
from benchmarks.methods.measuring import BASE, Shelf
from lethe_projections.examples import Example

FACTS = {fact.id: fact for fact in facts.load()}
CHOSEN = {
    name: FACTS[name]
    for name in ("capital/France", "capital/Germany", "capital/Italy", "element_symbol/gold")
}
TEXTS = (Example(text="one two"), Example(text="three four"))
FIT = Fit("rocr", (), ("capital/France",))


def shelved(shelf: Shelf, digest: str, right: Any, kl: float = 0.0) -> None:
    """Answers and rankings that hold what was asked for exactly where `right(item)`."""
    items = [item for fact in CHOSEN.values() for item in forms.items(fact)]
    said = [i for i in items if not i.options]
    shelf.answers(digest).add(
        {"key": i.key, "text": f"It is {i.expected}." if right(i) else "I do not know."}
        for i in said
    )
    ranked = [i for i in items if i.options]
    shelf.likelihood(digest).add(
        {"key": i.key, "scores": [0.0 if right(i) else -2.0, -1.0]} for i in ranked
    )
    shelf.likelihood(digest).add(
        {"key": likelihood.text_key(text), "kl": kl * tokens, "tokens": tokens}
        for text, tokens in zip(TEXTS, (1, 3), strict=True)
    )


def ground(shelf: Shelf) -> results.Ground:
    items = [item for fact in CHOSEN.values() for item in forms.items(fact)]
    return results.Ground(CHOSEN, tuple(shelf.known(items)), TEXTS, shelf)


def fitted(digest: str) -> Fitted:
    return Fitted(Path("x"), digest, seconds=2.0, rank=3, bytes=100, hyperparameters={})


def row(shelf: Shelf, *fits: Fit) -> dict[str, Any]:
    made = {fit: fitted(f"variant{number}") for number, fit in enumerate(fits)}
    return results.row(Case("one", 0, fits), made, ground(shelf))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """A base that knows all but the reversed clozes."""
    made = Shelf(tmp_path, "engine")
    shelved(made, BASE, lambda item: item.form != "reverse cloze")
    return made


def test_a_variant_that_answers_as_the_base_forgets_nothing_and_keeps_all(shelf: Shelf) -> None:
    shelved(shelf, "variant0", lambda item: item.form != "reverse cloze")
    found = row(shelf, FIT)
    assert found["forgetting"]["value"] == found["any_form"]["value"] == 1.0
    assert found["neighbours"]["value"] == found["unrelated"]["value"] == 1.0
    assert found["kl"]["value"] == 0.0


def test_only_what_the_base_recovers_is_counted(shelf: Shelf) -> None:
    """The variant even brings up what the base does not: that is no item."""
    shelved(shelf, "variant0", lambda item: item.form == "reverse cloze")
    found = row(shelf, FIT)
    assert "reverse cloze" not in found["forms"]
    assert found["forgetting"]["value"] == 0.0
    assert found["any_form"]["value"] == 0.0


def test_the_row_names_the_worst_form_of_the_forgotten_fact_alone(shelf: Shelf) -> None:
    def right(item: forms.Item) -> bool:
        france = item.fact == "capital/France"
        return item.form == "cloze" and item.number == 0 if france else item.form != "question"

    shelved(shelf, "variant0", right, kl=0.5)
    found = row(shelf, FIT)
    assert found["worst_form"] == "cloze"
    assert found["forgetting"]["value"] == 0.25
    assert found["any_form"]["value"] == 1.0
    # Germany and Italy: 4 of 13 known items each are questions; gold: 3 of 9, without a hint.
    assert found["neighbours"]["value"] == pytest.approx(9 / 13, abs=1e-5)
    assert found["neighbours"]["count"] == 26
    assert found["unrelated"]["value"] == pytest.approx(6 / 9, abs=1e-5)
    assert (found["kl"]["value"], found["kl"]["count"]) == (0.5, 4)


def test_pooled_profiles_are_each_asked_about_their_own_fact_and_the_worst_is_kept(
    shelf: Shelf,
) -> None:
    shelved(shelf, "variant0", lambda item: item.fact != "capital/France")
    shelved(shelf, "variant1", lambda item: True, kl=0.2)
    found = row(shelf, FIT, Fit("rocr", (), ("capital/Italy",)))
    assert found["fits"] == 2
    assert found["forgetting"]["value"] == 0.5
    assert found["worst_fit"] == 1.0
    assert found["any_form"]["value"] == 0.5
    assert found["kl"]["value"] == pytest.approx(0.1)
    assert found["kl_worst_fit"] == pytest.approx(0.2)


def test_another_fact_about_a_forgotten_subject_is_neither_neighbour_nor_unrelated(
    tmp_path: Path,
) -> None:
    known: dict[str, Fact] = {
        name: FACTS[name] for name in ("capital/Nigeria", "continent/Nigeria", "capital/Kenya")
    }
    measured = results.Ground(known, (), (), Shelf(tmp_path, "engine"))
    assert measured.neighbours(["capital/Nigeria"]) == ["capital/Kenya"]
    assert measured.unrelated(["capital/Nigeria"]) == []
    assert measured.same_subject(["capital/Nigeria"]) == ["continent/Nigeria"]
    assert measured.same_subject(["capital/Nigeria", "continent/Nigeria"]) == []


def test_text_about_the_forgotten_is_measured_apart(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = (Example(text="Paris lies on a river"), Example(text="France is large"), TEXTS[0])
    monkeypatch.setattr("tests.unit.benchmarks.test_results.TEXTS", texts[::2])
    shelved(shelf, "variant0", lambda item: True, kl=0.5)
    found = row(shelf, FIT)
    assert (found["kl"]["count"], found["kl_about"]["count"]) == (3, 1)
    assert ground(shelf).texts_about(["capital/Germany"]) == []


def test_ranking_is_counted_above_chance_and_no_form_of_its_own_to_any_form(shelf: Shelf) -> None:
    shelved(shelf, "variant0", lambda item: item.form == "ranking")
    assert row(shelf, FIT)["any_form"]["value"] == 0.0
    assert row(shelf, FIT)["worst_form"] == "ranking"


def test_a_form_that_the_base_hardly_knows_is_left_out() -> None:
    known = [forms.Item(f"f{n % 4}", "cloze", n, "", "x") for n in range(8)]
    known += [forms.Item(f"f{n}", "question", 0, "", "x") for n in range(5)]
    assert results.kept_forms(known) == {"question": 5}
