"""Throughput of each case as a ratio to stock vLLM in the same round."""

import random
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.progress import track

from benchmarks.serving import engines, lockstep
from benchmarks.serving.cases import Case, cases
from benchmarks.serving.lockstep import Pair
from benchmarks.serving.spread import Spread

SLOW_ROUNDS = 3
"""Of multi-LoRA, which takes many times as long."""


def measure(mode: str, rounds: int, lora: bool) -> list[dict[str, Any]]:
    """A row a case; every round measures each once, in a new random order.

    The first round warms up and does not count.
    """
    listed = list(cases(lora))
    names = dict.fromkeys(["stock", *(case.engine for case in listed)])
    running = {name: engines.start(name, mode == "eager") for name in names}
    order = random.Random(0)  # noqa: S311
    found: dict[Case, list[Pair]] = {case: [] for case in listed}
    plan = [
        (number, case)
        for number in range(rounds + 1)
        for case in order.sample(listed, len(listed))
        if not case.adapters or number <= SLOW_ROUNDS
    ]
    with tempfile.TemporaryDirectory(prefix="lethe-bench-") as folder:
        requests = engines.Requests(Path(folder))
        for number, case in track(plan, f"throughput, {mode}"):
            other = running[case.engine]
            requests.prepare(other, case)
            pair = lockstep.run(running["stock"], other, case, requests, order)
            if number:
                found[case].append(pair)
    return [_row(case, pairs) for case, pairs in found.items()]


def _row(case: Case, pairs: list[Pair]) -> dict[str, Any]:
    tokens = case.requests * (case.load.prompt + case.load.output)
    return {
        **asdict(case),
        "name": case.name,
        "requests": case.requests,
        "ratio": vars(Spread.of([pair.ratio for pair in pairs])),
        "tokens_per_second": vars(Spread.of([tokens / pair.other for pair in pairs])),
        "stock_tokens_per_second": vars(Spread.of([tokens / pair.stock for pair in pairs])),
    }
