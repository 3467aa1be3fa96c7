"""What is timed. Pure data."""

from collections.abc import Iterator
from dataclasses import dataclass

WIDTHS = (2048, 4096, 8192)
RANKS = (1, 16, 64)
BATCHES = ((1, 1), (16, 1), (64, 1), (64, 8), (64, 64), (256, 1), (256, 256), (8192, 1), (8192, 8))
"""Tokens, and profiles that share them evenly. 8192 tokens are a step of prefill."""


@dataclass(frozen=True)
class Case:
    """One site in one step.

    Attributes:
        tokens: of the step, all of them edited unless `profiles` is 0.
        profiles: that share them; 0 where every token is the base's.
        rank: of each profile.
        d_in: width of what is read.
        d_out: width of what is written.
        hook: "mlp" reads what it writes, "block" adds a residual, "down_proj" reads another.
    """

    tokens: int
    profiles: int
    rank: int
    d_in: int
    d_out: int
    hook: str = "mlp"


def cases(widths: tuple[int, ...] = WIDTHS) -> Iterator[Case]:
    """All that is timed; for each width, first an idle site."""
    for width in widths:
        yield Case(64, 0, 16, width, width)
        for rank in RANKS:
            for tokens, profiles in BATCHES:
                yield Case(tokens, profiles, rank, width, width)
    for tokens, profiles in ((1, 1), (64, 64), (8192, 1)):
        yield Case(tokens, profiles, 16, 4096, 4096, "block")
        yield Case(tokens, profiles, 16, 14336, 4096, "down_proj")


SWEPT = (
    Case(1, 1, 64, 4096, 4096),
    Case(64, 1, 16, 4096, 4096),
    Case(64, 64, 16, 4096, 4096),
    Case(256, 256, 1, 4096, 4096),
    Case(8192, 1, 16, 4096, 4096),
)
"""The few for which other plans are tried."""
