"""The suites that ship: large enough, in every form, and without what would make them mislead."""

from hashlib import sha256

import pytest

from lethe_projections.evaluation import matching, suite_file
from lethe_projections.evaluation.forms import FORMS
from lethe_projections.evaluation.suite import Item

SUITES = {name: suite_file.packaged(name) for name in suite_file.PACKAGED}
MAIN = ("forget", "neighbour")
FROM_OUTSIDE = {"choice", "verbatim"}
"""Forms that are there for other projects' data."""


def each(*sets: str) -> list[Item]:
    return [item for suite in SUITES.values() for item in suite.of(*sets)]


def test_there_are_a_hundred_and_fifty_subjects_in_three_relations() -> None:
    assert len(each(*MAIN)) >= 150
    assert {item.relation for item in each(*MAIN)} == {"capital", "element_symbol", "author"}
    assert all(len(suite.of(*MAIN)) >= 50 for suite in SUITES.values())


def test_every_fact_that_exists_is_asked_for_in_every_form() -> None:
    for item in each("forget", "neighbour", "unrelated"):
        assert {p.form for p in item.prompts} == set(FORMS) - FROM_OUTSIDE, item.id


def test_what_does_not_exist_is_asked_for_from_its_own_side_alone() -> None:
    forms = {name for name, form in FORMS.items() if not form.reverse} - FROM_OUTSIDE
    known = {item.subject.casefold() for item in each("forget", "neighbour", "unrelated")}
    for item in each("never_known"):
        assert {p.form for p in item.prompts} == forms
        assert item.subject.casefold() not in known
    assert all(len(suite.of("never_known")) >= 20 for suite in SUITES.values())


def test_no_prompt_names_what_another_subjects_of_its_suite_are_asked_for() -> None:
    """A many-shot example that stands in the suite would be taught by the prompt."""
    for suite in SUITES.values():
        subjects = {item.subject for item in suite.of(*MAIN)}
        for item in suite.of(*MAIN):
            for prompt in item.prompts:
                shown = " ".join(prompt.turns[:-1])
                assert not any(subject in shown for subject in subjects), prompt


@pytest.mark.parametrize("half", ["development", "held out"])
@pytest.mark.parametrize("name", suite_file.PACKAGED)
def test_each_half_has_enough_to_forget_and_to_keep(name: str, half: str) -> None:
    suite = SUITES[name].half(half)
    assert len(suite.of("forget")) >= 15
    assert len(suite.of("neighbour")) >= 5
    assert len(suite.of("unrelated")) >= 5


def test_which_are_neighbours_is_the_digests_choice() -> None:
    for item in each(*MAIN):
        last = sha256(item.subject.encode()).hexdigest()[-1]
        assert item.set == ("neighbour" if last in "abcdef" else "forget"), item.id


def test_wrong_answers_are_other_facts_right_ones() -> None:
    for suite in SUITES.values():
        for item in suite.items:
            right = {other.answers[0] for other in suite.items if other.relation == item.relation}
            [ranked] = [p for p in item.prompts if p.form == "ranking"]
            assert len(ranked.wrong) == 3
            assert set(ranked.wrong) <= right - {item.answers[0]}


def test_no_answer_is_a_word_that_any_reply_might_hold() -> None:
    words = {"he", "i", "as", "in", "at", "no", "am", "a"}
    for item in each("forget", "neighbour", "never_known"):
        assert not words & {answer.casefold() for answer in item.answers}, item.id


def test_no_two_facts_of_a_relation_accept_the_same_answer() -> None:
    for suite in SUITES.values():
        accepted = [(i.relation, a) for i in suite.of(*MAIN) for a in i.answers]
        assert len(set(accepted)) == len(accepted)


def test_a_spelled_subject_does_not_stand_in_its_prompt_in_one_piece() -> None:
    for item in each("forget", "neighbour", "unrelated", "never_known"):
        others = {p.turns for p in item.prompts if p.form != "spelling"}
        spelled = [p for p in item.prompts if p.form == "spelling"]
        assert len({p.turns for p in spelled}) == len(spelled), item.id
        for prompt in spelled:
            assert prompt.turns not in others, item.id
            # In capitals it is other tokens, and meant to be in one piece.
            assert not matching.holds(prompt.turns[0], item.subject, exact_case=True), prompt


def test_long_words_are_parted_as_they_always_were() -> None:
    """So that answers that are kept by a prompt's key stay of use."""
    keys = [
        p.key
        for item in SUITES["capitals"].items
        for p in item.prompts
        if p.form == "spelling" and all(len(word) > 3 for word in item.subject.split())
    ]
    [france] = [item for item in SUITES["capitals"].items if item.subject == "France"]
    assert any("Fra-nce" in p.turns[0] for p in france.prompts)
    assert len(keys) == 369
    assert sha256("".join(keys).encode()).hexdigest() == (
        "eb13af79937743ba855614fec469f3e89338221b2108d3c9b06a81f059ab2323"
    )
