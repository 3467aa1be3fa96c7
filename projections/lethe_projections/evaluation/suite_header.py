"""The first line of a suite's file: what the suite is, and how each relation is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lethe_projections.evaluation import rows
from lethe_projections.evaluation.forms import FORMS
from lethe_projections.evaluation.wording import Wording

FORMAT = 1

Wordings = Mapping[str, tuple[Wording, ...]]
"""By form."""


@dataclass(frozen=True)
class Relation:
    """How one kind of fact is asked for.

    Attributes:
        forms: the wordings of each form.
        exact_case: whether an answer counts in its own case alone.
        overlap: see `Prompt.overlap`.
    """

    forms: Wordings
    exact_case: bool
    overlap: float | None = None


@dataclass(frozen=True)
class Header:
    """A suite's own description; see `Suite`."""

    name: str
    version: str
    description: str
    licence: str
    relations: Mapping[str, Relation]


def parse(value: Any) -> Header:
    """Reads it from JSON.

    Raises:
        ValueError: it is no header of `FORMAT`.
    """
    about = ("name", "version", "description", "licence")
    row = rows.of(value, required=("suite", *about, "relations"))
    if row["suite"] != FORMAT:
        raise ValueError(f"expected suite to be {FORMAT}, found {row['suite']!r:.40}; convert it")
    relations = {name: _relation(one) for name, one in rows.objects(row, "relations").items()}
    name, version, description, licence = (rows.text(row, key) for key in about)
    return Header(name, version, description, licence, relations)


def _relation(value: Any) -> Relation:
    row = rows.of(value, required=("forms",), optional=("exact_case", "overlap"))
    exact_case = row.get("exact_case", False)
    if not isinstance(exact_case, bool):
        raise ValueError(
            f"expected exact_case to be true or false, found {exact_case!r:.40}; write one"
        )
    return Relation(forms_of(row), exact_case, _overlap(row, exact_case))


def _overlap(row: Mapping[str, Any], exact_case: bool) -> float | None:
    if "overlap" not in row:
        return None
    value = row["overlap"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ValueError(
            f"expected overlap to be a number above 0 and at most 1, found {value!r:.40}; write one"
        )
    if exact_case:
        raise ValueError(
            "expected exact_case or overlap, found both; ROUGE knows no case: leave one out"
        )
    return float(value)


def forms_of(row: Mapping[str, Any]) -> Wordings:
    """The wordings under `forms`; none where the key is absent.

    Raises:
        ValueError: a form is unknown, or a wording is not one of that form.
    """
    found = {}
    for form, wordings in rows.objects(row, "forms").items():
        rows.choice({"form": form}, "form", FORMS)
        if not isinstance(wordings, list) or not wordings:
            raise ValueError(
                f"expected {form} to be a list of wordings, found {wordings!r:.80}; write one"
            )
        found[form] = tuple(map(Wording.parse, wordings))
        for one in found[form]:
            _check(form, one)
    return found


def _check(form: str, one: Wording) -> None:
    """Whether a wording has what its form needs, and nothing that it does not know."""
    if (form == "mixed") != bool(one.kept):
        raise ValueError(
            f"expected kept in mixed, and there alone, found another in {form}; mend it"
        )
    if not FORMS[form].chat and (len(one.turns) > 1 or one.reply):
        raise ValueError(f"expected {form} to be one text, found a conversation; write a text")
