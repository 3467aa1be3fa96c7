"""How long an engine takes to start, and its memory, with and without the plugin.

`python -m benchmarks.serving.startup ENGINE MODE` starts one in a process of its own and prints
its memory; `measure` runs that many times over, engines in turns.
"""

import json
import subprocess
import sys
import time
from typing import Any

import psutil
from rich.progress import track

from benchmarks.serving import engines
from benchmarks.serving.spread import Spread

MEASURED = ("stock", "lethe")


def measure(mode: str, rounds: int) -> list[dict[str, Any]]:
    """Seconds from nothing to the first token, and resident memory after it; a row an engine.

    The first start of each, which fills vLLM's compile cache, does not count.
    """
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in MEASURED}
    for number in track(range(rounds + 1), f"start-up, {mode}"):
        for name in MEASURED if number % 2 else MEASURED[::-1]:
            one = _once(name, mode)
            if number:
                found[name].append(one)
    return [
        {
            "engine": name,
            "seconds": vars(Spread.of([seconds for seconds, _ in runs])),
            "mib": vars(Spread.of([size / 2**20 for _, size in runs])),
        }
        for name, runs in found.items()
    ]


def _once(name: str, mode: str) -> tuple[float, float]:
    command = [sys.executable, "-m", "benchmarks.serving.startup", name, mode]
    started = time.perf_counter()
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - started, json.loads(out.splitlines()[-1])["bytes"]


def main() -> None:
    name, mode = sys.argv[1:]
    llm = engines.start(name, eager=mode == "eager")
    llm.generate("The sea", use_tqdm=False)
    print(json.dumps({"bytes": psutil.Process().memory_info().rss}))


if __name__ == "__main__":
    main()
