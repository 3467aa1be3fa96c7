"""Two engines on the same batch, step by step in turns, so that the machine's noise meets both.

A machine with neighbours slows down and speeds up by a tenth within seconds. Rates measured one
after the other show that; a step of one engine beside the same step of the other does not.
"""

import random
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.serving.cases import Case
from benchmarks.serving.engines import Requests


@dataclass(frozen=True)
class Pair:
    """Seconds that the same batch took.

    Attributes:
        stock: on stock vLLM.
        other: on the engine of the case.
    """

    stock: float
    other: float

    @property
    def ratio(self) -> float:
        """Of throughput: 1 where the variants cost nothing."""
        return self.stock / self.other


def run(stock: Any, other: Any, case: Case, requests: Requests, order: random.Random) -> Pair:
    """One batch on both engines, added and stepped in random order."""
    engines = [stock, other]
    seconds = [0.0, 0.0]
    for n in order.sample((0, 1), 2):
        started = time.perf_counter()
        requests.add(engines[n], case, edited=n == 1)
        seconds[n] += time.perf_counter() - started
    steps = 0
    while any(engine.llm_engine.has_unfinished_requests() for engine in engines):
        for n in order.sample((0, 1), 2):
            started = time.perf_counter()
            engines[n].llm_engine.step()
            seconds[n] += time.perf_counter() - started
        steps += 1
    assert steps >= case.load.output, "the engines were not measured generating"
    return Pair(*seconds)
