"""Second moments of a few texts at two sites, for the tests of what stores them."""

from pathlib import Path
from typing import Any

from lethe_projections.capture import Limits, SecondMoments, second_moments
from lethe_projections.projector import Site

from .conftest import WORDS

SITES = [Site(1, "down_proj"), Site(2, "block")]
TEXTS = tuple(
    " ".join(WORDS[(5 * start + step) % len(WORDS)] for step in range(3 + start % 7))
    for start in range(40)
)
Found = dict[Site, SecondMoments]


def limits(folder: Path | None, **others: Any) -> Limits:
    return Limits(3, store=folder, save_every=0, **others)


def summed(model: Any, tokenizer: Any, folder: Path | None, texts: Any = TEXTS) -> Found:
    return second_moments(model, tokenizer, texts, SITES, limits(folder))


def same(left: Found, right: Found) -> bool:
    return all(
        left[site].count == right[site].count > 0
        and (left[site].total - right[site].total).norm() <= 1e-12 * right[site].total.norm()
        for site in SITES
    )


def changed(number: int) -> list[str]:
    """The texts with another one at a place."""
    return [*TEXTS[:number], "bread", *TEXTS[number + 1 :]]
