"""What text shows that should not change: divergence and perplexity."""

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from lethe_projections import examples
from lethe_projections.evaluation.metrics import combined, perplexity, ratio
from lethe_projections.evaluation.metrics.combined import Part
from lethe_server.evaluating import work
from lethe_server.evaluating.evidence import Measure, RetainEvidence
from lethe_server.evaluating.records import Records, Row
from lethe_server.evaluating.recovering import DIGITS, figures
from lethe_server.evaluating.work import Work

PERPLEXITY = "exp((L_variant - L_base) / T), L the negative log-likelihood of all T tokens"
ABOUT = "on the texts that name what should be forgotten, which all else leaves out"
CAPPED = 700.0
"""exp of more is no float."""


def retained(asked: Work, records: Records, divergence: str) -> RetainEvidence:
    """Of texts that were read. Those that name what should be forgotten are measured apart.

    Args:
        asked: with one text or more.
        records: with each of them.
        divergence: the formula.
    """
    named: list[Row] = []
    others: list[Row] = []
    for text in asked.texts:
        (named if asked.names(text) else others).append(records[work.digest(text)])
    found = [
        _divergence("KL", divergence, others),
        _perplexity(others) if others else None,
        _divergence("KL about", f"{divergence}, {ABOUT}", named),
    ]
    return RetainEvidence(
        sha256=examples.digest(list(asked.texts)),
        texts=len(asked.texts),
        measures=[one for one in found if one is not None],
    )


def _divergence(name: str, formula: str, rows: Sequence[Row]) -> Measure | None:
    kl = ratio.ratio([(row["kl"], row["tokens"]) for row in rows])
    fields: dict[str, Any] = {"name": name, "formula": formula, "base": 0.0}
    return None if kl is None else Measure.model_validate({**fields, **figures(kl)})


def _perplexity(rows: Sequence[Row]) -> Measure:
    part = Part(0, [(row["variant"] - row["base"], row["tokens"]) for row in rows])
    read = [perplexity.Text(row["base"], row["variant"], row["tokens"]) for row in rows]
    interval = combined.interval([part], lambda drawn: np.exp(np.minimum(drawn[0], CAPPED)))
    found = {
        "name": "perplexity ratio",
        "formula": PERPLEXITY,
        "value": _round(perplexity.ratio(read)),
        "interval": interval and tuple(map(_round, interval)),
        "n": sum(text.tokens for text in read),
        "clusters": len(read),
        "base": 1.0,
    }
    return Measure.model_validate(found)


def _round(value: float) -> float:
    """As a number that JSON has."""
    return round(value if math.isfinite(value) else sys.float_info.max, DIGITS)
