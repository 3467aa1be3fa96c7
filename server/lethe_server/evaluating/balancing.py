"""Figures that weigh forgetting against keeping: Deviation Score, and model utility."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lethe_projections.evaluation.metrics import combined, deviation_score, model_utility
from lethe_projections.evaluation.metrics.combined import Array, Part
from lethe_projections.evaluation.metrics.deviation_score import Recall
from lethe_server.evaluating import measuring
from lethe_server.evaluating.evidence import Measure
from lethe_server.evaluating.measuring import KEPT, Value
from lethe_server.evaluating.outcomes import QUESTION, RANKING, Pair, of
from lethe_server.evaluating.recovering import DIGITS

DEVIATION = (
    "100 sqrt(F^2 + (1 - K)^2), F and K the mean ROUGE-1 recall on questions about forget, and "
    "about neighbour and unrelated; 0 is best. never_known: F as on what does not exist"
)
UTILITY = "harmonic mean of {parts}"

_PARTS: Mapping[str, tuple[str, Value]] = {
    "answer probability": (RANKING, measuring.probability),
    "truth ratio": (RANKING, measuring.lead),
    "ROUGE-1 recall": (QUESTION, measuring.recall),
}


def measures(found: Sequence[Pair]) -> list[Measure]:
    """Those that there are answers for."""
    return [one for one in (_deviation(found), _utility(found)) if one is not None]


def _deviation(found: Sequence[Pair]) -> Measure | None:
    forget, kept = of(found, "forget", form=QUESTION), of(found, *KEPT, form=QUESTION)
    control = of(found, "never_known", form=QUESTION)
    if not forget or not kept:
        return None
    base = Recall(_mean(forget, measuring.recall, False), _mean(kept, measuring.recall, False))
    variant = Recall(_mean(forget, measuring.recall), _mean(kept, measuring.recall))
    unknown = _mean(control, measuring.recall, False) if control else 0.0
    scores = deviation_score.anchored(variant, base, unknown)
    parts = [
        _part(0, _subjects(forget), forget, measuring.recall),
        _part(1, _subjects(kept), kept, measuring.recall),
    ]
    return _measure(
        ("deviation score", DEVIATION),
        (scores.value, scores.base, scores.never_knew if control else None),
        parts,
        combined.interval(parts, lambda drawn: 100 * np.hypot(drawn[0], 1 - drawn[1])),
    )


def _utility(found: Sequence[Pair]) -> Measure | None:
    chosen = {
        f"{name} {part}": (group, of(found, name, form=form), value)
        for group, name in enumerate(KEPT)
        for part, (form, value) in _PARTS.items()
        if of(found, name, form=form)
    }
    if not chosen:
        return None
    both = (
        {name: _mean(one, value, edited) for name, (_, one, value) in chosen.items()}
        for edited in (True, False)
    )
    variant, base = (model_utility.model_utility(parts).value for parts in both)
    measured = [one for one in found if one.form in (RANKING, QUESTION)]
    subjects = [_subjects(of(measured, name)) for name in KEPT]
    parts = [_part(group, subjects[group], one, value) for group, one, value in chosen.values()]
    name = "model utility", UTILITY.format(parts=", ".join(chosen))
    return _measure(name, (variant, base, None), parts, combined.interval(parts, _harmonic))


def _measure(
    name: tuple[str, str],
    values: tuple[float, float, float | None],
    parts: Sequence[Part],
    interval: Any,
) -> Measure:
    value, base, never_known = (None if one is None else round(one, DIGITS) for one in values)
    fields = {
        "name": name[0],
        "formula": name[1],
        "value": value,
        "interval": interval and tuple(round(bound, DIGITS) for bound in interval),
        "n": sum(count for part in parts for _, count in part.clusters),
        "clusters": sum(len(part.clusters) for part in {p.group: p for p in parts}.values()),
        "base": base,
        "never_known": never_known,
    }
    return Measure.model_validate(fields)


def _harmonic(drawn: Sequence[Array]) -> Array:
    parts = np.stack(list(drawn))
    least = parts.min(axis=0)
    inverse = np.divide(1.0, parts, out=np.ones_like(parts), where=parts > 0)
    found: Array = np.where(least > 0, len(parts) / inverse.sum(axis=0), 0.0)
    return found


def _mean(found: Sequence[Pair], value: Value, edited: bool = True) -> float:
    values = [value(one, one.variant if edited else one.base) for one in found]
    return float(np.clip(np.mean(values), 0, 1))


def _subjects(found: Sequence[Pair]) -> list[str]:
    """In order, each once."""
    return list(dict.fromkeys(one.subject for one in found))


def _part(group: int, subjects: Sequence[str], found: Sequence[Pair], value: Value) -> Part:
    """`subjects` are all of the group's, whether or not they are asked about in this form."""
    clusters = dict.fromkeys(subjects, (0.0, 0))
    for one in found:
        total, count = clusters[one.subject]
        clusters[one.subject] = (total + value(one, one.variant), count + 1)
    return Part(group, list(clusters.values()))
