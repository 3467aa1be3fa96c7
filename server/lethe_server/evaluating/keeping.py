"""What text shows that should not change: divergence and perplexity."""

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from lethe_projections import examples
from lethe_projections.evaluation.metrics import combined, perplexity, ratio
from lethe_projections.evaluation.metrics.combined import Part
from lethe_projections.examples import Example
from lethe_server.evaluating import work
from lethe_server.evaluating.evidence import Measure, RetainEvidence
from lethe_server.evaluating.records import Records, Row
from lethe_server.evaluating.recovering import DIGITS, figures

PERPLEXITY = "exp((L_variant - L_base) / T), L the negative log-likelihood of all T tokens"
CAPPED = 700.0
"""exp of more is no float."""


def retained(texts: Sequence[Example], records: Records, divergence: str) -> RetainEvidence:
    """Of texts that were read.

    Args:
        texts: one or more.
        records: with each of them.
        divergence: the formula.
    """
    rows = [records[work.digest(text)] for text in texts]
    kl = ratio.ratio([(row["kl"], row["tokens"]) for row in rows])
    fields: dict[str, Any] = {"name": "KL", "formula": divergence, "base": 0.0}
    diverged = [] if kl is None else [Measure.model_validate({**fields, **figures(kl)})]
    return RetainEvidence(
        sha256=examples.digest(list(texts)),
        texts=len(texts),
        measures=[*diverged, _perplexity(rows)],
    )


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
