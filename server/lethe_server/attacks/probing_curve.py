"""A curve over blocks, of hits by prompt. Knows no probe."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lethe_projections.evaluation.metrics import ratio
from lethe_projections.progress import Progress
from lethe_server.attacks.document import Curve, Point
from lethe_server.attacks.hidden import Hidden
from lethe_server.evaluating.recovering import figures

VARIANT, BASE = "the variant's states", "the base's states"
"""What a probe was fitted on."""

Hits = NDArray[np.bool_]
"""[n], whether each prompt is read right."""


def curve(
    name: str, formula: str, subjects: Sequence[str], hits: Sequence[Hits], control: bool = False
) -> Curve:
    """Shares of prompts, block by block.

    Args:
        name: see `Curve`.
        formula: the same.
        subjects: [n], one or more, whom the prompts are about.
        hits: of each block.
        control: see `Curve`.
    """
    found = (ratio.share(zip(subjects, map(float, one), strict=True)) for one in hits)
    points = [
        Point.model_validate({"at": block, **figures(share)})
        for block, share in enumerate(found)
        if share is not None
    ]
    return Curve(name=name, control=control, formula=formula, points=points)


def blocks(states: Hidden, what: str, shown: bool) -> Iterator[int]:
    """Each, with progress."""
    count = range(len(states.base))
    with Progress(count, what, shown, unit="blocks") as progress:
        progress.expect(len(count), len(count))
        for block in count:
            yield block
            progress.advance(1, 1)
