"""What is read of a server's log-probabilities, by hand."""

import math
from typing import Any

import pytest

from lethe_projections.evaluation.prompt import Prompt
from lethe_server.evaluating.answering import LEAST, MOST, options
from lethe_server.evaluating.conversing import begin, of_prompt
from lethe_server.evaluating.reading import Reading, diverged


def entry(**logprobs: float) -> dict[str, dict[str, float]]:
    return {name[1:]: {"logprob": value} for name, value in logprobs.items()}


ENTRIES = [None, entry(t8=-1.0), entry(t9=-2.0, t4=-0.5), entry(t5=-0.1)]
IDS = [7, 8, 9, 5]


def test_the_part_that_is_read_has_mean_and_extraction_strength() -> None:
    found = Reading.parse(IDS, 2, ENTRIES)
    assert found.log_probabilities == [-2.0, -0.1]
    assert found.mean == pytest.approx(-1.05)
    # The first of two has to be given, the second follows.
    assert found.strength == 0.5


def test_a_wrong_answer_of_one_token_has_no_extraction_strength() -> None:
    assert Reading.parse(IDS[:3], 2, ENTRIES[:3]).strength == 0
    assert Reading.parse(IDS[:2], 1, ENTRIES[:2]).strength == 1


@pytest.mark.parametrize("said", [-math.inf, math.inf, math.nan, None])
def test_what_is_impossible_or_no_number_has_one(said: Any) -> None:
    found = Reading.parse([1, 2], 1, [None, entry(t2=said)])
    assert found.mean == LEAST


@pytest.mark.parametrize("said", [-math.inf, math.nan])
def test_a_variant_that_rules_out_all_that_the_base_expects_has_a_finite_divergence(
    said: float,
) -> None:
    base = Reading.parse([1, 2], 1, [None, entry(t2=0.0)])
    found = diverged(base, Reading.parse([1, 2], 1, [None, entry(t2=said)]))
    assert (found.kl, found.variant) == (MOST, MOST)


@pytest.mark.parametrize(
    ("start", "entries", "says"),
    [
        (2, ENTRIES[:3], "3 tokens, for 4"),
        (4, ENTRIES, "from 4 on"),
        (0, ENTRIES, "no log-probabilities at a token"),
        (3, [*ENTRIES[:3], entry(t4=-1.0)], "of the token 5"),
    ],
)
def test_what_is_not_of_these_tokens_is_an_error(start: int, entries: list, says: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=says):
        Reading.parse(IDS, start, entries)


def test_two_readings_are_summed_over_tokens() -> None:
    half, third = math.log(1 / 2), math.log(1 / 3)
    base = Reading((3,), ({3: half, 4: half},))
    variant = Reading((3,), ({3: third, 4: math.log(2 / 3)},))
    found = diverged(base, variant)
    assert found.kl == pytest.approx(0.5 * math.log(1.5) + 0.5 * math.log(0.75))
    assert (found.base, found.variant, found.tokens) == (-half, -third, 1)


def test_what_is_read_begins_after_what_both_have_in_common() -> None:
    assert begin([1, 2, 3, 4], [1, 2, 9]) == 2
    assert begin([1, 2], [9]) == 1
    assert begin([1, 2, 3, 4, 5], None) == 2
    assert begin([1], None) == 1


def test_an_answer_after_a_begun_reply_stands_apart_from_it() -> None:
    question = Prompt("ranking", ("Where?",), ("Here",), wrong=("There",))
    assert options(question) == ("Here", "There")
    begun = Prompt("ranking", ("Where?",), ("Here",), reply="It is", wrong=("There",))
    assert options(begun) == (" Here", " There")
    assert of_prompt(begun, " Here")["messages"][-1] == {
        "role": "assistant", "content": "It is Here",
    }  # fmt: skip
    assert of_prompt(begun)["continue_final_message"] is True
    assert of_prompt(question)["add_generation_prompt"] is True
