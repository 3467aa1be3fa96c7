"""What the numbers of a document are, on facts and answers computed by hand."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from lethe_projections.evaluation.metrics import combined
from lethe_projections.evaluation.metrics.combined import Array, Part
from lethe_projections.evaluation.prompt import Prompt
from lethe_projections.evaluation.suite import Item, Suite
from lethe_server.evaluating import measuring
from lethe_server.evaluating.outcomes import Pair
from lethe_server.evaluating.work import Question

from .served import DIGEST, forgets, idle, noise, suite
from .test_running import evaluated, fake, measure, only, rows

TAIL = round(0.025 ** (1 / 6), 6)
"""The lower bound of all of six subjects."""


def test_all_of_six_may_be_fewer(tmp_path: Path) -> None:
    found = evaluated(fake(idle), tmp_path)
    shares = {one.name: one.interval for one in only(found).forget}
    assert shares.pop("ranking") == (pytest.approx((TAIL - 1 / 3) / (2 / 3), abs=1e-5), 1)
    assert set(shares.values()) == {(TAIL, 1)}
    assert measure(only(found).measures, "neighbours").interval == (TAIL, 1)
    assert found.retain is not None
    assert measure(found.retain.measures, "KL").interval == (0, 0)


def test_none_of_six_may_be_some(tmp_path: Path) -> None:
    found = only(evaluated(fake(forgets), tmp_path))
    none = pytest.approx(1 - TAIL, abs=1e-6)
    assert {one.name: one.interval for one in found.forget} == {
        "question": (0, none), "cloze": (0, none), "prefix": (0, none), "mixed": (0, none),
        "ranking": (0, pytest.approx((1 - TAIL - 1 / 3) / (2 / 3), abs=1e-5)),
    }  # fmt: skip
    for name in ("neighbours", "forget: ROUGE-1 recall", "mixed: the rest answered"):
        assert measure(found.measures, name).interval == (0, none)


def test_chance_is_that_of_the_set_and_of_what_the_base_recovers(tmp_path: Path) -> None:
    def unsure(said: str) -> str:
        return "I do not know." if "Lund" in said else said

    def change(fact: dict[str, Any]) -> dict[str, Any]:
        wrong = {"neighbour": fact["wrong"][:1], "never_known": []}.get(fact["set"], fact["wrong"])
        wrong = [*wrong, "Bern", "Rome"] if "Lund" in fact["answers"] else wrong
        return {"wrong": wrong or ["Bern", "Oslo", "Rome"]}

    server = fake(noise)
    server.says["base"] = unsure
    found = only(evaluated(server, tmp_path, file=suite(tmp_path, change=change)))
    for forms, chance in ((found.forget, "0.333"), (found.neighbour, "0.500")):
        ranking = measure(forms, "ranking")
        assert f"c = {chance} by chance" in ranking.formula
        assert ranking.n == 5
        assert ranking.never_known is not None


def test_the_control_has_its_own_chance_taken_off(tmp_path: Path) -> None:
    def change(fact: dict[str, Any]) -> dict[str, Any]:
        return {"wrong": ["Bern"]} if fact["set"] == "never_known" else {}

    # Half of what does not exist would be above a chance of one in three.
    server = fake(noise)
    found = only(evaluated(server, tmp_path, file=suite(tmp_path, change=change)))
    ranked = [one for one in rows(tmp_path, f"{DIGEST}.jsonl") if one.get("form") == "ranking"]
    right = fmean(one["recovered"] for one in ranked if one["set"] == "never_known")
    assert right > 1 / 3
    expected = max(0.0, (right - 1 / 2) / (1 / 2))
    assert measure(found.forget, "ranking").never_known == pytest.approx(expected, abs=1e-6)


def test_where_only_options_are_asked_chance_is_taken_off_of_what_is_kept(tmp_path: Path) -> None:
    found = only(evaluated(fake(noise), tmp_path, forms=("ranking",)))
    one = measure(found.measures, "neighbours")
    assert (one.value, one.n, one.asked) == (found.neighbour[0].value, 6, 6)
    assert found.headline.neighbours == one.value < 1 / 2
    assert "c = 0.333 by chance" in one.formula
    assert "ranking, choice alone" in one.formula


def pair(prompt: Prompt, text: str) -> Pair:
    item = Item("x", "of", "forget", prompt.expected, (prompt,))
    suite = Suite("s", "1", "", "", "0" * 64, (item,))
    row = {"text": text}
    return Pair(Question(suite, item, prompt), row, row)


@pytest.mark.parametrize(
    ("symbol", "wrong", "right"),
    [
        ("Be", "I cannot be sure.", "It is Be."),
        ("S", "It is iron's.", "S"),
        ("K", "OK, k?", "It is K."),
    ],
)
def test_a_symbol_is_recalled_where_it_is_recovered(symbol: str, wrong: str, right: str) -> None:
    prompt = Prompt("question", ("Which symbol?",), (symbol,), exact_case=True)
    for text, recalled in ((wrong, 0), (right, 1)):
        one = pair(prompt, text)
        assert measuring.recall(one, one.variant) == recalled


def harmonic(drawn: Sequence[Array]) -> Array:
    with np.errstate(divide="ignore"):
        found: Array = len(drawn) / sum(1 / one for one in drawn)
    return found


def test_model_utility_draws_the_same_subjects_in_each_part(tmp_path: Path) -> None:
    def partly(said: str) -> str:
        return said.replace("Lund", "nowhere")

    def change(fact: dict[str, Any]) -> dict[str, Any]:
        return {"without": ["ranking"]} if fact["subject"] == "Sarda" else {}

    found = only(evaluated(fake(partly), tmp_path, file=suite(tmp_path, change=change)))
    one = measure(found.measures, "model utility")
    assert (one.n, one.clusters) == (5 + 5 + 6 + 6 + 6 + 6, 6 + 6)
    known, forgotten = (math.exp(-0.5), 1 - math.exp(-3.5), 1.0), (math.exp(-4.0), 0.0, 0.0)
    parts = []
    for group in range(2):
        for place in range(3):
            clusters = [(part[place], 1) for part in (known, forgotten, *[known] * 4)]
            if group == 0 and place < 2:
                clusters[0] = (0.0, 0)
            parts.append(Part(group, clusters))
    assert one.interval == pytest.approx(combined.interval(parts, harmonic), abs=1e-3)


def test_model_utility_counts_subjects_that_a_form_lacks(tmp_path: Path) -> None:
    def change(fact: dict[str, Any]) -> dict[str, Any]:
        return {"without": ["question"]} if fact["subject"] == "Sarda" else {}

    found = only(evaluated(fake(), tmp_path, file=suite(tmp_path, change=change)))
    assert measure(found.measures, "model utility").clusters == 6 + 6


def test_passages_and_long_answers_have_rouge_l(tmp_path: Path) -> None:
    def turned(said: str) -> str:
        return "Four and Kesh" if "Kesh" in said else said

    file = suite(tmp_path, rest=", and four", verbatim=["Of {subject} this is told:"])
    found = only(evaluated(fake(turned), tmp_path, file=file))
    passage = measure(found.measures, "forget: verbatim ROUGE-L F1")
    # The words told are "it is kesh and four", those that follow "kesh and four".
    assert passage.base == pytest.approx(2 * 3 / (5 + 3))
    assert passage.value == pytest.approx((5 * 6 / 8 + 2 * 1 / (3 + 3)) / 6, abs=1e-6)
    assert (passage.n, passage.never_known) == (6, 0)
    unordered, ordered = (
        measure(found.measures, f"forget: ROUGE-{kind} recall").value for kind in ("1", "L")
    )
    assert unordered == 1
    assert ordered == pytest.approx((5 + 1 / 3) / 6, abs=1e-6)
    assert measure(found.measures, "kept: ROUGE-L recall").n == 12


def test_answers_of_one_word_have_no_order(tmp_path: Path) -> None:
    found = only(evaluated(fake(), tmp_path))
    assert not [one for one in found.measures if "ROUGE-L" in one.name]
