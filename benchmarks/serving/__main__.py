"""Variants beside stock vLLM: throughput, start-up, memory, and latency while profiles load.

    make bench                                     # everything, about half an hour on four cores
    make bench ARGS='--mode eager --no-lora'
    make bench ARGS='--only loading'

Writes benchmarks/serving.json, docs/benchmarks.md and its plots. Parts that are left out keep the
figures that are there.
"""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.serving import loading, parts, report

MODES = ("eager", "compiled")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--mode", choices=MODES, action="append", help="default: both")
    parser.add_argument("--only", choices=parts.PARTS, action="append", help="default: all")
    parser.add_argument("--rounds", type=int, default=10, help="5 or more (default: 10)")
    parser.add_argument("--no-lora", action="store_true", help="leave out vLLM's multi-LoRA, slow")
    parser.add_argument("--port", type=int, default=8077, help="of the server (default: 8077)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/serving.json"))
    options = parser.parse_args()
    if options.rounds < 5:
        parser.error(f"--rounds: expected 5 or more, for quartiles, found {options.rounds}")
    return options


def main() -> None:
    options = parsed()
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    console = Console()
    results = report.read(options.out)
    results["environment"] = report.environment()
    for part in options.only or parts.PARTS:
        for mode in loading.RESERVED if part == "loading" else options.mode or MODES:
            results.setdefault(part, {})[mode] = _alone(part, mode, options)
            report.write(results, options.out)
    console.print(report.markdown(results))


def _alone(part: str, mode: str, options: argparse.Namespace) -> Any:
    """In a process of its own, which takes its engines with it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(parts.measured, part, mode, options).result()


if __name__ == "__main__":
    main()
