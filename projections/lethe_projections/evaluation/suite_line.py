"""A further line of a suite's file: a fact, and its prompts."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from lethe_projections.evaluation import rows, wording
from lethe_projections.evaluation.forms import FORMS
from lethe_projections.evaluation.prompt import Prompt
from lethe_projections.evaluation.suite import SETS, Item
from lethe_projections.evaluation.suite_header import Header, Relation, forms_of
from lethe_projections.evaluation.wording import Wording


def parse(value: Any, header: Header) -> Item:
    """Reads a fact from JSON.

    Raises:
        ValueError: it is none, or one of its prompts says what it asks for.
    """
    required = ("subject", "relation", "set", "answers")
    optional = ("wrong", "aliases", "fields", "forms", "without")
    row = rows.of(value, required, optional)
    relation = header.relations[rows.choice(row, "relation", header.relations)]
    item = Item(
        subject=rows.text(row, "subject"),
        relation=row["relation"],
        set=rows.choice(row, "set", SETS),
        answers=rows.texts(row, "answers"),
        prompts=(),
    )
    prompts = tuple(_prompts(item, row, relation))
    if not prompts:
        raise ValueError("expected a fact to be asked for in a form, found none; add a wording")
    return replace(item, prompts=prompts)


def _prompts(item: Item, row: Mapping[str, Any], relation: Relation) -> Iterator[Prompt]:
    without = rows.texts(row, "without", ())
    for form in without:
        rows.choice({"without": form}, "without", relation.forms)
    fields = rows.objects(row, "fields")
    for name in fields:
        rows.text(fields, name)
    values = wording.places(item.subject, item.answers[0], fields)
    own = forms_of(row)
    for form in FORMS:
        shared = () if form in without else relation.forms.get(form, ())
        for number, one in enumerate((*shared, *own.get(form, ()))):
            prompt = _prompt(item, row, form, one.filled(values), relation)
            yield replace(prompt, number=number)


def _prompt(
    item: Item, row: Mapping[str, Any], form: str, asked: Wording, relation: Relation
) -> Prompt:
    reverse = FORMS[form].reverse
    named = (item.subject, *rows.texts(row, "aliases", ()))
    found = Prompt(
        form=form,
        turns=asked.turns,
        expected=named if reverse else item.answers,
        reply=asked.reply,
        exact_case=relation.exact_case and not reverse,
        wrong=_wrong(item, row) if form == "ranking" else (),
        kept=asked.kept,
        overlap=None if reverse or form == "ranking" else relation.overlap,
    )
    said = None if FORMS[form].tells else found.tells()
    if said is not None:
        raise ValueError(
            f"expected a prompt that does not say what it asks for, found {said!r:.80} in "
            f"{form}: {asked.turns[-1]!r:.120}; word it otherwise, or name the form in without"
        )
    return found


def _wrong(item: Item, row: Mapping[str, Any]) -> tuple[str, ...]:
    wrong = rows.texts(row, "wrong")
    both = sorted(set(wrong) & set(item.answers))
    if both or len(set(wrong)) < len(wrong):
        raise ValueError(
            f"expected wrong answers that differ from each other and from the right ones, found "
            f"{', '.join(both or wrong)!s:.120}; replace it"
        )
    return wrong
