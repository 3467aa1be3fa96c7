"""What a request gives away of the evaluation, and what the retain text does."""

from benchmarks.methods import facts, forms, request, retain
from lethe_projections import examples

FACTS = facts.load()


def normal(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def test_only_the_requested_wordings_are_evaluated_ones() -> None:
    for fact in FACTS:
        evaluated = {normal(item.prompt) for item in forms.items(fact)}
        asked = {normal(line.messages[0][1]) for line in request.forget([fact])}
        allowed = {normal(wording) for wording in request.requested(fact)}
        assert asked & evaluated == allowed, fact.id
        assert len(asked) > len(allowed), fact.id


def test_no_line_of_a_request_is_a_cloze_in_disguise() -> None:
    for fact in FACTS:
        for line in request.forget([fact]):
            for cloze in (*fact.cloze, *fact.reverse_cloze):
                assert not normal(line.messages[0][1]).startswith(normal(cloze)), line


def test_derived_forms_do_not_use_the_requested_question() -> None:
    for fact in FACTS:
        for item in forms.items(fact):
            if item.form in ("ranking", "hint", "prefix", "role play"):
                assert fact.qa[0] not in item.prompt


def test_every_line_names_its_subject_and_holds_the_whole_fact() -> None:
    for fact in FACTS:
        lines = request.forget([fact])
        examples.check_subjects(lines)
        for line in lines:
            assert line.mentions(fact.answer), line
            assert line.mentions(fact.subject), line
            assert line.subject in line.messages[0][1], line


def test_a_hint_does_not_give_a_short_answer_away() -> None:
    for fact in FACTS:
        for item in forms.items(fact):
            assert not item.recovered(item.prompt), item


def test_items_have_ids_and_keys_of_their_own() -> None:
    items = [item for fact in FACTS for item in forms.items(fact)]
    assert len({item.id for item in items}) == len({item.key for item in items}) == len(items)


def test_retain_text_states_no_evaluated_fact_and_asks_no_evaluated_question() -> None:
    found = retain.parted(FACTS)
    wordings = {normal(item.prompt) for fact in FACTS for item in forms.items(fact)}
    for line in (*found.fit, *found.held_out):
        assert not any(line.mentions(f.subject) and line.mentions(f.answer) for f in FACTS), line
        assert not wordings & {normal(text) for text in (line.text, *dict(line.messages).values())}
    assert found.stated > 0  # else this leaves nothing out and tests nothing


def test_text_for_kl_is_held_out_from_every_fit() -> None:
    found = retain.parted(FACTS)
    assert len(found.held_out) > 50
    assert not set(found.held_out) & set(found.fit)
    assert all(line.answer or line.text for line in found.held_out)
