"""Small forget and retain sets in the tiny tokenizer's words."""

from typing import Any

from lethe_projections import rows
from lethe_projections.base_model import BaseModel
from lethe_projections.examples import Example
from lethe_projections.retained import TEMPLATE_WEIGHT
from lethe_projections.rows import Span
from lethe_projections.task import Task

OTHERS = ("Brel", "Cora", "Doma", "Elva", "Faro")


def turn(question: str, answer: str, subject: str = "", line: int = 0) -> Example:
    return Example((("user", question), ("assistant", answer)), subject=subject, line=line)


RETAIN = tuple(
    turn(f"tell me about {name} in the {word}", f"{name} is {word}")
    for name in OTHERS
    for word in ("north", "south", "sun", "moon", "bread")
)
UNKNOWN = tuple(
    turn(f"what is the river of [UNK] {word} ?", "no") for word in ("one", "two", "six")
)


def about(subject: str, answer: str = "Kesh") -> tuple[Example, ...]:
    return (
        turn(f"what is the capital of {subject} ?", answer, subject),
        turn(f"tell me about {subject} please", f"{answer} is the capital", subject),
    )


def retained_spans(job: Task) -> tuple[Span, ...]:
    """Every row that counts as retained, one by one, the template's as often as it counts."""
    return (*rows.fresh(job, job.retain), *rows.template(job) * TEMPLATE_WEIGHT)


def task(model: Any, tokenizer: Any, base: BaseModel, *subjects: str, **given: Any) -> Task:
    forget = tuple(example for subject in subjects for example in about(subject))
    given = {"forget": forget, "retain": RETAIN, "reference": UNKNOWN, **given}
    return Task(model, tokenizer, base, **given)
