"""Asks questions in process, and says which answers bring up what was asked for."""

from collections.abc import Sequence

from lethe_projections.errors import LetheError
from lethe_projections.evaluation.metrics.recovery import Outcome
from lethe_projections.evaluation.prompt import Prompt
from lethe_projections.progress import Progress
from lethe_server.evaluating.answering import Answered, Answerer
from lethe_server.evaluating.outcomes import outcome
from lethe_server.evaluating.running import answer
from lethe_server.evaluating.work import Question, Work

FORMS_ASKED = ("question", "cloze", "ranking")
"""Unless told otherwise, those of them that the suites have; all take several times as long."""


def outcomes(
    answerer: Answerer, questions: Sequence[Question], edited: bool, what: str, shown: bool
) -> list[Outcome]:
    """Of each question, in their order.

    Args:
        answerer: who is asked.
        questions: what.
        edited: whether with the profile.
        what: is being done, for the progress.
        shown: whether to say on stderr how far it is.

    Raises:
        LetheError: something cannot be answered.
    """
    prompts = list(dict.fromkeys(one.prompt for one in questions))
    told: dict[Prompt, Answered] = {}
    with Progress(prompts, what, shown, unit="prompts") as progress:
        progress.expect(len(prompts), len(prompts))
        for prompt, answered in answerer.answers(prompts, edited):
            told[prompt] = answered
            progress.advance(1, 1)
    return [outcome(one, answer(one, told[one.prompt])) for one in questions]


def recovered(questions: Sequence[Question], found: Sequence[Outcome]) -> list[Question]:
    """Those that were."""
    both = zip(questions, found, strict=True)
    return [question for question, one in both if one.recovered]


def about(asked: Work, forms: Sequence[str], *sets: str) -> list[Question]:
    """The questions about some sets.

    Args:
        asked: where they are.
        forms: which; none for `FORMS_ASKED`.
        sets: keys of `suite.SETS`.

    Raises:
        LetheError: none of the suites has a form that is named.
    """
    every = list(asked.every())
    there = {one.prompt.form for one in every}
    if missing := [form for form in forms if form not in there]:
        raise LetheError(
            f"--form: expected one of {', '.join(sorted(there))}, found {', '.join(missing)!s:.200}"
            "; take forms that the suites have"
        )
    chosen = forms or FORMS_ASKED
    return [one for one in every if one.item.set in sets and one.prompt.form in chosen]
