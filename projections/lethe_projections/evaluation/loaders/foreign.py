"""What the loaders share: a suite of what was read, and fields as those files hold them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from lethe_projections import strict_json
from lethe_projections.errors import SuiteError
from lethe_projections.evaluation import rows
from lethe_projections.evaluation.forms import FORMS
from lethe_projections.evaluation.loaders.table import Row, Table
from lethe_projections.evaluation.metrics import rouge
from lethe_projections.evaluation.prompt import Prompt
from lethe_projections.evaluation.suite import SETS, Item, Suite

SENTENCE = 5
"""Words of an answer from which on it is compared by overlap; a shorter one, such as a name, has to
occur as a whole."""

OVERLAP = 0.6
"""See `Prompt.overlap`. The projects report ROUGE-L as a number and have no threshold: this one is
Lethe's. Above a half, so that of two words that a question does not say both are needed, `in Ulm`;
not much above, since a model that knows words a sentence in its own way."""


def suite(name: str, table: Table, items: Iterable[Item]) -> Suite:
    """A suite of what a file holds, its facts numbered by subject.

    Prompts that say what they ask for are left out, since repeating them would count as knowing;
    the description says how many.

    Raises:
        SuiteError: a set is none of `SETS`, or no prompt is left.
    """
    found: list[Item] = []
    counts: dict[tuple[str, str], int] = {}
    prompts = left_out = 0
    for item in items:
        asking = tuple(prompt for prompt in item.prompts if not _told(prompt))
        prompts, left_out = prompts + len(item.prompts), left_out + len(item.prompts) - len(asking)
        place = (item.relation, item.subject)
        counts[place] = counts.get(place, -1) + 1
        if asking:
            found.append(replace(item, prompts=asking, number=counts[place]))
    if not found:
        raise SuiteError(
            f"{table.path}: expected a prompt that does not say its own answer, found none of "
            f"{prompts}; give another file"
        )
    description = f"{prompts} prompts; {left_out} of them say their own answer and are left out."
    own = "its own; see where the file is from"
    return Suite(f"{name} {table.path.stem}", "", description, own, table.digest, tuple(found))


def check_set(name: str) -> None:
    """Raises SuiteError if it is none of `SETS`."""
    if name not in SETS:
        raise SuiteError(f"expected a set of {', '.join(SETS)}, found {name!r:.40}; choose one")


def accepted(answer: str) -> tuple[str, ...]:
    """An answer, and the same without the full stop that ends it."""
    return tuple(dict.fromkeys((answer.strip().rstrip("."), answer.strip())))


def asked(form: str, text: str, answers: tuple[str, ...], number: int = 0) -> Prompt:
    """A prompt of one turn, whose answer is compared by overlap where it is a sentence."""
    long = min(len(rouge.words(one)) for one in answers) >= SENTENCE
    return Prompt(form, (text,), answers, number=number, overlap=OVERLAP if long else None)


def texts(row: Row, key: str) -> tuple[str, ...]:
    """A list of texts, one alone, or a list written as JSON, as CSV files hold it.

    Raises:
        ValueError: it is none of these.
    """
    value: Any = row.get(key)
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = strict_json.loads(value)
    return rows.texts({key: [value] if isinstance(value, str) else value}, key)


def ranking(question: str, right: str, options: Sequence[str]) -> Prompt:
    """The right answer's text against the other options.

    Raises:
        ValueError: there is no other option.
    """
    wrong = tuple(dict.fromkeys(one for one in options if one.strip() != right.strip()))
    if not wrong:
        raise ValueError(f"expected a wrong answer beside {right!r:.80}, found none; add one")
    return Prompt("ranking", (question,), (right,), wrong=wrong)


def _told(prompt: Prompt) -> bool:
    form = FORMS[prompt.form]
    return prompt.form != "ranking" and not form.tells and prompt.tells() is not None
