"""What base and variant answered to the same prompts, side by side. Knows no measure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lethe_projections.evaluation import scoring
from lethe_projections.evaluation.metrics.recovery import Outcome
from lethe_server.evaluating.records import Records, Row
from lethe_server.evaluating.work import Question

RANKING, QUESTION, MIXED, VERBATIM = MEASURED = ("ranking", "question", "mixed", "verbatim")
"""Forms whose answers are measured further, whether or not the base brings up what is asked."""


@dataclass(frozen=True)
class Pair:
    """A prompt and both answers, as rows."""

    question: Question
    base: Row
    variant: Row

    @property
    def subject(self) -> str:
        """What it is about, by name."""
        return self.question.item.subject

    @property
    def set(self) -> str:
        """What it is about: a key of `suite.SETS`."""
        return self.question.item.set

    @property
    def form(self) -> str:
        """A key of `FORMS`."""
        return self.question.prompt.form

    @property
    def outcomes(self) -> tuple[Outcome, Outcome]:
        """Of base and variant."""
        return outcome(self.question, self.base), outcome(self.question, self.variant)


def outcome(question: Question, row: Mapping[str, object]) -> Outcome:
    """Whether an answer brings up what was asked for."""
    item, prompt = question.item, question.prompt
    if prompt.wrong:
        return scoring.ranked(item, prompt, row["likelihoods"])  # type: ignore[arg-type]
    return scoring.answered(item, prompt, str(row["text"]))


def counts(question: Question, base: Row) -> bool:
    """Whether any measure looks at what the variant answers.

    What the base does not bring up counts in no form; only some forms have measures of their own.
    """
    if question.item.set == "never_known" or question.prompt.form in MEASURED:
        return True
    return outcome(question, base).recovered


def pairs(questions: Iterable[Question], base: Records, variant: Records) -> list[Pair]:
    """Every question that counts, with its answers, which are there."""
    keyed = [(question, question.prompt.key) for question in questions]
    return [
        Pair(question, base[key], variant[key])
        for question, key in keyed
        if counts(question, base[key])
    ]


def of(found: Sequence[Pair], *sets: str, form: str | None = None) -> list[Pair]:
    """Those of the sets named, and of one form if it is named."""
    return [one for one in found if one.set in sets and form in (None, one.form)]
