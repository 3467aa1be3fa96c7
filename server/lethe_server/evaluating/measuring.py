"""Further measures of a suite, each of the variant, with the base's beside it."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from lethe_projections.evaluation.metrics import (
    fluency,
    ratio,
    rouge,
    truth_ratio,
)
from lethe_projections.evaluation.metrics.ratio import Ratio
from lethe_server.evaluating.evidence import Measure
from lethe_server.evaluating.outcomes import MIXED, QUESTION, RANKING, Pair, of
from lethe_server.evaluating.records import Row
from lethe_server.evaluating.recovering import DIGITS, figures

Value = Callable[[Pair, Row], float]
"""Of one answer, that of base or variant."""

KEPT = ("neighbour", "unrelated")

PROBABILITY = "mean of exp(mean log-likelihood a token of the right answer), {where}"
CLOSENESS = (
    "mean of min(R, 1/R), R = exp(mean log p of wrong answers - log p of the right), {where}"
)
LEAD = "mean of max(0, 1 - R), R = exp(mean log p of wrong answers - log p of the right), {where}"
STRENGTH = "mean of 1 - k/T, k leading tokens of T given before all others are likeliest, {where}"
ROUGE = "mean ROUGE-1 recall of the answer in the reply, {where}"
MIXED_KEPT = "share of replies that answer the other question of a mixed prompt, {where}"
FLUENCY = "mean of (2/3 H2 + 4/3 H3) / 2, Hn the entropy of a reply's word n-grams in bits, {where}"
REPETITION = "mean of 1 - distinct word 4-grams / 4-grams of a reply, {where}"


def measures(found: Sequence[Pair]) -> list[Measure]:
    """Those that there are answers for."""
    return [one for one in _all(found) if one is not None]


def _all(found: Sequence[Pair]) -> Iterable[Measure | None]:
    for name, sets, truth in (("forget", ("forget",), False), ("kept", KEPT, True)):
        ranked, asked = _Where(found, sets, RANKING), _Where(found, sets, QUESTION)
        yield ranked.measure(f"{name}: answer probability", PROBABILITY, probability)
        formula, value = (LEAD, lead) if truth else (CLOSENESS, closeness)
        yield ranked.measure(f"{name}: truth ratio", formula, value)
        yield ranked.measure(f"{name}: extraction strength", STRENGTH, strength)
        yield asked.measure(f"{name}: ROUGE-1 recall", ROUGE, recall)
    yield _Where(found, ("forget",), MIXED).measure("mixed: the rest answered", MIXED_KEPT, rest)
    every = _Where(found, ("forget", *KEPT), QUESTION)
    yield every.measure("fluency", FLUENCY, _fluency)
    yield every.measure("repetition", REPETITION, _repetition)


class _Where:
    """The pairs of some sets and one form, and the same on what does not exist."""

    def __init__(self, found: Sequence[Pair], sets: tuple[str, ...], form: str) -> None:
        self._pairs = of(found, *sets, form=form)
        self._control = of(found, "never_known", form=form)
        self._where = f"over prompts of the form {form} about {' and '.join(sets)}"

    def measure(self, name: str, formula: str, value: Value) -> Measure | None:
        """None where there are no such prompts."""
        variant = mean(self._pairs, value, lambda pair: pair.variant)
        base = mean(self._pairs, value, lambda pair: pair.base)
        control = mean(self._control, value, lambda pair: pair.variant)
        if variant is None or base is None:
            return None
        fields: dict[str, Any] = {
            "name": name,
            "formula": formula.format(where=self._where),
            "base": round(base.value, DIGITS),
            "never_known": None if control is None else round(control.value, DIGITS),
            **figures(variant),
        }
        return Measure.model_validate(fields)


def mean(found: Iterable[Pair], value: Value, row: Callable[[Pair], Row]) -> Ratio | None:
    """Mean over prompts, subjects as clusters."""
    return ratio.mean((one.question.item.subject, value(one, row(one))) for one in found)


def probability(_: Pair, row: Row) -> float:
    """Of the right answer."""
    return math.exp(row["likelihoods"][0])


def closeness(_: Pair, row: Row) -> float:
    """See `truth_ratio.closeness`."""
    return truth_ratio.closeness(_log_ratio(row))


def lead(_: Pair, row: Row) -> float:
    """See `truth_ratio.lead`."""
    return truth_ratio.lead(_log_ratio(row))


def strength(_: Pair, row: Row) -> float:
    """Extraction strength of the right answer."""
    return float(row["strength"])


def recall(pair: Pair, row: Row) -> float:
    """ROUGE-1 recall of the first answer; one without a word is recalled where it is recovered."""
    expected = pair.question.prompt.expected[0]
    if not rouge.words(expected):
        return float(pair.question.prompt.recovered(row["text"]))
    return rouge.rouge_1_recall(row["text"], expected)


def rest(pair: Pair, row: Row) -> float:
    """Whether the other question is answered."""
    return float(pair.question.prompt.kept_in(row["text"]))


def _fluency(_: Pair, row: Row) -> float:
    return fluency.fluency(row["text"])


def _repetition(_: Pair, row: Row) -> float:
    return fluency.repetition(row["text"])


def _log_ratio(row: Row) -> float:
    right, *wrong = (-one for one in row["likelihoods"])
    return truth_ratio.log_ratio(right, wrong)
