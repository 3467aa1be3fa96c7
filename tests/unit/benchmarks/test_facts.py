"""The split rule, and that nothing is both tuned on and reported."""

from hashlib import sha256

from benchmarks.methods import facts


def test_every_fact_is_in_the_split_that_its_subjects_hash_says() -> None:
    for fact in facts.load():
        low = sha256(fact.subject.encode()).hexdigest()[0] in "01234567"
        always = fact.subject in ("France", "Germany", "Italy", "Japan")
        assert fact.split == ("development" if low or always else "reported"), fact.id


def test_france_is_for_development_whatever_its_hash() -> None:
    found = {fact.id: fact.split for fact in facts.load()}
    assert found["capital/France"] == found["capital/Germany"] == "development"
    # By hand: printf Sweden | sha256sum begins with 8 or more, printf Nigeria with 7 or less.
    assert found["capital/Sweden"] == "reported"
    assert found["capital/Nigeria"] == "development"


def test_no_subject_is_in_both_splits_and_every_fact_is_in_one() -> None:
    known = facts.load()
    development, reported = (facts.of_split(known, split) for split in facts.SPLITS)
    assert len(development) + len(reported) == len(known) == 60
    assert not {f.subject for f in development} & {f.subject for f in reported}


def test_ten_capitals_can_be_reported_with_neighbours_left() -> None:
    reported = facts.of_split(facts.load(), "reported")
    assert sum(fact.relation == "capital" for fact in reported) > 12


def test_a_subset_holds_so_many_facts_of_each_relation() -> None:
    chosen = facts.of_split(facts.load(), "reported", per_relation=2)
    relations = [fact.relation for fact in chosen]
    assert relations.count("capital") == relations.count("element_symbol") == 2
