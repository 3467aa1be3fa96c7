"""The fenced blocks of a page."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        language: what follows the fence; empty where nothing does.
        text: between the fences.
    """

    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """Those of a file of the repository, in order."""
    text = (ROOT / page).read_text()
    return [
        Block(*found) for found in re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.M | re.S)
    ]
