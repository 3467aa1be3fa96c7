"""The packaged retain text in three parts: to fit on, to choose settings by, and to report on.

Left out altogether is what asks an evaluated question in its own words, or states an evaluated
fact: see `benchmarks.methods.retain`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.methods.retain import left_out
from lethe_projections import examples
from lethe_projections.evaluation.suite import Suite
from lethe_projections.examples import Example

PARTS = 8
"""Of so many, by sha256, two are reported on and one is chosen by."""


@dataclass(frozen=True)
class Texts:
    """Retain text.

    Attributes:
        fit: what methods are given.
        development: what settings are chosen by.
        reported: what KL is reported on.
    """

    fit: tuple[Example, ...]
    development: tuple[Example, ...]
    reported: tuple[Example, ...]


def parted(suite: Suite) -> Texts:
    """Parts the packaged text, given all facts of a suite, whichever their split."""
    lines = examples.packaged("retain")
    facts = {(item.subject, answer) for item in suite.items for answer in item.answers}
    asked, stated = left_out(lines, _wordings(suite), facts)
    clean = [line for line in lines if line not in asked | stated]
    places = {line: _place(line) for line in clean}
    return Texts(
        tuple(line for line in clean if places[line] > 2),
        tuple(line for line in clean if places[line] == 2),
        tuple(line for line in clean if places[line] < 2),
    )


def _place(line: Example) -> int:
    """Which part; what is neither a reply nor plain text is fitted on."""
    if not (line.answer or line.text):
        return PARTS
    return int(examples.digest([line])[:8], 16) % PARTS


def _wordings(suite: Suite) -> Iterator[str]:
    return (turn for item in suite.items for prompt in item.prompts for turn in prompt.turns)
