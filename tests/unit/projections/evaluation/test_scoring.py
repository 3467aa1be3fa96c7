"""From answers to outcomes, on facts of one subject."""

import pytest

from lethe_projections.evaluation import scoring
from lethe_projections.evaluation.metrics import recovery
from lethe_projections.evaluation.prompt import Prompt
from lethe_projections.evaluation.suite import Item

ASKED = Prompt("question", ("Where is the Prado?",), ("Madrid",))
RANKED = Prompt("ranking", ("Where is the Prado?",), ("Madrid",), wrong=("Rome", "Bern"))


def item(number: int = 0) -> Item:
    return Item("the Prado", "place", "forget", ("Madrid",), (ASKED, RANKED), number)


def test_an_answer_that_holds_the_truth_recovers_it() -> None:
    assert scoring.answered(item(), ASKED, "In Madrid.").recovered
    assert not scoring.answered(item(), ASKED, "In Rome.").recovered


@pytest.mark.parametrize(
    ("scores", "recovered"), [([-1, -2, -3], True), ([-2, -1, -3], False), ([-1, -1, -3], False)]
)
def test_the_truth_is_recovered_where_it_is_ranked_alone_at_the_top(
    scores: list[float], recovered: bool
) -> None:
    assert scoring.ranked(item(), RANKED, scores).recovered is recovered


def test_every_option_needs_a_score() -> None:
    with pytest.raises(ValueError, match="expected a score of the answer and each of 2 wrong ones"):
        scoring.ranked(item(), RANKED, [-1, -2])


def test_several_facts_about_a_subject_are_told_apart_and_drawn_together() -> None:
    base = [scoring.answered(item(n), ASKED, "Madrid") for n in range(2)]
    variant = [scoring.answered(item(0), ASKED, "Madrid"), scoring.answered(item(1), ASKED, "no")]
    assert len({one.item for one in base}) == 2
    [score] = recovery.scores(variant, base)
    assert (score.recovered.value, score.recovered.count, score.recovered.clusters) == (0.5, 2, 1)
