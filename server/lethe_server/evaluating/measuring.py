"""Further measures of a suite, each of the variant, with the base's beside it."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lethe_projections.evaluation.metrics import (
    fluency,
    ratio,
    rouge,
    truth_ratio,
)
from lethe_projections.evaluation.metrics.ratio import Ratio
from lethe_server.evaluating.evidence import Measure
from lethe_server.evaluating.outcomes import MIXED, QUESTION, RANKING, VERBATIM, Pair, of
from lethe_server.evaluating.records import Row
from lethe_server.evaluating.recovering import DIGITS, figures

Value = Callable[[Pair, Row], float]
"""Of one answer, that of base or variant."""

Total = Callable[[Iterable[tuple[str, float]]], Ratio | None]
"""Of the values of all answers, each with its subject."""

KEPT = ("neighbour", "unrelated")

PROBABILITY = "mean of exp(mean log-likelihood a token of the right answer), {where}"
CLOSENESS = (
    "mean of min(R, 1/R), R = exp(mean log p of wrong answers - log p of the right), {where}"
)
LEAD = "mean of max(0, 1 - R), R = exp(mean log p of wrong answers - log p of the right), {where}"
STRENGTH = "mean of 1 - k/T, k leading tokens of T given before all others are likeliest, {where}"
ROUGE = "mean ROUGE-1 recall of the answer in the reply, {where}"
ROUGE_L = "mean ROUGE-L recall of the answer in the reply, {where}"
LONGER = "whose answer has more than one word"
ROUGE_L_F1 = "mean ROUGE-L F1 of the reply and the text that follows, {where}"
MIXED_KEPT = "share of replies that answer the other question of a mixed prompt, {where}"
FLUENCY = "mean of (2/3 H2 + 4/3 H3) / 2, Hn the entropy of a reply's word n-grams in bits, {where}"
REPETITION = "mean of 1 - distinct word 4-grams / 4-grams of a reply, {where}"


def measures(found: Sequence[Pair]) -> list[Measure]:
    """Those that there are answers for."""
    return [one for one in _all(found) if one is not None]


def _all(found: Sequence[Pair]) -> Iterable[Measure | None]:
    for name, sets, truth in (("forget", ("forget",), False), ("kept", KEPT, True)):
        ranked, asked = _Where.of(found, sets, RANKING), _Where.of(found, sets, QUESTION)
        yield ranked.measure(f"{name}: answer probability", PROBABILITY, probability)
        formula, value = (LEAD, lead) if truth else (CLOSENESS, closeness)
        yield ranked.measure(f"{name}: truth ratio", formula, value)
        yield ranked.measure(f"{name}: extraction strength", STRENGTH, strength)
        yield asked.measure(f"{name}: ROUGE-1 recall", ROUGE, recall)
        yield asked.only(LONGER, _longer).measure(f"{name}: ROUGE-L recall", ROUGE_L, _in_order)
    passages = _Where.of(found, ("forget",), VERBATIM)
    yield passages.measure("forget: verbatim ROUGE-L F1", ROUGE_L_F1, _verbatim)
    mixed = _Where.of(found, ("forget",), MIXED)
    yield mixed.measure("mixed: the rest answered", MIXED_KEPT, rest)
    every = _Where.of(found, ("forget", *KEPT), QUESTION)
    yield every.measure("fluency", FLUENCY, _fluency, ratio.mean)
    yield every.measure("repetition", REPETITION, _repetition)


@dataclass(frozen=True)
class _Where:
    """The pairs of some sets and one form, and the same on what does not exist."""

    pairs: Sequence[Pair]
    control: Sequence[Pair]
    where: str

    @classmethod
    def of(cls, found: Sequence[Pair], sets: tuple[str, ...], form: str) -> "_Where":
        where = f"over prompts of the form {form} about {' and '.join(sets)}"
        return cls(of(found, *sets, form=form), of(found, "never_known", form=form), where)

    def only(self, which: str, chosen: Callable[[Pair], bool]) -> "_Where":
        """Some of them: `which` says in words what `chosen` does."""
        pairs, control = (list(filter(chosen, part)) for part in (self.pairs, self.control))
        return replace(self, pairs=pairs, control=control, where=f"{self.where}, {which}")

    def measure(
        self, name: str, formula: str, value: Value, total: Total = ratio.share
    ) -> Measure | None:
        """None where there are no such prompts; `total` as values from 0 to 1 have it, or any."""
        variant = total((pair.subject, value(pair, pair.variant)) for pair in self.pairs)
        base = total((pair.subject, value(pair, pair.base)) for pair in self.pairs)
        control = total((pair.subject, value(pair, pair.variant)) for pair in self.control)
        if variant is None or base is None:
            return None
        fields: dict[str, Any] = {
            "name": name,
            "formula": formula.format(where=self.where),
            "base": round(base.value, DIGITS),
            "never_known": None if control is None else round(control.value, DIGITS),
            **figures(variant),
        }
        return Measure.model_validate(fields)


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
    """ROUGE-1 recall of the first answer; see `_recalled`."""
    return _recalled(pair, row, rouge.rouge_1_recall)


def _in_order(pair: Pair, row: Row) -> float:
    return _recalled(pair, row, rouge.rouge_l_recall)


def _recalled(pair: Pair, row: Row, of_words: Callable[[str, str], float]) -> float:
    """An answer without a word, or whose case counts, is recalled where it is recovered.

    ROUGE folds case: "I cannot be sure." has the word of Be, which stands for beryllium.
    """
    prompt = pair.question.prompt
    expected = prompt.expected[0]
    if prompt.exact_case or not rouge.words(expected):
        return float(prompt.recovered(row["text"]))
    return of_words(row["text"], expected)


def _longer(pair: Pair) -> bool:
    return len(rouge.words(pair.question.prompt.expected[0])) > 1


def _verbatim(pair: Pair, row: Row) -> float:
    return rouge.rouge_l(row["text"], pair.question.prompt.expected[0])


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
