"""The parts of the benchmark by name, each to be run in a process of its own."""

from argparse import Namespace
from typing import Any

from benchmarks.serving import loading, startup, throughput

PARTS = ("throughput", "startup", "loading")


def measured(part: str, mode: str, options: Namespace) -> Any:
    """Runs one part; what of `options` it heeds is `rounds`, `no_lora` and `port`."""
    if part == "throughput":
        return throughput.measure(mode, options.rounds, not options.no_lora)
    if part == "startup":
        return startup.measure(mode, max(3, options.rounds // 2))
    return loading.measure(options.port, options.rounds, mode)
