"""From what a model answered to whether it recovered a fact. Knows no model."""

from collections.abc import Sequence

from lethe_projections.evaluation.metrics.recovery import Outcome
from lethe_projections.evaluation.prompt import Prompt
from lethe_projections.evaluation.suite import Item


def answered(item: Item, prompt: Prompt, text: str) -> Outcome:
    """Of a generated continuation."""
    return _outcome(item, prompt, prompt.recovered(text))


def ranked(item: Item, prompt: Prompt, scores: Sequence[float]) -> Outcome:
    """Of the mean log-likelihoods of the right answer and the wrong ones, in that order.

    Raises:
        ValueError: there is not one for each.
    """
    if len(scores) != 1 + len(prompt.wrong):
        raise ValueError(
            f"expected a score of the answer and each of {len(prompt.wrong)} wrong ones, found "
            f"{len(scores)}; score them all"
        )
    return _outcome(item, prompt, ranked_first(scores))


def ranked_first(scores: Sequence[float]) -> bool:
    """Whether the first is above every other; one as likely as a wrong answer is not known."""
    return scores[0] > max(scores[1:])


def chance(prompt: Prompt) -> float:
    """How often it is right without knowledge; 0 where it says its options in its text alone."""
    return 1 / (1 + len(prompt.wrong)) if prompt.wrong else 0.0


def _outcome(item: Item, prompt: Prompt, recovered: bool) -> Outcome:
    by_chance = chance(prompt)
    return Outcome(item.subject, prompt.form, recovered, prompt.number, item.id, by_chance)
