"""What is measured: which variants, on which requests."""

from collections.abc import Iterator
from dataclasses import dataclass

REQUESTS = 64
"""In a batch, or as many as there are variants."""


@dataclass(frozen=True)
class Load:
    """What one request is.

    Attributes:
        name: as shown.
        prompt: tokens read.
        output: tokens written.
    """

    name: str
    prompt: int
    output: int


DECODE = Load("decode", 16, 24)
PREFILL = Load("prefill", 64, 2)


@dataclass(frozen=True)
class Case:
    """A batch whose requests take turns among some variants, all edits at `down_proj`.

    Attributes:
        engine: `lethe`; `lora` or, for ranks above 16, `lora-64` for vLLM's own multi-LoRA; or
            `again` for a second stock vLLM, which shows what a ratio of 1 looks like.
        variants: how many; 0 for the base alone.
        rank: of each edit.
        blocks: how many of the model's blocks are edited, 0 for every one.
        load: what the requests are.
    """

    engine: str
    variants: int
    rank: int = 16
    blocks: int = 4
    load: Load = DECODE

    @property
    def adapters(self) -> bool:
        """Whether its variants are LoRA adapters."""
        return self.engine.startswith("lora")

    @property
    def requests(self) -> int:
        """In the batch."""
        return max(REQUESTS, self.variants)

    @property
    def name(self) -> str:
        """As shown, without the engine."""
        if self.variants == 0:
            return "base only"
        where = "all blocks" if self.blocks == 0 else _count(self.blocks, "block")
        return f"{_count(self.variants, 'variant')}, rank {self.rank}, {where}"


def _count(number: int, of: str) -> str:
    return f"{number} {of}{'' if number == 1 else 's'}"


def cases(lora: bool) -> Iterator[Case]:
    """Each number varies alone, the others as in the middle: 64 variants, rank 16, 4 blocks."""
    for load in (DECODE, PREFILL):
        yield Case("again", 0, load=load)
        for variants in (0, 1, 8, 64):
            yield Case("lethe", variants, load=load)
    yield Case("lethe", 256)
    for rank in (1, 64):
        yield Case("lethe", 64, rank=rank)
    for variants, blocks in ((64, 1), (1, 0), (64, 0)):
        yield Case("lethe", variants, blocks=blocks)
    if lora:
        for variants, load in ((0, DECODE), (8, DECODE), (64, DECODE), (0, PREFILL), (64, PREFILL)):
            yield Case("lora", variants, load=load)
        yield Case("lora", 64, rank=1)
        yield Case("lora-64", 64, rank=64)
